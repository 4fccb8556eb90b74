"""Parked waiters: who wakes, who sleeps on, and that nothing is kept of those who left."""

from collections.abc import Iterable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from catalog.engine.waiters import Waiters
from catalog.state.index import Topic


class Indexes:
    """Topic indexes set by hand."""

    def __init__(self) -> None:
        self.of: dict[Topic, int] = {}

    def __call__(self, *topics: Topic) -> int:
        return max((self.of.get(topic, 1) for topic in topics), default=1)


WEB, API, NODES = ("service", "web"), ("service", "api"), ("nodes",)


class Scene:
    def __init__(self, nursery: trio.Nursery) -> None:
        self.indexes = Indexes()
        self.waiters = Waiters(self.indexes)
        self.returned: list[str] = []
        self._nursery = nursery

    async def park(self, name: str, topics: Iterable[Topic], min_index: int = 1, timeout_s: float = 1e9) -> None:
        async def wait() -> None:
            await self.waiters.wait(topics, min_index, timeout_s)
            self.returned.append(name)

        self._nursery.start_soon(wait)
        await wait_all_tasks_blocked()

    async def move(self, topic: Topic, index: int) -> None:
        self.indexes.of[topic] = index
        self.waiters.wake([topic])
        await wait_all_tasks_blocked()


async def test_an_index_already_above_returns_at_once() -> None:
    """Index N: the answer is due when the result's index is above N, also if it is so already, for any of the topics."""
    indexes = Indexes()
    waiters = Waiters(indexes)
    indexes.of[API] = 5
    await waiters.wait([WEB, API], 4, 1e9)
    assert len(waiters) == 0


async def test_only_the_topic_wakes_its_waiters(nursery: trio.Nursery) -> None:
    """No thundering herd: a change to web wakes nobody who waits for api."""
    scene = Scene(nursery)
    await scene.park("web", [WEB])
    await scene.park("api", [API])
    await scene.park("both", [WEB, API])
    await scene.move(WEB, 7)
    assert sorted(scene.returned) == ["both", "web"]
    await scene.move(API, 8)
    assert scene.returned[-1] == "api"
    assert (len(scene.waiters), scene.waiters.topics) == (0, 0)


async def test_a_waiter_for_a_later_index_sleeps_on(nursery: trio.Nursery) -> None:
    """Woken only when the topic's index is above what the waiter has seen."""
    scene = Scene(nursery)
    await scene.park("ahead", [WEB], min_index=9)
    await scene.move(WEB, 9)
    assert scene.returned == []
    await scene.move(WEB, 10)
    assert scene.returned == ["ahead"]


async def test_a_wait_ends_at_its_time_out(autojump_clock: MockClock) -> None:
    """Not before, and without an error; a time-out of 0 does not wait."""
    del autojump_clock
    waiters = Waiters(Indexes())
    await waiters.wait([WEB], 1, 0)
    assert trio.current_time() == 0
    await waiters.wait([WEB], 1, 300)
    assert trio.current_time() == pytest.approx(300)
    assert (len(waiters), waiters.topics) == (0, 0)


async def test_three_thousand_cancelled_waiters_leave_nothing() -> None:
    """Hung-up long polls must not leak; those who stay are still woken."""
    indexes = Indexes()
    waiters = Waiters(indexes)
    async with trio.open_nursery() as outer:
        outer.start_soon(waiters.wait, [WEB, NODES], 1, 1e9)
        async with trio.open_nursery() as nursery:
            for number in range(3000):
                nursery.start_soon(waiters.wait, [WEB, NODES, ("service", f"s{number % 100}")], 1, 1e9)
            await wait_all_tasks_blocked()
            assert (len(waiters), waiters.topics) == (3001, 102)
            nursery.cancel_scope.cancel()
        assert (len(waiters), waiters.topics) == (1, 2)
        indexes.of[WEB] = 2
        waiters.wake([WEB, NODES])
    assert (len(waiters), waiters.topics) == (0, 0)


async def test_wake_all_lets_everybody_go(nursery: trio.Nursery) -> None:
    """The catalog stops: no request is left parked."""
    scene = Scene(nursery)
    await scene.park("a", [WEB], min_index=99)
    await scene.park("b", [API])
    scene.waiters.wake_all()
    await wait_all_tasks_blocked()
    assert sorted(scene.returned) == ["a", "b"]
    assert len(scene.waiters) == 0


async def test_a_key_wakes_those_who_wait_for_a_prefix_of_it(nursery: trio.Nursery) -> None:
    """Every prefix, itself and the empty one; not what only begins like it, nor what is longer."""
    scene = Scene(nursery)
    for prefix in ("", "a", "a/b", "a/b/c", "a/c", "b"):
        await scene.park(prefix, [("keys", prefix)])
    await scene.park("itself", [("key", "a/b")])
    await scene.park("sibling", [("key", "a/bc")])
    await scene.move(("key", "a/b"), 2)
    assert sorted(scene.returned) == ["", "a", "a/b", "itself"]


async def test_nothing_is_kept_of_prefixes_nobody_waits_for(nursery: trio.Nursery) -> None:
    """Two of one length: the one that leaves does not take the other's."""
    scene = Scene(nursery)
    await scene.park("a", [("keys", "a")])
    await scene.park("b", [("keys", "b")])
    await scene.move(("key", "a1"), 2)
    assert scene.returned == ["a"]
    await scene.move(("key", "b1"), 3)
    assert scene.returned == ["a", "b"]
    assert (len(scene.waiters), scene.waiters.topics) == (0, 0)
