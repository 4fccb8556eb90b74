"""The contract of a store, run on every one: what was acknowledged is there, in order, once, after any restart."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trio

from catalog.store import Loaded, Store, StoreBusyError, StoreError
from catalog.store.memory import Memory, MemoryStore
from catalog.store.sqlite import open_sqlite

Open = Callable[[], Awaitable[Store]]


def _memory(_folder: Path) -> Open:
    memory = Memory()

    async def open_store() -> Store:
        await trio.lowlevel.checkpoint()
        return MemoryStore(memory)

    return open_store


def _sqlite(folder: Path) -> Open:
    async def open_store() -> Store:
        return await open_sqlite(folder / "data" / "catalog.db")

    return open_store


@pytest.fixture(params=[_memory, _sqlite], ids=["memory", "sqlite"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the one store of this test, as often as it is called."""
    make: Callable[[Path], Open] = request.param
    return make(tmp_path)


@pytest.fixture
async def store(reopen: Open) -> AsyncIterator[Store]:
    """The store, open."""
    opened = await reopen()
    yield opened
    await opened.close()


async def test_a_new_store_is_empty(store: Store) -> None:
    """No snapshot, no entries."""
    assert await store.load() == Loaded()


async def test_what_is_committed_is_there_after_a_restart(store: Store, reopen: Open) -> None:
    """Bytes as they were, in order; indexes may have gaps."""
    await store.commit([(2, b"\x00\xff"), (3, b"b")])
    await store.commit([(7, b"c")])
    expected = Loaded(b"", 0, ((2, b"\x00\xff"), (3, b"b"), (7, b"c")))
    assert await store.load() == expected
    await store.close()
    again = await reopen()
    assert await again.load() == expected
    await again.close()


@pytest.mark.parametrize("entries", [[(3, b"again")], [(2, b"back")], [(4, b"x"), (4, b"y")], [(5, b"x"), (4, b"y")]])
async def test_an_index_that_does_not_ascend_is_refused_with_its_group(
    store: Store, entries: list[tuple[int, bytes]]
) -> None:
    """All entries of a commit or none; nothing is overwritten."""
    await store.commit([(3, b"a")])
    with pytest.raises(StoreError):
        await store.commit(entries)
    assert (await store.load()).entries == ((3, b"a"),)
    await store.commit([(4, b"b")])


async def test_an_empty_commit_is_nothing(store: Store) -> None:
    """No entry, no error."""
    await store.commit([])
    assert await store.load() == Loaded()


async def test_compaction_replaces_what_it_covers(store: Store, reopen: Open) -> None:
    """The snapshot stands for all up to its index; later entries stay; the index does not go back."""
    await store.commit([(2, b"a"), (3, b"b"), (4, b"c")])
    await store.compact(3, b"image")
    await store.commit([(5, b"d")])
    expected = Loaded(b"image", 3, ((4, b"c"), (5, b"d")))
    assert await store.load() == expected
    await store.compact(5, b"second")
    with pytest.raises(StoreError):
        await store.commit([(5, b"again")])
    await store.close()
    again = await reopen()
    assert await again.load() == Loaded(b"second", 5)
    await again.close()


async def test_one_owner_at_a_time(store: Store, reopen: Open) -> None:
    """A second owner is told so; once the first has closed, it may."""
    with pytest.raises(StoreBusyError):
        await reopen()
    await store.commit([(2, b"still mine")])
    await store.close()
    again = await reopen()
    assert (await again.load()).entries == ((2, b"still mine"),)
    await again.close()


async def test_a_closed_store_says_so(store: Store) -> None:
    """Nothing is lost in silence; closing twice is no error."""
    await store.close()
    await store.close()
    with pytest.raises(StoreError):
        await store.load()
    with pytest.raises(StoreError):
        await store.commit([(2, b"a")])
    with pytest.raises(StoreError):
        await store.compact(2, b"a")


async def test_a_cancelled_commit_is_whole_or_absent(store: Store) -> None:
    """Cancellation never leaves half a group, and the store goes on."""
    group = [(index, b"x" * 1000) for index in range(2, 200)]
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.commit(group)
    assert len((await store.load()).entries) in {0, len(group)}
    await store.commit([(1000, b"after")])
    assert (await store.load()).entries[-1] == (1000, b"after")
