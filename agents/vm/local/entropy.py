"""Anti-entropy: keeps the catalog equal to the local state, at once on a change and whole every minute.

It must never lose a change: what could not be told is told again by the next full round. A registration that the catalog
refuses does not hold up the others.
"""

import logging
import math
from collections.abc import Callable

import msgspec
import trio

from agents.vm.local.entries import Change, Topic
from agents.vm.local.forms import NodeFacts
from agents.vm.local.reconcile import Deregister, Dirty, Held, Step, full_steps, leave_steps, partial_steps, without
from agents.vm.local.registrar import ForbiddenError, RefusedError, Registrar, RegistrarError
from agents.vm.local.state import LocalState

log = logging.getLogger("linkspan.agent.sync")


class EntropySettings(msgspec.Struct, frozen=True):
    """Times of anti-entropy, in seconds. `output_every_s` is how long a change of a check's output alone may wait."""

    full_every_s: float = 60.0
    output_every_s: float = 300.0
    retry_first_s: float = 0.5
    retry_max_s: float = 15.0


class AntiEntropy:
    """Tells `registrar` what `state` says about `node`. Services in `foreign` are others' and left alone."""

    def __init__(
        self,
        state: LocalState,
        node: NodeFacts,
        registrar: Registrar,
        spread: Callable[[float], float],
        settings: EntropySettings = EntropySettings(),  # noqa: B008 - a frozen value
        *,
        foreign: frozenset[str] = frozenset(),
    ) -> None:
        self._foreign = foreign
        self._state = state
        self._node = node
        self._registrar = registrar
        self._spread = spread
        self._settings = settings
        self._dirty = Dirty()
        self._quiet: dict[str, float] = {}
        self._full_due_s = -math.inf
        self._wake = trio.Event()
        self._round_over = trio.Event()
        self._seen = 0
        self._told = -1
        self.problem = ""
        self.refused: dict[str, str] = {}
        state.subscribe(self._on_change)

    @property
    def is_settled(self) -> bool:
        """Whether the catalog was told everything that happened so far."""
        return self._told >= self._seen and not self.problem

    async def wait_first(self) -> None:
        """Wait until the catalog was told everything for the first time."""
        while self._told < 0:
            await self._round_over.wait()

    def request_full(self) -> None:
        """Do a full round as soon as possible (the catalog may have forgotten us)."""
        self._full_due_s = -math.inf
        self._wake.set()

    async def wait_told(self, timeout_s: float) -> bool:
        """Wait until what happened so far was told to the catalog; False at once if it is away, or after `timeout_s`."""
        goal = self._seen
        with trio.move_on_after(timeout_s):
            while self._told < goal and not self.problem:
                await self._round_over.wait()
        return self._told >= goal

    async def leave(self) -> None:
        """Take the whole node out of the catalog; of one that others are on too, all that is ours.

        Raises:
            RegistrarError: the catalog cannot be told.
        """
        held = await self._registrar.held(self._node.name) if self._foreign else Held()
        for step in leave_steps(self._node, held, self._foreign):
            await self._registrar.apply(step)

    async def run(self) -> None:
        """Keep the catalog equal until cancelled."""
        retry_s = self._settings.retry_first_s
        while True:
            self._wake = trio.Event()
            goal = self._seen
            try:
                await self._round()
            except RegistrarError as error:
                self._note(str(error))
                self._full_due_s = -math.inf
                self._end_round()
                await trio.sleep(retry_s + self._spread(retry_s))
                retry_s = min(retry_s * 2, self._settings.retry_max_s)
                continue
            self._note("")
            retry_s = self._settings.retry_first_s
            self._told = max(self._told, goal)
            self._end_round()
            with trio.move_on_at(min(self._full_due_s, *self._quiet.values(), math.inf)):
                await self._wake.wait()

    async def _round(self) -> None:
        now_s = trio.current_time()
        for check_id in [key for key, due_s in self._quiet.items() if due_s <= now_s]:
            del self._quiet[check_id]
            self._dirty.checks.add(check_id)
        dirty, self._dirty = self._dirty, Dirty()
        if now_s >= self._full_due_s:
            held = without(await self._registrar.held(self._node.name), self._foreign)
            steps = full_steps(self._state, self._node, held, self._quiet.keys())
            self.refused.clear()
            self._full_due_s = now_s + self._settings.full_every_s + self._spread(self._settings.full_every_s / 8)
        else:
            steps = partial_steps(self._state, self._node, dirty)
        for step in steps:
            await self._apply(step)

    async def _apply(self, step: Step) -> None:
        name = _name_of(step)
        try:
            await self._registrar.apply(step)
        except RefusedError as error:
            if not name and not isinstance(error, ForbiddenError):  # the node itself: worth trying again soon
                raise
            # What of the node may not be said need not hold up its services: each is judged by itself.
            name = name or f"node {self._node.name!r} itself"
            if self.refused.get(name) != str(error):
                log.warning("the catalog refuses %s: %s", name, error)
            self.refused[name] = str(error)
        else:
            self.refused.pop(name or f"node {self._node.name!r} itself", None)

    def _on_change(self, change: Change) -> None:
        if change.output_only:
            self._quiet.setdefault(change.id, trio.current_time() + self._settings.output_every_s)
            return
        self._seen += 1
        if change.topic is Topic.SERVICE:
            self._dirty.services.add(change.id)
        else:
            self._quiet.pop(change.id, None)
            self._dirty.checks.add(change.id)
        self._wake.set()

    def _end_round(self) -> None:
        self._round_over.set()
        self._round_over = trio.Event()

    def _note(self, problem: str) -> None:
        if problem and not self.problem:
            log.warning("the catalog cannot be told: %s", problem)
        elif self.problem and not problem:
            log.info("the catalog is told again")
        self.problem = problem


def _name_of(step: Step) -> str:
    """What a step is about, for logs and for `refused`; empty for the node itself."""
    if step.service_id:
        return f"service {step.service_id!r}"
    if isinstance(step, Deregister):
        return f"check {step.check_id!r}" if step.check_id else ""
    return f"check {step.check_ids[0]!r}" if step.check_ids else ""
