"""The engine: durable before visible, one commit for many, answers in order, waiters by topic, leases by the clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from catalog.engine import Catalog, CatalogBusyError, CatalogStoppedError
from catalog.state.changes import (
    AnyChange,
    Batch,
    DeleteRecord,
    Deregister,
    PutConfig,
    PutRecord,
    Register,
    UpdateCheck,
)
from catalog.state.errors import ConflictError, InvalidChangeError, UnknownSubjectError
from catalog.state.records import META_DEREGISTER_AFTER_S, Node, ServiceInstance
from catalog.store import LogEntry, StoreCorruptError, StoreError
from catalog.store.memory import Memory, MemoryStore
from mesh.model.endpoint import Health

START_S = 1_000_000_000.0


class GatedStore(MemoryStore):
    """A memory store whose commits wait for a gate, are counted, and can be made to fail."""

    def __init__(self, memory: Memory | None = None) -> None:
        super().__init__(memory)
        self.gate = trio.Event()
        self.gate.set()
        self.commits: list[int] = []
        self.compactions: list[int] = []
        self.broken = False

    async def commit(self, entries: list[LogEntry]) -> None:
        await self.gate.wait()
        if self.broken:
            raise StoreError("the disk is full")
        await super().commit(entries)
        self.commits.append(len(entries))

    async def compact(self, index: int, snapshot: bytes) -> None:
        await super().compact(index, snapshot)
        self.compactions.append(index)


@asynccontextmanager
async def running(store: MemoryStore, **settings: Any) -> AsyncIterator[Catalog]:
    """A catalog at work on the store, on the test's clock; the store is closed after."""
    settings = {"epoch": lambda: START_S + trio.current_time(), **settings}
    catalog = await Catalog.open(store, **settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(catalog.run)
        yield catalog
        nursery.cancel_scope.cancel()
    await store.close()


def web(number: int = 0, *, lease_ttl_s: float = 0.0, **meta: str) -> Register:
    return Register(Node(f"n{number}", "10.0.0.1", meta=meta), (ServiceInstance("web"),), lease_ttl_s=lease_ttl_s)


async def test_a_change_is_there_after_its_answer_and_after_a_restart() -> None:
    """Acknowledged means kept, with the same index."""
    memory = Memory()
    async with running(MemoryStore(memory)) as catalog:
        assert await catalog.submit(web()) is True
        assert len(catalog.state.service("web")) == 1
        index = catalog.state.index_of(("service", "web"))
    async with running(MemoryStore(memory)) as catalog:
        assert len(catalog.state.service("web")) == 1
        assert catalog.state.index_of(("service", "web")) == index == catalog.index == 2


async def test_nobody_sees_a_change_before_it_is_on_disk(nursery: trio.Nursery) -> None:
    """While the disk works, reads give the state before, waiters sleep and the sender waits."""
    store = GatedStore()
    async with running(store) as catalog:
        store.gate = trio.Event()
        done: list[str] = []

        async def send() -> None:
            await catalog.submit(web())
            done.append("sent")

        async def watch() -> None:
            await catalog.wait([("service", "web")], 1, 1e9)
            done.append("woken")

        nursery.start_soon(send)
        nursery.start_soon(watch)
        await wait_all_tasks_blocked()
        assert (done, catalog.state.service("web"), catalog.index) == ([], [], 1)
        store.gate.set()
        await wait_all_tasks_blocked()
        assert sorted(done) == ["sent", "woken"]
        assert len(catalog.state.service("web")) == 1


async def test_what_queues_during_a_commit_goes_in_one() -> None:
    """Group commit: fifty senders cost two commits, and all are answered."""
    store = GatedStore()
    async with running(store) as catalog:
        store.gate = trio.Event()
        async with trio.open_nursery() as senders:
            senders.start_soon(catalog.submit, web(0))
            await wait_all_tasks_blocked()
            for number in range(1, 51):
                senders.start_soon(catalog.submit, web(number))
            await wait_all_tasks_blocked()
            assert catalog.pending == 50
            store.gate.set()
        assert store.commits == [1, 50]
        assert len(catalog.state.service("web")) == 51


async def test_a_change_that_does_nothing_costs_nothing() -> None:
    """Idempotence: the answer is the same, no commit, no index."""
    store = GatedStore()
    async with running(store) as catalog:
        for _ in range(3):
            assert await catalog.submit(web()) is True
        assert await catalog.submit(Deregister("nobody")) is True
        assert await catalog.submit(PutConfig("mesh", "mesh", {}, cas=7)) is False
        assert (store.commits, catalog.index) == ([1], 2)


async def test_equal_changes_in_one_group_move_the_index_once() -> None:
    """The second is judged after the first, though both were queued before either was on disk."""
    store = GatedStore()
    async with running(store) as catalog:
        results: list[object] = []

        async def send(change: AnyChange) -> None:
            results.append(await catalog.submit(change))

        async with trio.open_nursery() as senders:
            for _ in range(5):
                senders.start_soon(send, web())
        assert results == [True] * 5
        assert catalog.state.index_of(("service", "web")) == 2


async def test_a_change_is_judged_after_those_queued_before_it() -> None:
    """One that would do nothing now does something behind another of its group; one of another subject still costs nothing."""
    store = GatedStore()
    async with running(store) as catalog:
        await catalog.submit(web(0))
        await catalog.submit(web(1))
        store.gate = trio.Event()
        async with trio.open_nursery() as senders:
            for change in (PutRecord("t", "held", b""), Deregister("n0"), web(0), web(1)):
                senders.start_soon(catalog.submit, change)
                await wait_all_tasks_blocked()
            store.gate.set()
        assert len(catalog.state.service("web")) == 2
        assert store.commits == [1, 1, 1, 2]


async def test_one_of_many_creates() -> None:
    """Compare-and-set among changes of one group: exactly one True, and a consumed record is consumed once."""
    async with running(GatedStore()) as catalog:
        results: list[object] = []

        async def send(change: AnyChange) -> None:
            results.append(await catalog.submit(change))

        async with trio.open_nursery() as senders:
            for number in range(9):
                senders.start_soon(send, PutRecord("tokens", "t", b"%d" % number, 0))
        assert sorted(map(str, results)) == ["False"] * 8 + ["True"]
        results.clear()
        async with trio.open_nursery() as senders:
            for _ in range(9):
                senders.start_soon(send, DeleteRecord("tokens", "t"))
        assert sorted(map(str, results)) == ["False"] * 8 + ["True"]


async def test_a_refused_change_leaves_its_group_alone() -> None:
    """Refusals reach their sender, at the head of a group or behind another change of the same node; a restart agrees."""
    memory = Memory()
    async with running(GatedStore(memory)) as catalog:
        errors: list[type] = []

        async def send(change: AnyChange) -> None:
            try:
                await catalog.submit(change)
            except (InvalidChangeError, ConflictError) as error:
                errors.append(type(error))

        async with trio.open_nursery() as senders:
            senders.start_soon(send, Register(Node("n0")))
            senders.start_soon(send, web(0))
            senders.start_soon(send, UpdateCheck("n0", "none", Health.PASSING))
            senders.start_soon(send, Batch((PutRecord("t", "a", b""), PutRecord("t", "b", b"", cas=9))))
            senders.start_soon(send, PutConfig("mesh", "mesh", {"x": object()}))
            senders.start_soon(send, web(1))
        assert sorted(error.__name__ for error in errors) == sorted(
            ("InvalidChangeError", "UnknownSubjectError", "ConflictError", "InvalidChangeError")
        )
        assert len(catalog.state.service("web")) == 2
        image = catalog.state.encode()
    async with running(MemoryStore(memory)) as catalog:
        assert catalog.state.encode() == image
        with pytest.raises(UnknownSubjectError):
            await catalog.submit(UpdateCheck("n0", "none", Health.PASSING))


async def test_a_full_queue_refuses() -> None:
    """Bounded: the sender is told to come again, and what was taken is done."""
    store = GatedStore()
    async with running(store, pending_limit=3) as catalog:
        store.gate = trio.Event()
        async with trio.open_nursery() as senders:
            for number in range(4):
                senders.start_soon(catalog.submit, web(number))
                await wait_all_tasks_blocked()
            with pytest.raises(CatalogBusyError):
                await catalog.submit(web(9))
            store.gate.set()
        assert len(catalog.state.service("web")) == 4


async def test_a_sender_that_hangs_up_loses_only_its_answer() -> None:
    """A change that was queued happens; nothing waits for the sender."""
    async with running(MemoryStore()) as catalog:
        with trio.CancelScope() as scope:
            scope.cancel()
            await catalog.submit(web())
        await catalog.submit(PutRecord("t", "k", b""))
        assert len(catalog.state.service("web")) == 1


async def test_a_store_that_fails_ends_the_catalog() -> None:
    """No answer that is a guess: senders are told, waiters let go, `run` raises, and nothing was applied."""
    store = GatedStore()
    catalog = await Catalog.open(store)
    outcomes: list[str] = []

    async def send(number: int) -> None:
        try:
            await catalog.submit(web(number, lease_ttl_s=15))
        except CatalogStoppedError:
            outcomes.append("stopped")

    async def watch() -> None:
        await catalog.wait([("nodes",)], 1, 1e9)
        outcomes.append("let go")

    async def run() -> None:
        with pytest.raises(StoreError, match="disk is full"):
            await catalog.run()
        outcomes.append("raised")

    store.broken = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        nursery.start_soon(send, 1)
        nursery.start_soon(run)
        await wait_all_tasks_blocked()
        nursery.start_soon(send, 2)
    assert sorted(outcomes) == ["let go", "raised", "stopped", "stopped"]
    assert catalog.state.nodes() == []


async def test_a_catalog_that_stops_tells_its_senders(nursery: trio.Nursery) -> None:
    """Queued or being written, no sender is left hanging; waiters return."""
    store = GatedStore()
    catalog = await Catalog.open(store)
    told: list[int] = []

    async def send(number: int) -> None:
        with pytest.raises(CatalogStoppedError):
            await catalog.submit(web(number))
        told.append(number)

    async with trio.open_nursery() as inner:
        await inner.start(catalog.run)
        store.gate = trio.Event()
        for number in range(3):
            nursery.start_soon(send, number)
            await wait_all_tasks_blocked()
        nursery.start_soon(catalog.wait, [("nodes",)], 1, 1e9)
        await wait_all_tasks_blocked()
        inner.cancel_scope.cancel()
    await wait_all_tasks_blocked()
    assert sorted(told) == [0, 1, 2]
    assert catalog.waiting == 0


async def test_the_log_is_compacted(autojump_clock: MockClock) -> None:
    """Every N changes a snapshot takes the log's place; a restart gives the same state, indexes of the gone included."""
    del autojump_clock
    memory = Memory()
    store = GatedStore(memory)
    async with running(store, compact_every=10) as catalog:
        for number in range(25):
            await catalog.submit(web(number))
            await catalog.submit(Deregister(f"n{number - 1}"))
        image = catalog.state.encode()
        assert store.compactions == [11, 21, 31, 41]
        assert [index for index, _ in memory.entries] == list(range(42, 51))
    async with running(MemoryStore(memory)) as catalog:
        assert catalog.state.encode() == image


async def test_a_line_that_cannot_be_read_stops_the_start() -> None:
    """A catalog never starts on part of its log."""
    store = MemoryStore()
    await store.commit([(2, b'{"now_s":1,"change":{"change":"later"}}')])
    with pytest.raises(StoreCorruptError, match="entry 2"):
        await Catalog.open(store)


# Leases.


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


async def test_a_restart_gives_every_lease_its_whole_time(autojump_clock: MockClock) -> None:
    """An outage of the catalog makes no node critical; one that lapsed before stays lapsed."""
    del autojump_clock
    memory = Memory()
    async with running(MemoryStore(memory)) as catalog:
        await catalog.submit(web(0, lease_ttl_s=15))
        await trio.sleep(16)
        await catalog.submit(web(1, lease_ttl_s=15))
    await trio.sleep(1000)
    async with running(MemoryStore(memory)) as catalog:
        await trio.sleep(14.5)
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
