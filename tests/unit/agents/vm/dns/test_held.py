"""Lists of the catalog: fresh while it answers, the last known good while it does not."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio

from agents.vm.api.forward import CatalogAwayError, Headers, Passed
from agents.vm.dns.held import ASK_S, AWAY_S, EMPTY_LIMIT, FRESH_S, FULL_LIMIT, HeldLists
from catalog.dns.answer.directory import NotHeldError

HOUR_S = 3600.0


class FakeCatalog:
    """Answers paths; `status` 0 is away, `delay_s` how long it takes."""

    def __init__(self) -> None:
        self.status = 200
        self.delay_s = 0.0
        self.body: Callable[[str], bytes] = lambda path: json.dumps([path]).encode()
        self.asked: list[str] = []
        self.tokens: list[str] = []

    async def __call__(self, method: str, target: str, headers: Headers, body: bytes) -> Passed:
        assert (method, body) == ("GET", b"")
        self.tokens += [value for name, value in headers if name == "x-consul-token"]
        self.asked.append(target)
        await trio.sleep(self.delay_s)
        if not self.status:
            raise CatalogAwayError("nobody there")
        return Passed(self.status, (), self.body(target))


def held(catalog: FakeCatalog, max_stale_s: float = HOUR_S) -> HeldLists:
    return HeldLists(catalog, {}, max_stale_s)


async def read(lists: HeldLists, path: str) -> Any:
    """As the server does: fill until it can be read, or cannot be filled."""
    for _ in range(5):
        try:
            return lists.read(path)
        except NotHeldError as missing:
            assert missing.what == path
            if not await lists.fill(path):
                return "unknown"
    return "never"


async def test_a_list_is_asked_for_once_while_it_is_fresh(autojump_clock: trio.abc.Clock) -> None:
    catalog = FakeCatalog()
    lists = held(catalog)
    for _ in range(3):
        assert await read(lists, "/a") == ["/a"]
    assert catalog.asked == ["/a"]
    await trio.sleep(FRESH_S)
    assert await read(lists, "/a") == ["/a"]
    assert catalog.asked == ["/a", "/a"]


async def test_askers_at_once_share_one_call(autojump_clock: trio.abc.Clock) -> None:
    catalog = FakeCatalog()
    catalog.delay_s = 0.5
    lists = held(catalog)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(read, lists, "/a")
    assert catalog.asked == ["/a"]


async def test_while_the_catalog_is_away_the_last_known_good_counts(autojump_clock: trio.abc.Clock) -> None:
    """At once, but for one asker every two seconds; when it is back, its answers count again."""
    catalog = FakeCatalog()
    lists = held(catalog)
    await read(lists, "/a")
    await trio.sleep(HOUR_S / 2)
    catalog.status = 0
    assert await read(lists, "/a") == ["/a"]
    assert lists.problem
    asked = len(catalog.asked)
    for _ in range(5):
        assert await read(lists, "/a") == ["/a"]
    assert await read(lists, "/never") == "unknown"
    assert len(catalog.asked) == asked
    await trio.sleep(AWAY_S)
    catalog.status, catalog.body = 200, lambda path: b'["new"]'
    assert await read(lists, "/a") == ["new"]
    assert not lists.problem


@pytest.mark.parametrize(("status", "body"), [(500, b""), (503, b""), (429, b""), (200, b"{" * 100_000)])
async def test_a_fault_of_one_list_is_no_outage(status: int, body: bytes, autojump_clock: trio.abc.Clock) -> None:
    """It keeps what was known of itself, for as long as that may be; others are fresh, so that nobody can make them stale."""
    catalog = FakeCatalog()
    lists = held(catalog, max_stale_s=60)
    await read(lists, "/a")
    await trio.sleep(FRESH_S)
    catalog.status, catalog.body = status, lambda path: body
    assert await read(lists, "/a") == ["/a"]
    assert await read(lists, "/never") == "unknown"
    assert not lists.problem
    catalog.status, catalog.body = 200, lambda path: b'["new"]'
    assert await read(lists, "/b") == ["new"]
    catalog.status = 500
    await trio.sleep(61)
    assert await read(lists, "/a") == "unknown"


async def test_a_catalog_that_hangs_holds_up_one_asker_alone(autojump_clock: trio.abc.Clock) -> None:
    """The one who tries again waits, the others have what is held."""
    catalog = FakeCatalog()
    lists = held(catalog)
    await read(lists, "/a")
    await read(lists, "/b")
    await trio.sleep(2 * FRESH_S)
    catalog.delay_s = HOUR_S
    await read(lists, "/a")
    await trio.sleep(AWAY_S)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, lists, "/a")
        await trio.testing.wait_all_tasks_blocked()
        before_s = trio.current_time()
        assert await read(lists, "/b") == ["/b"]
        assert trio.current_time() == before_s
    assert trio.current_time() - before_s == pytest.approx(ASK_S)


async def test_what_is_too_old_is_not_answered(autojump_clock: trio.abc.Clock) -> None:
    """Consul's `max_stale`."""
    catalog = FakeCatalog()
    lists = held(catalog, max_stale_s=60)
    await read(lists, "/a")
    catalog.status = 0
    await trio.sleep(50)
    assert await read(lists, "/a") == ["/a"]
    await trio.sleep(20)
    assert await read(lists, "/a") == "unknown"


async def test_the_nodes_own_rights_are_not_lent(autojump_clock: trio.abc.Clock) -> None:
    """Every call carries a token: the agent's for DNS, its default one, else the anonymous one."""
    catalog = FakeCatalog()
    tokens: dict[str, str] = {}
    lists = HeldLists(catalog, tokens, HOUR_S)
    for kind in ("", "default", "dns"):
        tokens[kind] = f"{kind}-secret"
        await read(lists, f"/{kind}")
    assert catalog.tokens == ["anonymous", "default-secret", "dns-secret"]


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_what_is_refused_or_gone_is_forgotten(status: int, autojump_clock: trio.abc.Clock) -> None:
    """A right taken away must not live on in a cache."""
    catalog = FakeCatalog()
    lists = held(catalog)
    await read(lists, "/a")
    await trio.sleep(FRESH_S)
    catalog.status = status
    assert await read(lists, "/a") is None
    catalog.status = 0
    await trio.sleep(FRESH_S)
    assert await read(lists, "/a") is None


async def test_a_slow_catalogs_answers_are_fresh_for_longer(autojump_clock: trio.abc.Clock) -> None:
    """A question that needs two lists comes to its end although each takes longer than freshness lasts."""
    catalog = FakeCatalog()
    catalog.delay_s = 1.5
    lists = held(catalog)
    await read(lists, "/a")
    await read(lists, "/b")
    assert lists.read("/a") == ["/a"]


async def test_names_that_do_not_exist_push_nothing_out(autojump_clock: trio.abc.Clock) -> None:
    """Empty lists have a bound of their own, and so have full ones."""
    catalog = FakeCatalog()
    catalog.body = lambda path: b'["x"]' if path.startswith("/full") else b"[]"
    lists = held(catalog)
    await read(lists, "/full")
    for number in range(EMPTY_LIMIT + 10):
        await read(lists, f"/none/{number}")
    assert lists.read("/full") == ["x"]
    with pytest.raises(NotHeldError):
        lists.read("/none/0")
    for number in range(FULL_LIMIT):
        await read(lists, f"/full/{number}")
    with pytest.raises(NotHeldError):
        lists.read("/full")
