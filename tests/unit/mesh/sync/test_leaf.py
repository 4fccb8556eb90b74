"""Renewal of the certificate, under virtual time."""

from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from mesh.identity.keep import LeafStore
from mesh.identity.leaf import Leaf
from mesh.identity.live import LiveIdentity
from mesh.sync.client import SyncClient
from mesh.sync.leaf import Clock, LeafRenewal, ask_leaf, keep_leaf
from mesh.sync.link.errors import BadAnswerError
from tests.fakes.authority import Authority, service_uri
from tests.fakes.catalog import FakeCatalog, response_of
from tests.fakes.http_peer import MemoryDialler
from tests.fakes.keys import make_key

LIFE_S = 1000.0
URI = service_uri("web")


class World:
    """A catalog that issues leafs, an identity that needs them, and a wall clock that starts at the leaf's beginning."""

    def __init__(self, nursery: trio.Nursery, directory: Path) -> None:
        self.authority = Authority()
        self.catalog = FakeCatalog(self.authority)
        self.catalog.leaf_life_s = LIFE_S
        self.dialler = MemoryDialler(nursery, self.catalog)
        self.client = SyncClient([self.dialler])
        leaf = self.authority.leaf(URI, begin_s=0.0, life_s=LIFE_S)
        self.identity = LiveIdentity(leaf, self.authority.roots())
        self.start_s = leaf.not_before_s
        self.store = LeafStore(directory / "identity")
        self.clock = Clock(lambda: self.start_s + trio.current_time() - self.trio_start_s, lambda: 0.5, make_key)
        self.trio_start_s = trio.current_time()
        self.renewal = LeafRenewal(self.client, self.identity, self.store, None, self.clock)


async def test_a_leaf_is_renewed_past_half_of_its_life(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, tmp_path: Path
):
    """At the drawn point (60 % for 0.5) a new key and leaf are in use, and on disk."""
    world = World(nursery, tmp_path)
    old = world.identity.leaf
    async with trio.open_nursery() as running:
        running.start_soon(world.renewal.run)
        await world.identity.wait_newer(1)
        assert 599 <= autojump_clock.current_time() - world.trio_start_s <= 601
        await trio.testing.wait_all_tasks_blocked()  # the thread that writes has begun; the nursery waits for it
        running.cancel_scope.cancel()
    assert world.identity.leaf.key_pem != old.key_pem
    assert world.identity.leaf.uri == URI
    assert world.store.load() == world.identity.leaf
    assert world.renewal.renewals >= 1  # virtual time may go on while the thread writes
    nursery.cancel_scope.cancel()


async def test_a_catalog_that_refuses_or_is_away_is_asked_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Failures keep the leaf in use, say how long it lasts, and are tried again before it ends."""
    world = World(nursery, tmp_path)
    world.dialler.up = False
    nursery.start_soon(world.renewal.run)
    await trio.sleep(650)
    world.dialler.up = True
    world.catalog.leaf_status = 403
    await trio.sleep(100)
    assert world.identity.version == 1
    assert world.renewal.failures > 3
    assert "connection refused" in caplog.text
    assert "Permission denied" in caplog.text
    world.catalog.leaf_status = 200
    await world.identity.wait_newer(1)
    assert autojump_clock.current_time() - world.trio_start_s < LIFE_S
    nursery.cancel_scope.cancel()


async def test_a_lapsed_leaf_is_replaced_by_joining_anew(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, tmp_path: Path
):
    """Past its end the certificate opens nothing: whoever can join does, and the catalog is not bothered with it."""
    world = World(nursery, tmp_path)
    fresh = world.authority.leaf(URI)
    joins = 0

    async def rejoin() -> Leaf:
        nonlocal joins
        joins += 1
        await trio.lowlevel.checkpoint()
        return fresh

    world.dialler.up = False
    renewal = LeafRenewal(world.client, world.identity, world.store, rejoin, world.clock)
    nursery.start_soon(renewal.run)
    await world.identity.wait_newer(1)
    assert autojump_clock.current_time() - world.trio_start_s >= LIFE_S
    assert world.identity.leaf == fresh
    assert joins == 1
    nursery.cancel_scope.cancel()


async def test_a_leaf_of_another_name_is_refused(nursery: trio.Nursery):
    """What the catalog answers is held against what was asked."""
    authority = Authority()

    async def swap(_asked: object) -> tuple[int, bytes]:
        await trio.lowlevel.checkpoint()
        return 200, msgspec.json.encode(response_of(authority.leaf(service_uri("api"))))

    with pytest.raises(BadAnswerError, match="got one of"):
        await ask_leaf(SyncClient([MemoryDialler(nursery, swap)]), URI, make_key)


async def test_a_leaf_that_does_not_fit_its_key_changes_nothing(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """The identity in use survives an authority that answers nonsense."""
    world = World(nursery, tmp_path)
    other = world.authority.leaf(URI)

    async def swap(_asked: object) -> tuple[int, bytes]:
        await trio.lowlevel.checkpoint()
        return 200, msgspec.json.encode(response_of(other))

    client = SyncClient([MemoryDialler(nursery, swap)])
    nursery.start_soon(LeafRenewal(client, world.identity, world.store, None, world.clock).run)
    await trio.sleep(700)
    assert world.identity.version == 1
    assert "cannot be used together" in caplog.text
    assert autojump_clock.current_time() >= 700
    nursery.cancel_scope.cancel()


async def test_a_disk_that_fails_does_not_stop_renewal(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """The leaf in memory is good; the log says what will happen at a restart."""
    (tmp_path / "identity").write_text("in the way")
    await keep_leaf(LeafStore(tmp_path / "identity"), Authority().leaf(URI))
    assert "a restart without the catalog will fail" in caplog.text
