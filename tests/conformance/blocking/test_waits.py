"""Blocking reads by the clock (reference: blocking-query semantics, each row; measured traps 4 to 6), on virtual time.

| row | held by |
|---|---|
| trigger: none, 0, N; time-out; a restore | here, and ../test_blocking.py over a real socket |
| time: 300 s, at most 600, stretched by a sixteenth | here |
| never 0 | here |
| client duties: an index that is too high | here |
| granularity: per service, last extinction, list-all | here, test_blocking.py, kv/test_blocking.py |
| no spurious wake; a higher index at the time-out | here, test_blocking.py |
| consistency: parameters that exclude each other | test_conventions.py |
| hash; agent cache | the agent's own tests |
| streaming: no stretch, and it says so | here, test_blocking.py |
| filter: a hidden change wakes; bad ones are refused | here, test_blocking.py |
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from catalog.state.state import State
from tests.fakes.app.in_process import CatalogApp, open_app, woken

BLOCKING = (
    "catalog/nodes",
    "catalog/services",
    "catalog/service/web",
    "catalog/connect/web",
    "catalog/node/none",
    "catalog/node-services/none",
    "health/service/web",
    "health/connect/web",
    "health/checks/web",
    "health/node/none",
    "health/state/any",
    "connect/intentions",
    "connect/intentions/match?by=destination&name=web",
    "connect/intentions/match?by=source&name=web",
    "config/service-defaults",
    "config/service-defaults/web",
    "discovery-chain/web",
    "kv/a",
    "kv/a?recurse",
    "kv/?keys",
    "session/list",
    "session/info/none",
    "session/node/none",
)
"""Every endpoint that blocks."""

STREAMS = {"health/service/web", "health/connect/web"}


def with_index(path: str, index: int, wait: str = "") -> str:
    """The blocking form of a read."""
    joint = "&" if "?" in path else "?"
    return f"/v1/{path}{joint}index={index}" + (f"&wait={wait}" if wait else "")


async def register(app: CatalogApp, node: str, **fields: Any) -> None:
    body = {"Node": node, "Address": "192.0.2.1", "SkipNodeUpdate": True, **fields}
    assert (await app.put("/v1/catalog/register", body)).body == b"true"


async def write(app: CatalogApp, name: str, **fields: Any) -> None:
    body = {"Kind": "service-defaults", "Name": name, "Protocol": "http", **fields}
    assert (await app.put("/v1/config", body)).body == b"true"


async def allow(app: CatalogApp, source: str, destination: str) -> None:
    path = f"/v1/connect/intentions/exact?source={source}&destination={destination}"
    assert (await app.put(path, {"Action": "allow"})).body == b"true"


@pytest.mark.parametrize("path", BLOCKING)
async def test_an_index_is_never_0(autojump_clock: MockClock, path: str) -> None:
    """Also of what is not there: 0 would make clients spin."""
    async with open_app() as app:
        answer = await app.get(f"/v1/{path}")
        assert (answer.status in {200, 404}, answer.index >= 1) == (True, True)


@pytest.mark.parametrize("path", BLOCKING)
@pytest.mark.parametrize(("wait", "least_s"), [("", 300), ("24h", 600), ("160s", 160)])
async def test_how_long_a_read_waits(autojump_clock: MockClock, path: str, wait: str, least_s: float) -> None:
    """5 min unless it says otherwise, 10 at most; stretched by up to a sixteenth unless it streams; the index stays."""
    async with open_app() as app:
        index = (await app.get(f"/v1/{path}")).index
        start_s = trio.current_time()
        answer = await app.get(with_index(path, index, wait))
        took_s = trio.current_time() - start_s
        most_s = least_s if path in STREAMS else least_s * 17 / 16
        assert least_s - 0.01 <= took_s <= most_s + 0.01
        assert answer.index == index


@pytest.mark.parametrize("path", BLOCKING)
async def test_without_an_index_nobody_waits(autojump_clock: MockClock, path: str) -> None:
    async with open_app() as app:
        start_s = trio.current_time()
        for query in ("wait=60s", "index=0&wait=60s"):
            await app.get(f"/v1/{path}{'&' if '?' in path else '?'}{query}")
        assert trio.current_time() == start_s


@pytest.mark.parametrize("path", BLOCKING)
async def test_an_index_that_is_too_high_is_told_back(autojump_clock: MockClock, path: str) -> None:
    """A client from before a loss of data waits once, then sees a lower index and starts anew."""
    async with open_app() as app:
        answer = await app.get(with_index(path, 10**6, "10s"))
        assert 1 <= answer.index < 10**6


async def test_a_restore_answers_everybody() -> None:
    """The state was replaced: whatever one waits for, one reads again, and the index has moved on. By the real clock."""
    async with open_app() as app:
        before = {path: (await app.get(f"/v1/{path}")).index for path in BLOCKING}
        after: dict[str, int] = {}

        async def block(path: str) -> None:
            after[path] = (await app.get(with_index(path, before[path], "60s"))).index

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for path in BLOCKING:
                    nursery.start_soon(block, path)
                while len(app.api.parking) < len(BLOCKING):  # noqa: ASYNC110 - nothing happens then
                    await trio.sleep(0.001)
                await app.engine.restore(State().encode())
        assert all(after[path] > before[path] for path in BLOCKING)


WEB = {"Service": {"Service": "web", "Tags": ["v1"], "Port": 80}}
Act = Callable[[CatalogApp], Awaitable[Any]]
GRANULARITY: list[tuple[str, Act, bool]] = [
    # path, what is done, whether it wakes (measured trap 5)
    ("health/service/web", partial(register, node="n1", Address="192.0.2.9", SkipNodeUpdate=False), True),
    ("catalog/service/web", partial(register, node="n1", Address="192.0.2.9", SkipNodeUpdate=False), True),
    ("health/service/web?tag=v1", partial(register, node="n2", Service={"Service": "web", "Tags": ["v2"]}), True),
    ("health/service/web?passing", partial(register, node="n2", **WEB, Check={"Name": "c"}), True),
    ("health/node/n1", partial(register, node="n2", Check={"Name": "c"}), True),
    ("health/checks/web", partial(register, node="n2", Check={"Name": "c"}), True),
    ("health/state/critical", partial(register, node="n2", Check={"Name": "c", "Status": "passing"}), True),
    ("catalog/node/n1", partial(register, node="n2", **WEB), False),
    ("catalog/node/n1", partial(register, node="n1", Check={"Name": "c"}), False),
    ("catalog/services", partial(register, node="n1", Check={"Name": "c"}), False),
    ("catalog/nodes", partial(register, node="n1", Service={"Service": "x"}), False),
    ("catalog/nodes", partial(write, name="web"), False),
    ("config/service-defaults", partial(write, name="web"), True),
    ("config/service-resolver", partial(write, name="web"), False),
    ("config/service-defaults/web", partial(write, name="db"), False),
    ("discovery-chain/web", partial(write, name="db"), False),
    ("discovery-chain/web", partial(write, name="web"), True),
    ("connect/intentions", partial(allow, source="a", destination="b"), True),
    ("connect/intentions/match?by=destination&name=web", partial(allow, source="a", destination="b"), False),
    ("connect/intentions/match?by=destination&name=web", partial(allow, source="a", destination="web"), True),
]


@pytest.mark.parametrize(("path", "act", "wakes"), GRANULARITY)
async def test_who_wakes(autojump_clock: MockClock, path: str, act: Act, wakes: bool) -> None:
    async with open_app() as app:
        await register(app, "n1", **WEB)
        assert (await woken(app, f"/v1/{path}", partial(act, app)) is not None) is wakes


QUIET: list[tuple[str, Act]] = [
    ("discovery-chain/web", partial(write, name="web")),
    ("discovery-chain/web", partial(write, name="db")),
    ("connect/intentions/match?by=source&name=web", partial(allow, source="x", destination="y")),
]


@pytest.mark.parametrize(("path", "act"), QUIET)
async def test_the_same_result_is_slept_through_and_the_index_at_the_end_is_higher(
    autojump_clock: MockClock, path: str, act: Act
) -> None:
    """Measured traps 4 and 5: an identical entry bumps the index; who waits for another result sleeps on to the time-out."""
    async with open_app() as app:
        await write(app, "web")
        before = (await app.get(f"/v1/{path}")).index
        answers = []

        async def block() -> None:
            answers.append((await app.get(with_index(path, before, "60s")), trio.current_time()))

        start_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(block)
            await trio.sleep(1)
            await act(app)
        ((answer, ended_s),) = answers
        assert ended_s - start_s >= 60
        assert answer.index > before


async def test_last_extinction(autojump_clock: MockClock) -> None:
    """A service that is gone answers with the index of the last one that went, and no index ever goes back."""
    async with open_app() as app:
        await register(app, "n1", **WEB)
        await register(app, "n1", Service={"Service": "db"})
        seen = []
        for service in ("web", "db"):
            seen.append((await app.get("/v1/health/service/web")).index)
            await app.put("/v1/catalog/deregister", {"Node": "n1", "ServiceID": service})
        seen.append((await app.get("/v1/health/service/web")).index)
        assert seen == sorted(seen)
        assert seen[-1] == (await app.get("/v1/health/service/never")).index == app.engine.index


@pytest.mark.parametrize("path", ["health/service/web", "catalog/service/web", "health/state/any", "catalog/nodes"])
async def test_a_bad_filter_is_refused_before_one_waits(autojump_clock: MockClock, path: str) -> None:
    async with open_app() as app:
        start_s = trio.current_time()
        answer = await app.get(f"/v1/{path}?filter=%3D%3D&index=1000&wait=60s")
        assert (answer.status, trio.current_time()) == (500, start_s)
