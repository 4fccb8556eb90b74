"""The task that follows the catalog, under virtual time."""

import logging
from pathlib import Path

import pytest
import trio
import trio.testing

from mesh.model.intention import IntentionSet
from mesh.model.snapshot import MeshSettings, Roots, Snapshot
from mesh.sync.cache import ResourceCache
from mesh.sync.client import SyncClient
from mesh.sync.follow import ProxyPlan
from mesh.sync.follower import Follower, load_last_good
from mesh.sync.holder import SnapshotHolder
from mesh.sync.link.errors import UnreachableError
from tests.fakes.catalog import FakeCatalog
from tests.fakes.http_peer import MemoryDialler

PLAN = ProxyPlan("web", "vm")
MESH = MeshSettings("dc1", "test.linkspan")


class World:
    """A catalog, a follower of it and the snapshots it showed."""

    def __init__(self, nursery: trio.Nursery, cache: ResourceCache | None = None) -> None:
        self.catalog = FakeCatalog()
        self.catalog.put("roots", Roots("test.linkspan", 1))
        self.catalog.put("mesh", MESH)
        self.catalog.put("intentions/web", IntentionSet("web", 1))
        self.dialler = MemoryDialler(nursery, self.catalog)
        self.holder = SnapshotHolder(Snapshot(PLAN.local))
        self.follower = Follower(SyncClient([self.dialler]), PLAN, self.holder, cache, lambda: 1.0)

    async def cut(self) -> None:
        """The catalog goes away, with every connection."""
        self.dialler.up = False
        for stream in self.dialler.streams:
            await trio.aclose_forcefully(stream)


async def test_the_snapshot_follows_the_catalog(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock):
    """Everything wanted is shown after the first answer, and a change at once when it happens."""
    world = World(nursery)
    assert world.follower.missing == ("roots", "mesh", "intentions/web")
    nursery.start_soon(world.follower.run)
    snapshot = await world.holder.wait_newer(1)
    assert snapshot.intentions == IntentionSet("web", 1)
    assert snapshot.local.trust_domain == "test.linkspan"
    await trio.sleep(120)
    assert world.follower.missing == ()
    assert world.holder.version == 2  # long polls without news change nothing
    before_s = autojump_clock.current_time()
    world.catalog.put("intentions/web", IntentionSet("web", 2))
    assert (await world.holder.wait_newer(2)).intentions == IntentionSet("web", 2)
    assert autojump_clock.current_time() == before_s
    assert world.follower.index == world.catalog.index
    assert world.follower.age_s() == 0
    nursery.cancel_scope.cancel()


async def test_a_catalog_that_is_away_changes_nothing(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
):
    """What is held stays for however long; tries get rarer; one line says so a minute; news come with its return."""
    caplog.set_level(logging.INFO, "linkspan.sync")
    world = World(nursery)
    nursery.start_soon(world.follower.run)
    held = await world.holder.wait_newer(1)
    await world.cut()
    await trio.sleep(600)
    assert world.holder.current is held
    age_s = world.follower.age_s()
    assert age_s is not None
    assert age_s >= 600
    assert sum("does not answer" in record.message for record in caplog.records) in range(2, 12)
    world.catalog.put("intentions/web", IntentionSet("web", 2))
    world.dialler.up = True
    before_s = autojump_clock.current_time()
    assert (await world.holder.wait_newer(2)).intentions == IntentionSet("web", 2)
    assert autojump_clock.current_time() - before_s <= 30
    nursery.cancel_scope.cancel()


async def test_an_answer_before_its_time_makes_no_storm(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock):
    """Another side that answers long polls at once, without news, is asked ten times a second at most."""
    calls = 0

    async def hasty(_asked: object) -> tuple[int, bytes]:
        nonlocal calls
        calls += 1
        await trio.lowlevel.checkpoint()
        return 200, b'{"index":1}'

    holder = SnapshotHolder(Snapshot(PLAN.local))
    follower = Follower(SyncClient([MemoryDialler(nursery, hasty)]), PLAN, holder)
    nursery.start_soon(follower.run)
    await trio.sleep(10)
    assert calls <= 102
    nursery.cancel_scope.cancel()


async def test_a_step_raises_what_went_wrong(nursery: trio.Nursery):
    """`step` is one call; its errors are for `run` to survive."""
    world = World(nursery)
    world.dialler.up = False
    assert world.follower.age_s() is None
    with pytest.raises(UnreachableError):
        await world.follower.step()


async def test_what_is_held_is_kept_and_restored(nursery: trio.Nursery, tmp_path: Path):
    """After a restart with the catalog away, the same snapshot is there."""
    cache = ResourceCache(tmp_path / "resources.json", "web@vm")
    world = World(nursery, cache)
    async with trio.open_nursery() as running:
        running.start_soon(world.follower.run)
        await world.holder.wait_newer(1)
        await trio.testing.wait_all_tasks_blocked()  # the thread that writes has begun; the nursery waits for it
        running.cancel_scope.cancel()
    holder = SnapshotHolder(Snapshot(PLAN.local))
    dialler = MemoryDialler(nursery, world.catalog)
    dialler.up = False
    again = Follower(SyncClient([dialler]), PLAN, holder, cache)
    again.restore(load_last_good(cache))
    assert holder.current == world.holder.current
    assert again.missing == ()
    nursery.cancel_scope.cancel()


def test_a_damaged_cache_is_ignored_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """The process starts without it, and the log says why."""
    path = tmp_path / "resources.json"
    path.write_bytes(b"junk")
    assert load_last_good(ResourceCache(path, "web@vm")) == ()
    assert "the last-known-good is ignored" in caplog.text


async def test_a_resource_that_cannot_be_used_is_logged_and_refused(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
):
    """The catalog hears the reason; the proxy keeps the last good value."""
    world = World(nursery)
    nursery.start_soon(world.follower.run)
    await world.holder.wait_newer(1)
    world.catalog.put("intentions/web", b'{"service":"api","index":9}')
    await trio.sleep(200)
    assert world.holder.current.intentions == IntentionSet("web", 1)
    refused = [refusal for request in world.catalog.requests for refusal in request.refused]
    assert [refusal.name for refusal in refused] == ["intentions/web"]
    assert "the last good one stays" in caplog.text
    assert autojump_clock.current_time() >= 200
    nursery.cancel_scope.cancel()
