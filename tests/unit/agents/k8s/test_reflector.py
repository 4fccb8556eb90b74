"""The reflector's rules: pages, bookmarks, 410 with a diff, back-off, and no lost delete."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import trio

from agents.k8s.reflector import Change, GoneError, Reflector, UnavailableError, diff

Json = dict[str, Any]


def pod(name: str, version: int, uid: str = "u") -> Json:
    return {"metadata": {"namespace": "d", "name": name, "uid": f"{uid}-{name}", "resourceVersion": str(version)}}


def page(version: int, *items: Json, more: str = "") -> Json:
    return {"metadata": {"resourceVersion": str(version), "continue": more}, "items": list(items)}


class Script:
    """A source that answers from a script: pages (or errors) for lists, lists of events (or errors) for watches."""

    def __init__(self, lists: list[Any], watches: list[Any]) -> None:
        self.lists = lists
        self.watches = watches
        self.asked: list[str] = []
        self.at: list[float] = []

    async def list_page(self, continue_token: str) -> Json:
        self.asked.append(f"list {continue_token}".strip())
        self.at.append(trio.current_time())
        if not self.lists:
            await trio.sleep_forever()
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def watch(self, resource_version: str) -> AsyncIterator[AsyncIterator[Json]]:
        self.asked.append(f"watch {resource_version}")
        self.at.append(trio.current_time())
        if not self.watches:
            await trio.sleep_forever()
        events = self.watches.pop(0)
        if isinstance(events, Exception):
            raise events

        async def each() -> AsyncGenerator[Json, None]:
            for event in events:
                await trio.lowlevel.checkpoint()
                if isinstance(event, Exception):
                    raise event
                yield event

        async with aclosing(each()) as stream:
            yield stream


async def reflect(script: Script, for_s: float = 100.0) -> tuple[list[tuple[str, bool]], Reflector]:
    seen: list[tuple[str, bool]] = []

    def note(change: Change) -> None:
        seen.append((change.key[1], change.deleted))

    reflector = Reflector(script, note, lambda: None, lambda: 1.0, lambda text: None)
    with trio.move_on_after(for_s):
        await reflector.run()
    return seen, reflector


async def test_a_list_comes_in_pages(autojump_clock: trio.abc.Clock) -> None:
    """Every page is asked for with the token of the one before, and the last page's version starts the watch."""
    script = Script([page(1, pod("a", 1), more="t1"), page(7, pod("b", 2))], [])
    seen, _ = await reflect(script)
    assert seen == [("a", False), ("b", False)]
    assert script.asked == ["list", "list t1", "watch 7"]


async def test_bookmarks_move_the_version_and_nothing_else(autojump_clock: trio.abc.Clock) -> None:
    """After a bookmark the next watch starts there, and no object is reported."""
    script = Script([page(1)], [[{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "50"}}}]])
    seen, _ = await reflect(script)
    assert seen == []
    assert script.asked == ["list", "watch 1", "watch 50"]


@pytest.mark.parametrize(
    "loss",
    [[{"type": "ERROR", "object": {"code": 410, "message": "too old"}}], GoneError("410"), [GoneError("410")]],
    ids=["event", "status", "mid-stream"],
)
async def test_lost_history_is_made_up_by_a_diff(loss: Any, autojump_clock: trio.abc.Clock) -> None:
    """What went and what came while the history was lost is reported; what is equal is not."""
    script = Script(
        [page(3, pod("a", 1), pod("b", 2), pod("c", 3)), page(9, pod("a", 1), pod("c", 8), pod("d", 9))], [loss]
    )
    seen, reflector = await reflect(script)
    assert seen == [("a", False), ("b", False), ("c", False), ("b", True), ("c", False), ("d", False)]
    assert sorted(name for _, name in reflector.objects) == ["a", "c", "d"]


async def test_a_watch_that_drops_resumes_where_it_was(autojump_clock: trio.abc.Clock) -> None:
    """A broken watch is resumed after the last event's version, without listing."""
    events = [{"type": "ADDED", "object": pod("a", 5)}, UnavailableError("reset")]
    script = Script([page(1)], [events, [{"type": "DELETED", "object": pod("a", 6)}]])
    seen, _ = await reflect(script)
    assert seen == [("a", False), ("a", True)]
    assert script.asked == ["list", "watch 1", "watch 5", "watch 6"]


async def test_a_server_that_is_away_is_not_asked_in_a_loop(autojump_clock: trio.abc.Clock) -> None:
    """Waits grow up to the bound: in 100 s of absence there are fewer than a dozen calls."""
    script = Script([UnavailableError("refused")] * 100, [])
    await reflect(script)
    waits = [after - before for before, after in zip(script.at, script.at[1:], strict=False)]
    assert len(script.asked) < 12
    assert waits == pytest.approx(sorted(waits))
    assert max(waits) == pytest.approx(30.0)


async def test_watches_that_end_at_once_are_not_a_loop(autojump_clock: trio.abc.Clock) -> None:
    """A server that closes every watch at once, with nothing in it, is asked ever more rarely."""
    script = Script([page(1)], [[] for _ in range(100)])
    await reflect(script)
    assert len(script.asked) < 14


async def test_an_expired_page_token_starts_the_list_again(autojump_clock: trio.abc.Clock) -> None:
    """410 in the middle of a list lists from the start; nothing half-listed is reported."""
    script = Script([page(1, pod("a", 1), more="t"), GoneError("token expired"), page(4, pod("b", 4))], [])
    seen, _ = await reflect(script)
    assert seen == [("b", False)]


async def test_a_repeated_event_is_reported_once(autojump_clock: trio.abc.Clock) -> None:
    """An object in a state that is held already is no change, and deleting an unknown one is none either."""
    events = [{"type": "ADDED", "object": pod("a", 1)}, {"type": "DELETED", "object": pod("z", 2)}]
    script = Script([page(1, pod("a", 1))], [events])
    seen, _ = await reflect(script)
    assert seen == [("a", False)]


def test_a_name_taken_over_is_a_delete_and_an_add() -> None:
    """Another uid under the same name is another object."""
    old, new = pod("a", 1, uid="old"), pod("a", 2, uid="new")
    changes = diff({("d", "a"): old}, {("d", "a"): new})
    assert [(change.object, change.deleted) for change in changes] == [(old, True), (new, False)]
