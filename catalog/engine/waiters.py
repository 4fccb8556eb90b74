"""Parked blocking queries: who waits for which topics.

A change wakes only those who named a topic it touched; a key's also those who named a prefix of it. Nothing is kept of
a waiter that has left, however it left.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

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
        self._prefix_lengths: Counter[int] = Counter()

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
            self._park(topic, waiter)
        try:
            with trio.move_on_after(timeout_s):
                await waiter.event.wait()
        finally:
            for topic in topics:
                self._leave(topic, waiter)

    def _park(self, topic: Topic, waiter: _Waiter) -> None:
        waiters = self._parked.get(topic)
        if waiters is None:
            waiters = self._parked[topic] = set()
            if _is_prefix(topic):
                self._prefix_lengths[len(topic[1])] += 1
        waiters.add(waiter)

    def _leave(self, topic: Topic, waiter: _Waiter) -> None:
        waiters = self._parked[topic]
        waiters.discard(waiter)
        if waiters:
            return
        del self._parked[topic]
        if _is_prefix(topic):
            self._prefix_lengths[len(topic[1])] -= 1
            if not self._prefix_lengths[len(topic[1])]:
                del self._prefix_lengths[len(topic[1])]

    def wake(self, topics: Iterable[Topic]) -> None:
        """Wake those who wait for these topics and have not seen their index."""
        for topic in topics:
            for waiters in self._concerned(topic):
                # Of a key's topic also for prefixes of it: theirs are no lower, and cost a walk to compute.
                index = self._index_of(topic)
                for waiter in waiters:
                    if index > waiter.min_index:
                        waiter.event.set()

    def _concerned(self, topic: Topic) -> Iterator[set[_Waiter]]:
        """Who waits for a topic, and who for a prefix of the key that it is about."""
        if waiters := self._parked.get(topic):
            yield waiters
        if topic[0] == "key":
            key = topic[1]
            for length in self._prefix_lengths:
                if length <= len(key) and (waiters := self._parked.get(("keys", key[:length]))):
                    yield waiters

    def wake_all(self) -> None:
        """Let everybody go: the engine stops."""
        for waiters in self._parked.values():
            for waiter in waiters:
                waiter.event.set()


def _is_prefix(topic: Topic) -> bool:
    return topic[0] == "keys" and len(topic) == 2
