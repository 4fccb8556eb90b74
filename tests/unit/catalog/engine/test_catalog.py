"""The engine: durable before visible, one commit for many, answers in order, waiters by topic, leases by the clock."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from catalog.engine import Catalog, CatalogBusyError, CatalogStoppedError
from catalog.state.changes import (
    AnyChange,
    Batch,
    DeleteKeys,
    DeleteRecord,
    Deregister,
    PutConfig,
    PutKey,
    PutRecord,
    Register,
    UpdateCheck,
)
from catalog.state.errors import ConflictError, InvalidChangeError, UnknownSubjectError
from catalog.state.records import Node
from catalog.store import StoreCorruptError, StoreError, StoreFullError
from catalog.store.memory import Memory, MemoryStore
from mesh.model.endpoint import Health
from tests.fakes.engine import GatedStore, running, web


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
        with pytest.raises(StoreError, match="disk is gone"):
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


async def test_a_full_disk_refuses_changes_and_ends_nothing(autojump_clock: MockClock) -> None:
    """Reads and waits go on, senders are told why, a lease that lapses meanwhile lapses when there is room again."""
    del autojump_clock
    store = GatedStore()
    async with running(store) as catalog:
        await catalog.submit(web(0, lease_ttl_s=15))
        index = catalog.index
        store.full = True
        with pytest.raises(CatalogBusyError, match="not kept: the disk is full"):
            await catalog.submit(web(1))
        assert (len(catalog.state.service("web")), catalog.index) == (1, index)
        await trio.sleep(20)
        store.full = False
        await trio.sleep(1)
        check = catalog.state.check("n0", "serfHealth")
        assert check is not None
        assert check.status is Health.CRITICAL
        await catalog.submit(web(1))
        assert len(catalog.state.service("web")) == 2


async def test_a_snapshot_that_does_not_fit_is_tried_again_later() -> None:
    """The log stays whole until then."""

    class Tight(GatedStore):
        room = False

        async def compact(self, index: int, snapshot: bytes) -> None:
            if not self.room:
                raise StoreFullError("the disk is full")
            await super().compact(index, snapshot)

    store = Tight()
    async with running(store, compact_every=3) as catalog:
        for number in range(4):
            await catalog.submit(web(number))
        store.room = True
        assert not store.compactions
        for number in range(4, 8):
            await catalog.submit(web(number))
        assert len(store.compactions) == 1


async def test_a_tree_that_holds_something_goes_and_an_empty_one_costs_nothing() -> None:
    """Only the second is tried out: the first may be large, and is logged in any case."""
    store = GatedStore()
    async with running(store) as catalog:
        await catalog.submit(PutKey("a/1", b"x"))
        for _ in range(2):
            assert await catalog.submit(DeleteKeys("a/")) is True
        assert (list(catalog.state.keys("")), catalog.index, store.commits) == ([], 3, [1, 1])
