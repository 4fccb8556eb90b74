"""The task that follows the catalog: call, take, show, keep on disk, for ever; and what it survives.

It survives every `SyncError`: what is held stays in use, however long the catalog is away.
"""

import logging
import random
from collections.abc import Callable

import trio

from mesh.sync.cache import CacheRefusedError, ResourceCache
from mesh.sync.client import SyncClient
from mesh.sync.follow import Plan
from mesh.sync.held import Holding
from mesh.sync.holder import SnapshotHolder
from mesh.sync.link.backoff import Backoff
from mesh.sync.link.errors import SyncError
from mesh.wire.sync import MAX_WANTS, Resource

WAIT_S = 50.0
SAVE_PAUSE_S = 1.0
_SPIN_PAUSE_S = 0.1
_LOG_EVERY_S = 60.0

_log = logging.getLogger("linkspan.sync")


def load_last_good(cache: ResourceCache) -> tuple[Resource, ...]:
    """What is kept on disk; nothing, with a line in the log, if it cannot be used. Blocks on the disk."""
    try:
        return cache.load()
    except CacheRefusedError as error:
        _log.error("the last-known-good is ignored: %s", error)
        return ()


class Follower:
    """Keeps `holder` at what the catalog says. `index` and `last_answer_s` (trio's clock) say how fresh that is."""

    def __init__(
        self,
        client: SyncClient,
        plan: Plan,
        holder: SnapshotHolder,
        cache: ResourceCache | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._holding = Holding(plan)
        self._cache = cache
        self._backoff = Backoff(uniform)
        self._logged_s = -_LOG_EVERY_S
        self.holder = holder
        self.last_answer_s: float | None = None

    @property
    def index(self) -> int:
        """The catalog index of the last answer; 0 before the first."""
        return self._holding.index

    @property
    def missing(self) -> tuple[str, ...]:
        """The resources that this process needs and does not hold, neither now nor from before a restart."""
        return self._holding.missing

    def age_s(self) -> float | None:
        """Seconds since the catalog (or the agent) last answered; None before the first answer. For use under trio."""
        return None if self.last_answer_s is None else trio.current_time() - self.last_answer_s

    def restore(self, resources: tuple[Resource, ...]) -> None:
        """Begin with what was held before a restart (`load_last_good`)."""
        self._holding.restore(resources)
        if resources:
            self.holder.replace(self._holding.snapshot())

    async def run(self) -> None:
        """Follow until cancelled, keeping what is held on disk."""
        async with trio.open_nursery() as nursery:
            if self._cache is not None:
                nursery.start_soon(self._save_changes, self._cache)
            while True:
                try:
                    await self.step()
                except SyncError as error:
                    self._report(error)
                    await trio.sleep(self._backoff.next_s())

    async def step(self) -> None:
        """One call and its answer.

        Raises:
            SyncError: unreachable, refused or a bad answer; what is held stays.
        """
        began_s = trio.current_time()
        request = self._holding.next_request(WAIT_S)
        response = await self._client.call(request)
        if self.last_answer_s is None or self._logged_s > self.last_answer_s:
            _log.info("following the catalog at index %d", response.index)
        self.last_answer_s = trio.current_time()
        self._backoff.reset()
        changed = self._holding.take(request, response)
        for refusal in self._holding.refusals:
            _log.error("a resource cannot be used, the last good one stays: %s", refusal.reason)
        if changed and self._holding.left_out:
            _log.error("%d resources are not followed: a process follows at most %d", self._holding.left_out, MAX_WANTS)
        if changed:
            self.holder.replace(self._holding.snapshot())
        elif request.wait_s and self.last_answer_s - began_s < _SPIN_PAUSE_S:
            # An answer without news before its time: never let the other side make this a loop without a pause.
            await trio.sleep(_SPIN_PAUSE_S)

    def _report(self, error: SyncError) -> None:
        """Log a failure: the first of a row at once, then once a minute."""
        now_s = trio.current_time()
        if now_s - self._logged_s >= _LOG_EVERY_S or (self.last_answer_s or 0.0) > self._logged_s:
            self._logged_s = now_s
            _log.warning("the catalog does not answer, going on with what is held: %s", error)

    async def _save_changes(self, cache: ResourceCache) -> None:
        version = self.holder.version
        while True:
            await self.holder.wait_newer(version)
            version = self.holder.version
            try:
                await trio.to_thread.run_sync(cache.save, self._holding.resources())
            except CacheRefusedError as error:
                _log.error("the last-known-good is not kept: %s", error)
            await trio.sleep(SAVE_PAUSE_S)
