"""The leases at work: renewals in memory, lapse, return and removal as changes.

A lease must never lapse while its holder was heard in time, and a renewal must never cost a disk write.
Deadlines run on the monotonic clock; the deregistration delay on seconds since 1970, since it outlives restarts.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from catalog.engine.deadlines import Deadlines
from catalog.engine.errors import CatalogBusyError, CatalogStoppedError
from catalog.state.changes import AnyChange, Batch, LeaseExpired, LeaseRestored, ReapNode, Single
from catalog.state.leases import deregister_after_s
from catalog.state.limits import MAX_BATCH
from catalog.state.state import State

LONGEST_PAUSE_S = 60.0
BUSY_PAUSE_S = 0.5
TTLS_AT_START = 2


class Leases:
    """Follows the leases of `state` and submits what becomes of them."""

    def __init__(
        self,
        state: State,
        submit: Callable[[AnyChange], Awaitable[Any]],
        clock: Callable[[], float],
        epoch: Callable[[], float],
    ) -> None:
        self._state = state
        self._submit = submit
        self._clock = clock
        self._epoch = epoch
        self._deadlines = Deadlines()
        self._moved = trio.Event()
        self._wake_s = 0.0

    async def renew(self, node: str) -> bool:
        """Hear from the node's holder: its lease runs anew, and is restored if it had lapsed. False if it has none."""
        lease = self._state.lease(node)
        if lease is None:
            return False
        if lease.lapsed_at_s is not None:
            return bool(await self._submit(LeaseRestored(node)))
        self._deadlines.renew(node, self._clock() + lease.ttl_s)
        return True

    def follow(self, node: str, ttls: int = 1) -> None:
        """The node's lease was granted or changed: start it anew for `ttls` times its time, or forget it if gone or lapsed."""
        lease = self._state.lease(node)
        if lease is None or lease.lapsed_at_s is not None:
            self._deadlines.drop(node)
            return
        deadline_s = self._clock() + ttls * lease.ttl_s
        self._deadlines.renew(node, deadline_s)
        if deadline_s < self._wake_s:
            self._moved.set()

    def follow_all(self) -> None:
        """The catalog starts: every held lease has twice its time, so that its holder can find the way back first."""
        for lease in self._state.leases():
            self.follow(lease.node, TTLS_AT_START)

    async def watch(self) -> None:
        """Lapse and remove what is due, until the catalog stops."""
        while True:
            self._moved = trio.Event()
            pause_s = self._pause_s()
            self._wake_s = self._clock() + pause_s
            with trio.move_on_after(pause_s):
                await self._moved.wait()
            try:
                await self._lapse()
                await self._submit_all([ReapNode(node) for node in self._due_for_removal()])
            except CatalogBusyError:
                await trio.sleep(BUSY_PAUSE_S)
            except CatalogStoppedError:
                return

    async def _lapse(self) -> None:
        due = self._deadlines.start_lapsing(self._clock())
        try:
            await self._submit_all([LeaseExpired(node) for node in due])
        finally:
            late = self._deadlines.end_lapsing()
        for node in due:
            if self._state.lease(node) is None:  # a restore took it away unheard
                self._deadlines.drop(node)
        await self._submit_all([LeaseRestored(node) for node in late])

    async def _submit_all(self, changes: list[Single]) -> None:
        for start in range(0, len(changes), MAX_BATCH):
            await self._submit(Batch(tuple(changes[start : start + MAX_BATCH])))

    def _pause_s(self) -> float:
        """Seconds until a lease lapses or a node is to be removed; bounded, because wall clocks jump."""
        epoch_s = self._epoch()
        removals = (self._removal_s(node) - epoch_s for node in self._lapsed())
        return max(0.0, min(self._deadlines.next_s() - self._clock(), LONGEST_PAUSE_S, *removals))

    def _lapsed(self) -> list[str]:
        return [lease.node for lease in self._state.lapsed_leases()]

    def _removal_s(self, node: str) -> float:
        """When a lapsed node is to be removed, in seconds since 1970."""
        lease, row = self._state.lease(node), self._state.node(node)
        assert lease is not None
        assert lease.lapsed_at_s is not None
        assert row is not None
        return lease.lapsed_at_s + deregister_after_s(row)

    def _due_for_removal(self) -> list[str]:
        epoch_s = self._epoch()
        return [node for node in self._lapsed() if self._removal_s(node) <= epoch_s]
