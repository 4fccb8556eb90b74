"""The sessions' times at work: renewals in memory, the end as a change.

A session lasts for twice its time to live after it was last heard of, as Consul's does (measured: 10 s end after
20.1), so that its holder, who counts from its own clock, never believes in a lock longer than the catalog does. A
renewal must never cost a disk write. After a restart or a change of the serving replica every session starts anew.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from catalog.engine.deadlines import Deadlines
from catalog.engine.errors import CatalogBusyError, CatalogStoppedError
from catalog.state.changes import AnyChange, Batch, DestroySession
from catalog.state.limits import MAX_BATCH
from catalog.state.records import Session
from catalog.state.state import State

LONGEST_PAUSE_S = 60.0
BUSY_PAUSE_S = 0.5
TTLS = 2


class Sessions:
    """Follows the sessions of `state` that have a time to live, and ends them when it is over."""

    def __init__(self, state: State, submit: Callable[[AnyChange], Awaitable[Any]], clock: Callable[[], float]) -> None:
        self._state = state
        self._submit = submit
        self._clock = clock
        self._deadlines = Deadlines()
        self._ending: frozenset[str] = frozenset()
        self._moved = trio.Event()
        self._wake_s = 0.0

    def renew(self, session_id: str) -> Session | None:
        """Hear from a session's holder: its time runs anew. None if it is not there, or over."""
        session = self._state.session(session_id)
        if session is None or session_id in self._ending:
            return None
        self._start(session)
        return session

    def follow(self, session_id: str) -> None:
        """The session began or ended."""
        session = self._state.session(session_id)
        if session is None:
            self._deadlines.drop(session_id)
        else:
            self._start(session)

    def follow_all(self) -> None:
        """The catalog starts: every session has its whole time."""
        for session in self._state.sessions():
            self._start(session)

    async def watch(self) -> None:
        """End what is over, until the catalog stops."""
        while True:
            self._moved = trio.Event()
            pause_s = max(0.0, min(self._deadlines.next_s() - self._clock(), LONGEST_PAUSE_S))
            self._wake_s = self._clock() + pause_s
            with trio.move_on_after(pause_s):
                await self._moved.wait()
            try:
                await self._end()
            except CatalogBusyError:
                await trio.sleep(BUSY_PAUSE_S)
            except CatalogStoppedError:
                return

    def _start(self, session: Session) -> None:
        if not session.ttl_s:
            return
        deadline_s = self._clock() + TTLS * session.ttl_s
        self._deadlines.renew(session.id, deadline_s)
        if deadline_s < self._wake_s:
            self._moved.set()

    async def _end(self) -> None:
        due = self._deadlines.due(self._clock())
        self._ending = frozenset(due)
        try:
            for start in range(0, len(due), MAX_BATCH):
                await self._submit(Batch(tuple(DestroySession(one) for one in due[start : start + MAX_BATCH])))
        finally:
            self._ending = frozenset()
        for session_id in due:
            if self._state.session(session_id) is None:  # also one that a restore took away unheard
                self._deadlines.drop(session_id)
