"""Sessions at work: time to live by the clock, renewals that cost nothing, and what those who wait see."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from catalog.engine import Catalog
from catalog.state.changes import CreateSession, DestroySession, PutKey
from catalog.state.records import Session
from catalog.state.state import State
from catalog.store.memory import Memory, MemoryStore
from tests.fakes.engine import GatedStore, running, web


async def with_session(catalog: Catalog, session_id: str = "s", ttl_s: float = 10.0) -> None:
    await catalog.submit(web())
    await catalog.submit(CreateSession(Session(session_id, "n0", ttl=f"{ttl_s:g}s" if ttl_s else "", ttl_s=ttl_s)))


async def test_a_session_ends_at_twice_its_time(autojump_clock: MockClock) -> None:
    """Measured trap 8: 10 s end after 20; whoever watches its key wakes and sees it free."""
    del autojump_clock
    async with running(MemoryStore()) as catalog:
        await with_session(catalog)
        await catalog.submit(PutKey("a", b"1", acquire="s"))
        await trio.sleep(19.9)
        assert catalog.state.session("s") is not None
        await catalog.wait([("key", "a")], catalog.index, 1)
        assert trio.current_time() == pytest.approx(20.0, abs=0.01)
        row = catalog.state.key("a")
        assert row is not None
        assert (catalog.state.session("s"), row.session) == (None, "")


async def test_renewals_keep_a_session_and_cost_no_commit(autojump_clock: MockClock) -> None:
    del autojump_clock
    store = GatedStore()
    async with running(store) as catalog:
        await with_session(catalog)
        for _ in range(100):
            await trio.sleep(15)
            assert await catalog.renew_session("s") == catalog.state.session("s") is not None
        assert (store.commits, catalog.index) == ([1, 1], 3)
        assert await catalog.renew_session("nobody") is None


async def test_a_session_without_time_to_live_stays(autojump_clock: MockClock) -> None:
    del autojump_clock
    async with running(MemoryStore()) as catalog:
        await with_session(catalog, ttl_s=0.0)
        await trio.sleep(80_000)
        assert await catalog.renew_session("s") is not None


async def test_a_destroyed_session_is_not_followed(autojump_clock: MockClock) -> None:
    """No change comes of it later."""
    del autojump_clock
    async with running(MemoryStore()) as catalog:
        await with_session(catalog)
        await catalog.submit(DestroySession("s"))
        index = catalog.index
        await trio.sleep(1000)
        assert catalog.index == index


async def test_a_restart_gives_every_session_its_whole_time(autojump_clock: MockClock) -> None:
    """An outage of the catalog takes nobody's lock."""
    del autojump_clock
    memory = Memory()
    async with running(MemoryStore(memory)) as catalog:
        await with_session(catalog)
        await trio.sleep(19)
    await trio.sleep(1000)
    async with running(MemoryStore(memory)) as catalog:
        await trio.sleep(19)
        assert catalog.state.session("s") is not None
        await trio.sleep(2)
        assert catalog.state.session("s") is None


async def test_a_session_whose_end_is_being_written_is_not_renewed(autojump_clock: MockClock) -> None:
    """Its holder must not be told that it has what the next moment takes away."""
    del autojump_clock
    store = GatedStore()
    async with running(store) as catalog:
        await with_session(catalog)
        store.gate = trio.Event()
        await trio.sleep(20.5)
        assert catalog.state.session("s") is not None
        assert await catalog.renew_session("s") is None
        store.gate.set()
        await wait_all_tasks_blocked()
        assert catalog.state.session("s") is None


async def test_a_full_disk_puts_the_end_off(autojump_clock: MockClock) -> None:
    """It is tried again, and the session is there meanwhile."""
    del autojump_clock
    store = GatedStore()
    async with running(store) as catalog:
        await with_session(catalog)
        store.full = True
        await trio.sleep(30)
        assert catalog.state.session("s") is not None
        store.full = False
        await trio.sleep(1)
        assert catalog.state.session("s") is None


async def test_a_shorter_session_is_not_held_up_by_a_longer_one(autojump_clock: MockClock) -> None:
    del autojump_clock
    async with running(MemoryStore()) as catalog:
        await with_session(catalog, "long", 1000.0)
        await trio.sleep(1)
        await with_session(catalog, "short", 10.0)
        await trio.sleep(20.1)
        assert [session.id for session in catalog.state.sessions()] == ["long"]


async def test_a_thousand_sessions_end_together_in_few_commits(autojump_clock: MockClock) -> None:
    del autojump_clock
    store = GatedStore()
    async with running(store) as catalog:
        await catalog.submit(web())
        async with trio.open_nursery() as senders:
            for number in range(1000):
                session = Session(f"s{number}", "n0", ttl="10s", ttl_s=10.0)
                senders.start_soon(catalog.submit, CreateSession(session))
        commits = len(store.commits)
        await trio.sleep(20.5)
        assert catalog.state.sessions() == []
        assert len(store.commits) - commits <= 10


async def test_what_a_restore_took_away_is_not_ended_for_ever(autojump_clock: MockClock) -> None:
    """Neither its session nor its lease, whose ends would change nothing: the engine sleeps again."""
    del autojump_clock
    async with running(MemoryStore()) as catalog:
        await catalog.submit(web(lease_ttl_s=10))
        await catalog.submit(CreateSession(Session("s", "n0", ttl="10s", ttl_s=10.0)))
        await catalog.restore(State().encode())
        with trio.fail_after(1000):
            await trio.sleep(500)
        await wait_all_tasks_blocked()
        assert (catalog.state.nodes(), catalog.state.sessions()) == ([], [])
