"""One direction: what the source says is brought to the target, at every change and in full each minute.

Whatever fails is tried again with growing, jittered waits and a fresh reading of the target. It removes only what the
source, trusted, lacked twice.
"""

import logging
from collections.abc import Callable

import trio

from agents.bridge.rules.intentions import IntentionPlan, reconcile_intentions
from agents.bridge.rules.marks import Identity, Mark
from agents.bridge.rules.reconcile import Plan, reconcile
from agents.bridge.side import Side, SideError
from agents.bridge.source import Source, Wanted
from agents.bridge.target import Target
from mesh.sync.link.backoff import Backoff

FULL_PASS_S = 60.0
WITHHELD_S = 1.0
"""The least time until what is withheld is looked at again."""
GATHER_S = 0.02
"""After a change: what changes along with it goes into the same pass."""
RETRY_LAST_S = 30.0

_log = logging.getLogger("linkspan.bridge")


class SameCatalogError(Exception):
    """Both sides are one catalog; the message says which."""


class Mirror:
    """One direction of a bridge; make it with `open_mirror`."""

    def __init__(self, source: Source, target: Target, wanted: Wanted, uniform: Callable[[], float]) -> None:
        self.source = source
        self.target = target
        self.ready = trio.Event()
        self.passes = 0
        self._wanted = wanted
        self._backoff = Backoff(uniform, first_s=0.5, last_s=RETRY_LAST_S)
        self._full_at_s = 0.0
        self._failed = False
        self._withheld = False

    @property
    def origin(self) -> str:
        """The datacenter that is mirrored."""
        return self.source.origin

    async def once(self) -> tuple[Plan, IntentionPlan]:
        """Read both sides and say what is to be done; with no hold time, also what is to be removed.

        Raises:
            SideError: a side does not answer.
            SourceReplacedError: the source is not what it was.
        """
        await self.source.read_all()
        await self.target.read()
        plan, intentions = self._plan(None)
        if (plan.withheld or intentions.withheld) and self.source.trusted:
            await self.source.confirm(plan.withheld, intentions=intentions.withheld)
            plan, intentions = self._plan(None)
        return plan, intentions

    async def apply(self, plan: Plan, intentions: IntentionPlan) -> bool:
        """Do it. Whether the target took everything.

        Raises:
            SideError: the target does not answer.
        """
        for text in sorted(plan.conflicts | intentions.conflicts):
            self.target.tell(text)
        done = await self.target.apply(plan.actions)
        return await self.target.apply_intentions(intentions) and done

    async def run(self) -> None:
        """Follow the source and keep the target until cancelled.

        Raises:
            SourceReplacedError: the source is not what it was.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.source.run)
            while True:
                await self._pass()
                await self._wait()

    async def _pass(self) -> None:
        """One pass; in full when it is time for that, or when the last one failed."""
        full = trio.current_time() >= self._full_at_s
        self.source.wake = trio.Event()
        nodes, self.source.changed = self.source.changed, set()
        try:
            if full:
                await self.target.read()
            self._failed = not await self._bring(None if full else nodes)
            if self.source.heard:
                self.ready.set()
        except SideError as error:
            _log.warning("%s", error)
            self._failed = True
        now_s = trio.current_time()
        if self._failed:
            self._full_at_s = now_s + self._backoff.next_s()
            return
        if full:
            self._backoff.reset()
            self._full_at_s = now_s + FULL_PASS_S
        if self._withheld:
            self._full_at_s = min(self._full_at_s, max(self.source.trusted_at_s, now_s + WITHHELD_S))
        self.passes += 1

    async def _bring(self, nodes: set[str] | None) -> bool:
        plan, intentions = self._plan(nodes)
        done = await self.apply(plan, intentions)
        missing = self.source.book.missing or self.source.missing_pairs
        self._withheld = bool(plan.withheld or intentions.withheld or missing)
        if not (self._withheld and self.source.trusted):
            return done
        await self.source.confirm(
            plan.withheld | self.source.book.missing, intentions=intentions.withheld or bool(self.source.missing_pairs)
        )
        try:
            plan, intentions = self._plan(None)
            self._withheld = bool(plan.withheld or intentions.withheld)
            return await self.apply(plan, intentions) and done
        finally:
            self.source.used_up()

    def _plan(self, nodes: set[str] | None) -> tuple[Plan, IntentionPlan]:
        """What is to be done for these mirrored nodes, or for all."""
        owned = self.target.owned
        if nodes is not None:
            owned = {name: owned[name] for name in nodes if name in owned}
        plan = reconcile(self.source.book.desired(nodes), owned, self.target.taken, self._may_remove)
        if not self._wanted.intentions:
            return plan, IntentionPlan()
        intentions = reconcile_intentions(
            self.source.intentions,
            self.target.intentions,
            self.target.taken_pairs,
            lambda _pair: self.source.intentions_confirmed,
        )
        return plan, intentions

    def _may_remove(self, service: str) -> bool:
        """Whether it was confirmed, or the service is not to be mirrored any more."""
        return self.source.book.is_confirmed(service) or not self._wanted.service(service)

    async def _wait(self) -> None:
        """Until something changed or a full pass is due; after a failure only until that."""
        wait_s = max(0.0, self._full_at_s - trio.current_time())
        if self._failed:
            await trio.sleep(wait_s)
            return
        with trio.move_on_after(wait_s):
            await self.source.wake.wait()
            await trio.sleep(GATHER_S)


async def open_mirror(sides: tuple[Side, Side], bridge: str, wanted: Wanted, uniform: Callable[[], float]) -> Mirror:
    """A mirror from the first side to the second.

    Raises:
        SideError: a side does not say who it is.
        SameCatalogError: both are one.
    """
    origin, there = await sides[0].identity(), await sides[1].identity()
    _refuse_same(origin, there, sides)
    mark = Mark(bridge, origin)
    source = Source(sides[0], mark, wanted, uniform)
    return Mirror(source, Target(sides[1], mark, with_intentions=wanted.intentions), wanted, uniform)


def _refuse_same(origin: Identity, there: Identity, sides: tuple[Side, Side]) -> None:
    if origin == there:
        raise SameCatalogError(
            f"{sides[0].name} and {sides[1].name} are one catalog, {origin}: there is nothing to mirror"
        )
