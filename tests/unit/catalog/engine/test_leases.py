"""Leases at work: lapse by the clock, renewals that cost nothing, return, removal after the delay, restarts."""

import pytest
import trio
from trio.testing import MockClock

from catalog.engine import Catalog
from catalog.state.records import META_DEREGISTER_AFTER_S
from catalog.store.memory import Memory, MemoryStore
from mesh.model.endpoint import Health
from tests.fakes.engine import GatedStore, running, web


def status(catalog: Catalog, number: int = 0) -> Health | None:
    check = catalog.state.check(f"n{number}", "serfHealth")
    return check.status if check else None


async def test_a_lease_lapses_at_its_time_to_live(autojump_clock: MockClock) -> None:
    """DESIGN 4: 15 s without a word and the node is critical; whoever watches its service wakes."""
    del autojump_clock
    async with running(MemoryStore()) as catalog:
        await catalog.submit(web(lease_ttl_s=15))
        await trio.sleep(14.9)
        assert status(catalog) is Health.PASSING
        await catalog.wait([("service", "web")], catalog.index, 1)
        assert status(catalog) is Health.CRITICAL
        assert trio.current_time() == pytest.approx(15.0, abs=0.01)


async def test_renewals_keep_a_lease_and_cost_no_commit(autojump_clock: MockClock) -> None:
    """An hour of renewals: passing throughout, no disk write, no index."""
    del autojump_clock
    store = GatedStore()
    async with running(store) as catalog:
        await catalog.submit(web(lease_ttl_s=15))
        for _ in range(360):
            await trio.sleep(10)
            assert await catalog.renew_lease("n0") is True
            assert status(catalog) is Health.PASSING
        assert (store.commits, catalog.index) == ([1], 2)


async def test_an_identical_registration_renews(autojump_clock: MockClock) -> None:
    """It changes nothing in the state, but its sender was heard."""
    del autojump_clock
    async with running(MemoryStore()) as catalog:
        for _ in range(10):
            await catalog.submit(web(lease_ttl_s=15))
            await trio.sleep(10)
        assert (status(catalog), catalog.index) == (Health.PASSING, 2)


async def test_a_holder_that_returns_restores_its_lease(autojump_clock: MockClock) -> None:
    """After a lapse the next renewal makes the node passing; one without a lease is told to register."""
    del autojump_clock
    async with running(MemoryStore()) as catalog:
        await catalog.submit(web(lease_ttl_s=15))
        await trio.sleep(100)
        assert status(catalog) is Health.CRITICAL
        assert await catalog.renew_lease("n0") is True
        assert status(catalog) is Health.PASSING
        await trio.sleep(16)
        assert status(catalog) is Health.CRITICAL
        assert await catalog.renew_lease("nobody") is False


async def test_a_renewal_during_the_lapse_wins(autojump_clock: MockClock) -> None:
    """Heard while the lapse was on its way to the disk: lapsed, then restored at once, and it lapses again in time."""
    del autojump_clock
    store = GatedStore()
    async with running(store) as catalog:
        await catalog.submit(web(lease_ttl_s=15))
        store.gate = trio.Event()
        await trio.sleep(15.5)
        assert await catalog.renew_lease("n0") is True
        store.gate.set()
        await trio.sleep(1)
        assert status(catalog) is Health.PASSING
        await trio.sleep(20)
        assert status(catalog) is Health.CRITICAL


async def test_a_restart_gives_every_lease_twice_its_time(autojump_clock: MockClock) -> None:
    """An outage of the catalog makes no node critical; one that lapsed before stays lapsed."""
    del autojump_clock
    memory = Memory()
    async with running(MemoryStore(memory)) as catalog:
        await catalog.submit(web(0, lease_ttl_s=15))
        await trio.sleep(16)
        await catalog.submit(web(1, lease_ttl_s=15))
    await trio.sleep(1000)
    async with running(MemoryStore(memory)) as catalog:
        await trio.sleep(29.5)
        assert (status(catalog, 0), status(catalog, 1)) == (Health.CRITICAL, Health.PASSING)
        await trio.sleep(1)
        assert status(catalog, 1) is Health.CRITICAL


async def test_a_lapsed_node_leaves_after_its_delay(autojump_clock: MockClock) -> None:
    """72 h for a host, its meta's seconds if it says so, at once for 0; a restart in between does not start it anew."""
    del autojump_clock
    memory = Memory()
    async with running(MemoryStore(memory)) as catalog:
        await catalog.submit(web(0, lease_ttl_s=15))
        await catalog.submit(web(1, lease_ttl_s=15, **{META_DEREGISTER_AFTER_S: "600"}))
        await catalog.submit(web(2, lease_ttl_s=15, **{META_DEREGISTER_AFTER_S: "0"}))
        await trio.sleep(15.5)
        assert [node.node for node in catalog.state.nodes()] == ["n0", "n1"]
        await trio.sleep(300)
    async with running(MemoryStore(memory)) as catalog:
        await trio.sleep(298)
        assert catalog.state.node("n1") is not None
        await trio.sleep(3)
        assert catalog.state.node("n1") is None
        await trio.sleep(72 * 3600 - 620)
        assert catalog.state.node("n0") is not None
        await trio.sleep(30)
        assert catalog.state.nodes() == []


async def test_a_thousand_leases_lapse_together(autojump_clock: MockClock) -> None:
    """A lost rack: all of it critical at once, in few commits."""
    del autojump_clock
    store = GatedStore()
    async with running(store) as catalog:
        async with trio.open_nursery() as senders:
            for number in range(1000):
                senders.start_soon(catalog.submit, web(number, lease_ttl_s=15))
        commits = len(store.commits)
        await trio.sleep(15.5)
        assert len(catalog.state.lapsed_leases()) == 1000
        assert len(store.commits) - commits <= 10


async def test_a_short_lease_is_not_held_up_by_a_long_one(autojump_clock: MockClock) -> None:
    """The next deadline is found anew when a shorter lease is granted."""
    del autojump_clock
    async with running(MemoryStore()) as catalog:
        await catalog.submit(web(0, lease_ttl_s=50))
        await trio.sleep(1)
        await catalog.submit(web(1, lease_ttl_s=2))
        await trio.sleep(2.1)
        assert (status(catalog, 0), status(catalog, 1)) == (Health.PASSING, Health.CRITICAL)
