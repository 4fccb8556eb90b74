"""Parked blocking queries: who waits for which topics.

A change wakes only those who named a topic it touched. Nothing is kept of a waiter that has left, however it left.
"""

from collections.abc import Callable, Iterable

import trio

from catalog.state.index import Topic


class _Waiter:
    __slots__ = ("event", "min_index")

    def __init__(self, min_index: int) -> None:
        self.min_index = min_index
        self.event = trio.Event()


class Waiters:
    """The parked waiters, by topic."""

    def __init__(self, index_of: Callable[..., int]) -> None:
        self._index_of = index_of
        self._parked: dict[Topic, set[_Waiter]] = {}

    def __len__(self) -> int:
        return len({waiter for waiters in self._parked.values() for waiter in waiters})

    @property
    def topics(self) -> int:
        """How many topics somebody waits for."""
        return len(self._parked)

    async def wait(self, topics: Iterable[Topic], min_index: int, timeout_s: float) -> None:
        """Return when the index of any topic is above `min_index`, at once if it is, or after `timeout_s` seconds."""
        topics = frozenset(topics)
        if self._index_of(*topics) > min_index or timeout_s <= 0:
            await trio.lowlevel.checkpoint()
            return
        waiter = _Waiter(min_index)
        for topic in topics:
            self._parked.setdefault(topic, set()).add(waiter)
        try:
            with trio.move_on_after(timeout_s):
                await waiter.event.wait()
        finally:
            for topic in topics:
                waiters = self._parked[topic]
                waiters.discard(waiter)
                if not waiters:
                    del self._parked[topic]

    def wake(self, topics: Iterable[Topic]) -> None:
        """Wake those who wait for these topics and have not seen their index."""
        for topic in topics:
            waiters = self._parked.get(topic)
            if waiters:
                index = self._index_of(topic)
                for waiter in waiters:
                    if index > waiter.min_index:
                        waiter.event.set()

    def wake_all(self) -> None:
        """Let everybody go: the engine stops."""
        for waiters in self._parked.values():
            for waiter in waiters:
                waiter.event.set()
