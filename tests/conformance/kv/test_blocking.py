"""Blocking reads of keys and sessions (reference: blocking-query semantics; measured traps 4 to 7), through the whole app on virtual time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.fakes.app.in_process import AppAnswer, CatalogApp, open_app, woken
from tests.fakes.catalog_site import Site

KEYS = ("a", "a/1", "a/2", "b")


@pytest.fixture
async def filled() -> AsyncIterator[CatalogApp]:
    async with open_app() as app:
        for key in KEYS:
            await app.put(f"/v1/kv/{key}", b"1")
        yield app


async def put(site: CatalogApp, key: str, value: bytes = b"2", query: str = "") -> None:
    assert (await site.put(f"/v1/kv/{key}?{query}", value)).body == b"true"


async def delete(site: CatalogApp, key: str) -> None:
    assert (await site.request("DELETE", f"/v1/kv/{key}")).body == b"true"


async def index_of(app: CatalogApp, path: str) -> int:
    return (await app.get(path)).index


Act = Callable[[CatalogApp], Awaitable[Any]]

ACTS: dict[str, Act] = {
    "put a": partial(put, key="a"),
    "put a/1": partial(put, key="a/1"),
    "put a/new": partial(put, key="a/new"),
    "put b": partial(put, key="b"),
    "equal put of a/2": partial(put, key="a/2", value=b"1"),
    "delete a/2": partial(delete, key="a/2"),
    "delete b": partial(delete, key="b"),
    "delete the tree c": partial(delete, key="c?recurse"),
    "delete the tree a/": partial(delete, key="a/?recurse"),
}
"""What is done, one after the other."""

WAKES: list[tuple[str, set[str]]] = [
    ("kv/a", {"put a"}),
    ("kv/a?raw", {"put a"}),
    ("kv/a/1", {"put a/1", "delete the tree a/"}),
    ("kv/b", {"put b", "delete b"}),
    ("kv/missing", set()),
    ("kv/a/new", {"put a/new", "delete the tree a/"}),
    ("kv/a/?recurse", {"put a/1", "put a/new", "delete a/2", "delete the tree a/"}),
    ("kv/a/?keys", {"put a/1", "put a/new", "delete a/2", "delete the tree a/"}),
    ("kv/a/?keys&separator=/", {"put a/1", "put a/new", "delete a/2", "delete the tree a/"}),
    ("kv/a?recurse", {"put a", "put a/1", "put a/new", "delete a/2", "delete the tree a/"}),
    ("kv/?recurse", set(ACTS) - {"equal put of a/2", "delete the tree c"}),
    ("kv/c?recurse", set()),
    ("session/list", set()),
]


@pytest.mark.parametrize(("path", "wakes"), WAKES, ids=[path for path, _ in WAKES])
async def test_who_wakes(autojump_clock: MockClock, filled: CatalogApp, path: str, wakes: set[str]) -> None:
    """A key by itself alone, a tree by all that is, was or comes below it; nobody by an equal PUT."""
    last = await index_of(filled, f"/v1/{path}")
    for name, act in ACTS.items():
        index = await woken(filled, f"/v1/{path}", partial(act, filled))
        assert (index is not None) == (name in wakes), name
        now = await index_of(filled, f"/v1/{path}")
        assert now >= last, "an index went back"
        last = now


async def test_a_lock_wakes_when_it_is_taken_released_and_lost(autojump_clock: MockClock, filled: CatalogApp) -> None:
    """Also when its session is destroyed, or its node goes: which is how a contender learns of it."""
    path = "/v1/kv/a"
    for end in ("release", "destroy", "deregister"):
        await filled.put("/v1/catalog/register", {"Node": "n1", "Address": "192.0.2.1"})
        body = {"Node": "n1", "Checks": [], "LockDelay": "0s"}
        session = (await filled.put("/v1/session/create", body)).json()["ID"]
        acts: list[Callable[[], Awaitable[Any]]] = [partial(put, filled, "a", end.encode(), f"acquire={session}")]
        if end == "release":
            acts.append(partial(put, filled, "a", b"", f"release={session}"))
        elif end == "destroy":
            acts.append(partial(filled.put, f"/v1/session/destroy/{session}"))
        else:
            acts.append(partial(filled.put, "/v1/catalog/deregister", {"Node": "n1"}))
        for act in acts:
            assert await woken(filled, path, act) is not None, end
        assert "Session" not in (await filled.get(path)).json()[0]


async def test_sessions_wake_those_who_watch_them(autojump_clock: MockClock, filled: CatalogApp) -> None:
    """The list and the node by every session, the session by its own end alone."""
    await filled.put("/v1/catalog/register", {"Node": "n1", "Address": "192.0.2.1"})
    made: list[str] = []

    async def create(node: str) -> None:
        made.append((await filled.put("/v1/session/create", {"Node": node, "Checks": []})).json()["ID"])

    assert await woken(filled, "/v1/session/list", partial(create, "n1")) is not None
    assert await woken(filled, "/v1/session/node/n1", partial(create, "server")) is None
    assert await woken(filled, "/v1/session/node/n1", partial(create, "n1")) is not None
    first, second, third = made
    destroy = lambda one: partial(filled.put, f"/v1/session/destroy/{one}")  # noqa: E731
    assert await woken(filled, f"/v1/session/info/{first}", destroy(second)) is None
    assert await woken(filled, f"/v1/session/info/{first}", destroy(first)) is not None
    assert await woken(filled, "/v1/session/node/n1", destroy(third)) is not None
    assert (await filled.get("/v1/session/list")).json() == []


@pytest.mark.parametrize("path", ["kv/a", "kv/a/?recurse", "kv/a/?keys", "session/list"])
async def test_keys_and_sessions_do_not_stream(autojump_clock: MockClock, filled: CatalogApp, path: str) -> None:
    """Measured trap 6: they are stretched by the jitter, and say so."""
    index = await index_of(filled, f"/v1/{path}")
    joint = "&" if "?" in path else "?"
    answer = await filled.get(f"/v1/{path}{joint}index={index}&wait=1ms")
    assert answer.headers["x-consul-query-backend"] == "blocking-query"
    assert answer.index == index


async def test_a_missing_key_wakes_when_it_comes_and_sleeps_when_others_go(
    autojump_clock: MockClock, filled: CatalogApp
) -> None:
    """Its 404 has an index that one can wait on, and the answer is the key."""
    answers: list[AppAnswer] = []

    async def block() -> None:
        index = await index_of(filled, "/v1/kv/new")
        answers.append(await filled.get(f"/v1/kv/new?index={index}&wait=60s"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(block)
        while not len(filled.api.parking):  # noqa: ASYNC110 - there is no event: nothing happens
            await trio.sleep(0.001)
        await delete(filled, "b")
        await trio.sleep(0.05)
        assert answers == []
        await put(filled, "new")
    assert (answers[0].status, answers[0].json()[0]["Key"]) == (200, "new")


async def test_a_key_that_comes_and_goes_while_one_blinks_moves_the_index(
    autojump_clock: MockClock, filled: CatalogApp
) -> None:
    """A reader that polls in between cannot miss that something happened."""
    before = await index_of(filled, "/v1/kv/blink")
    await put(filled, "blink")
    await delete(filled, "blink")
    with trio.fail_after(2):
        answer = await filled.get(f"/v1/kv/blink?index={before}&wait=60s")
    assert (answer.status, answer.index > before) == (404, True)


async def test_a_denied_key_does_not_wake_a_stranger(guarded: Site) -> None:
    """Who may not read it is refused before it would wait, and learns no index of it."""
    await guarded.put("/v1/kv/secret", b"x", headers=guarded.as_operator())
    with trio.fail_after(2):
        answer = await guarded.get("/v1/kv/secret?index=1&wait=60s")
    assert answer.status_code == 403
    assert "X-Consul-Index" not in answer.headers
