"""Restoring an image: on disk before in memory, in turn with other changes, one at a time."""

import pytest
import trio

from catalog.engine import Catalog, CatalogBusyError, CatalogStoppedError
from catalog.state.changes import CreateSession, GrantLease, PutKey, Register
from catalog.state.records import Node, Session
from catalog.state.state import State, UnreadableStateError
from catalog.store import StoreFullError
from catalog.store.memory import MemoryStore


class Full(MemoryStore):
    """A store whose disk is full for snapshots."""

    async def compact(self, index: int, snapshot: bytes) -> None:
        raise StoreFullError("no space left")


async def image_of(*changes: object) -> bytes:
    state = State()
    for change in changes:
        state.apply(change, state.index + 1, 0.0)  # type: ignore[arg-type]
    return state.encode()


async def test_it_is_on_disk_when_it_is_answered() -> None:
    """A new process over the same store finds the image's rows at the same index."""
    store = MemoryStore()
    image = await image_of(PutKey("k", b"v"))
    engine = await Catalog.open(store)
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        for number in range(5):
            await engine.submit(PutKey(f"old{number}", b""))
        index = await engine.restore(image)
        await engine.submit(PutKey("after", b""))
        nursery.cancel_scope.cancel()
    assert index == 7
    again = await Catalog.open(store)
    assert [row.key for row in again.state.keys("")] == ["after", "k"]
    assert again.index == index + 1
    assert again.state.index_of(("nodes",)) == index


async def test_a_full_disk_or_a_bad_image_changes_nothing() -> None:
    """Both are said, and changes go on."""
    for store, image, error in (
        (Full(), await image_of(), CatalogBusyError),
        (MemoryStore(), b"{", UnreadableStateError),
    ):
        engine = await Catalog.open(store)
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run)
            await engine.submit(PutKey("k", b"v"))
            with pytest.raises(error):
                await engine.restore(image)
            await engine.submit(PutKey("l", b"v"))
            assert engine.index == 3
            nursery.cancel_scope.cancel()


async def test_one_at_a_time_and_none_when_it_stops() -> None:
    """A second one is told to wait; one that waits when the engine stops is answered."""
    engine = await Catalog.open(MemoryStore())
    image = await image_of()
    async with trio.open_nursery() as nursery:
        refused: list[type[Exception]] = []

        async def attempt() -> None:
            try:
                await engine.restore(image)
            except (CatalogBusyError, CatalogStoppedError) as error:
                refused.append(type(error))

        nursery.start_soon(attempt)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(attempt)
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as running:
            running.cancel_scope.cancel()
            running.start_soon(engine.run)
        await attempt()
    assert refused == [CatalogBusyError, CatalogStoppedError, CatalogStoppedError]


async def test_leases_and_sessions_are_those_of_the_image(autojump_clock: trio.testing.MockClock) -> None:
    """They run with their whole time from the restore on."""
    node = Register(node=Node(node="n", address="192.0.2.1"))
    image = await image_of(node, GrantLease("n", 10.0), CreateSession(Session(id="s" * 36, node="n", ttl_s=10.0)))
    engine = await Catalog.open(MemoryStore())
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        await engine.restore(image)
        assert await engine.renew_lease("n")
        assert await engine.renew_session("s" * 36) is not None
        await trio.sleep(60)
        lease = engine.state.lease("n")
        assert lease is None or lease.lapsed_at_s is not None
        assert engine.state.session("s" * 36) is None
        nursery.cancel_scope.cancel()
