"""The relay under virtual time: one call upstream, many parked proxies, outages."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from agents.vm.relay.relay import MAX_PARKED, BusyError, Relay
from mesh.sync.cache import ResourceCache
from mesh.sync.link.errors import UnreachableError
from mesh.wire.sync import Resource, SyncRequest, SyncResponse, Want

Build = Callable[[], tuple["FakeCatalog", Relay]]


class FakeCatalog:
    """Answers sync calls from a table of resources; parks; can be away."""

    def __init__(self) -> None:
        self.resources: dict[str, str] = {"roots": "1", "mesh": "1"}
        self.index = 1
        self.calls: list[SyncRequest] = []
        self.away = False
        self._changed = trio.Event()

    def put(self, name: str, version: str) -> None:
        self.resources[name] = version
        self.index += 1
        self._changed.set()
        self._changed = trio.Event()

    def vanish(self) -> None:
        self.away = True
        self._changed.set()

    async def call(self, request: SyncRequest) -> SyncResponse:
        self.calls.append(request)
        with trio.move_on_after(request.wait_s):
            while not self.away and not self._news(request):
                await self._changed.wait()
        await trio.lowlevel.checkpoint()
        if self.away:
            raise UnreachableError("away")
        return SyncResponse(self.index, self._news(request))

    def _news(self, request: SyncRequest) -> tuple[Resource, ...]:
        return tuple(
            Resource(want.name, self.resources[want.name], msgspec.Raw(b"{}"))
            for want in request.wants
            if self.resources.get(want.name, want.version) != want.version
        )


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def make() -> tuple[FakeCatalog, Relay]:
        catalog = FakeCatalog()
        return catalog, Relay(catalog, ResourceCache(tmp_path / "cache" / "r.json", "node:vm1"), lambda: 0.5)

    return make


def asks(*wants: tuple[str, str], wait_s: float = 0.0) -> SyncRequest:
    return SyncRequest(tuple(Want(*want) for want in wants), wait_s)


async def test_proxies_share_one_call_and_wake_on_their_own_news(
    build: Build, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """Each parked proxy wakes when something it follows changed, and only then."""
    del autojump_clock
    catalog, relay = build()
    catalog.resources |= {"chain/a": "1", "chain/b": "1"}
    nursery.start_soon(relay.run)
    for name in ("chain/a", "chain/b"):
        first = await relay.answer(asks((name, "")))
        assert [one.version for one in first.changed] == ["1"]
    woken: dict[str, float] = {}

    async def park(name: str) -> None:
        told = await relay.answer(asks((name, "1"), wait_s=50))
        assert [one.version for one in told.changed] == ["2"]
        woken[name] = trio.current_time()

    begin = trio.current_time()
    nursery.start_soon(park, "chain/a")
    nursery.start_soon(park, "chain/b")
    await trio.sleep(5)
    catalog.put("chain/a", "2")
    await trio.sleep(5)
    catalog.put("chain/b", "2")
    await trio.sleep(1)
    assert {name: round(at - begin) for name, at in woken.items()} == {"chain/a": 5, "chain/b": 10}
    assert max(len(call.wants) for call in catalog.calls) == 4


async def test_a_new_want_replaces_the_parked_call(
    build: Build, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """A starting proxy does not wait for the long poll of the others."""
    del autojump_clock
    catalog, relay = build()
    catalog.resources["chain/a"] = "1"
    nursery.start_soon(relay.run)
    await trio.sleep(10)
    begin = trio.current_time()
    told = await relay.answer(asks(("chain/a", "")))
    assert [one.name for one in told.changed] == ["chain/a"]
    assert trio.current_time() - begin < 0.1


async def test_an_outage_is_bridged_and_survives_a_restart(
    build: Build, autojump_clock: trio.testing.MockClock
) -> None:
    """What is held is served while the catalog is away, also by the next agent process; news arrive soon after."""
    del autojump_clock
    catalog, relay = build()
    catalog.resources["chain/a"] = "1"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run)
        await relay.answer(asks(("chain/a", "")))
        await trio.sleep(2)
        catalog.vanish()
        await trio.sleep(30)
        assert relay.problem == "away"
        told = await relay.answer(asks(("chain/a", "")))
        assert [one.version for one in told.changed] == ["1"]
        nursery.cancel_scope.cancel()
    catalog, relay = build()
    catalog.away = True
    await relay.restore()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run)
        told = await relay.answer(asks(("chain/a", ""), ("roots", "")))
        assert sorted(one.name for one in told.changed) == ["chain/a", "roots"]
        begin = trio.current_time()
        unknown = await relay.answer(asks(("chain/a", ""), ("chain/new", "")))
        assert [one.name for one in unknown.changed] == ["chain/a"]
        assert trio.current_time() - begin <= 5
        await trio.sleep(60)
        catalog.away = False
        catalog.resources["chain/a"] = "2"
        later = await relay.answer(asks(("chain/a", "1"), wait_s=50))
        assert [one.version for one in later.changed] == ["2"]
        assert not relay.problem
        nursery.cancel_scope.cancel()


async def test_a_wait_without_news_ends_empty(
    build: Build, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """After its wait a proxy gets an empty answer; without a wait at once."""
    del autojump_clock
    catalog, relay = build()
    catalog.resources["chain/a"] = "1"
    nursery.start_soon(relay.run)
    await relay.answer(asks(("chain/a", "")))
    begin = trio.current_time()
    told = await relay.answer(asks(("chain/a", "1"), wait_s=20))
    assert (told.changed, told.removed) == ((), ())
    assert trio.current_time() - begin == pytest.approx(20)
    await relay.answer(asks(("chain/a", "1")))
    assert trio.current_time() - begin == pytest.approx(20)


async def test_parked_proxies_are_bounded(
    build: Build, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """The one too many is told so."""
    del autojump_clock
    catalog, relay = build()
    catalog.resources["chain/a"] = "1"
    nursery.start_soon(relay.run)
    await relay.answer(asks(("chain/a", "")))
    for _ in range(MAX_PARKED):
        nursery.start_soon(relay.answer, asks(("chain/a", "1"), wait_s=50))
    await trio.sleep(1)
    with pytest.raises(BusyError):
        await relay.answer(asks(("chain/a", "1"), wait_s=50))


async def test_news_are_told_and_a_damaged_cache_is_ignored(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """The agent itself learns of new roots; rubbish on disk is no reason to fail."""
    del autojump_clock
    path = tmp_path / "r.json"
    path.write_bytes(b"rubbish")
    heard: list[set[str]] = []
    relay = Relay(FakeCatalog(), ResourceCache(path, "node:vm1"), lambda: 0.5, heard.append)
    await relay.restore()
    nursery.start_soon(relay.run)
    await trio.sleep(1)
    assert heard[0] == {"roots", "mesh"}
    held = relay.held("roots")
    assert held is not None
    assert held.version == "1"
