"""What is SQLite's alone: the file's mode, its schema, damage, foreign files, how a commit reaches the disk."""

import sqlite3
from pathlib import Path

import pytest

from catalog.store import Loaded, StoreCorruptError, StoreError, StoreFullError, StoreVersionError
from catalog.store.sqlite import SCHEMA_VERSION, open_sqlite


async def _filled(path: Path, entries: int = 3) -> None:
    store = await open_sqlite(path)
    await store.commit([(index, b"x" * 500) for index in range(2, 2 + entries)])
    await store.close()


async def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    """The store holds token hashes: 0600 for every file of it, 0700 for a directory it makes, and a lax file is tightened."""
    path = tmp_path / "data" / "catalog.db"
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o644)
    store = await open_sqlite(path)
    await store.commit([(2, b"secret")])
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    await store.close()
    assert modes == {"catalog.db": 0o600, "catalog.db-wal": 0o600}
    made = tmp_path / "made" / "catalog.db"
    await (await open_sqlite(made)).close()
    assert made.parent.stat().st_mode & 0o777 == 0o700


async def test_every_commit_is_synced(tmp_path: Path) -> None:
    """Write-ahead log with `synchronous=FULL` (2): acknowledged means on disk."""
    store = await open_sqlite(tmp_path / "catalog.db")
    settings = await store.read_settings()
    await store.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive"}


async def test_a_commit_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    """All or none, also when SQLite itself refuses in the middle; the store goes on."""
    store = await open_sqlite(tmp_path / "catalog.db")
    with pytest.raises(StoreError):
        await store.commit([(2, b"first"), (3, "no bytes")])  # type: ignore[list-item]
    assert await store.load() == Loaded()
    await store.commit([(2, b"again")])
    assert (await store.load()).entries == ((2, b"again"),)
    await store.close()


async def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    """Going back to an older version must not eat what the newer wrote; the file is left alone."""
    path = tmp_path / "catalog.db"
    await _filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreVersionError, match=f"schema {SCHEMA_VERSION + 1}"):
        await open_sqlite(path)
    assert path.read_bytes() == before


async def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    """Another program's SQLite file is not turned into a store."""
    path = tmp_path / "catalog.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreCorruptError, match="not a catalog's"):
        await open_sqlite(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [slice(0, 16), slice(20, 90), slice(4096, 8192), slice(8192, 8400)])
async def test_damage_is_found_at_open(tmp_path: Path, damage: slice) -> None:
    """A file that is none, or whose pages are overwritten, is refused: the catalog never starts on half its state."""
    path = tmp_path / "catalog.db"
    await _filled(path, entries=200)
    data = bytearray(path.read_bytes())
    data[damage] = b"\xa5" * (damage.stop - damage.start)
    path.write_bytes(data)
    with pytest.raises(StoreError):
        await open_sqlite(path)


async def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The text names the file."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"catalog\.db"):
        await open_sqlite(tmp_path / "file" / "catalog.db")


async def test_a_torn_tail_loses_only_what_was_not_acknowledged(tmp_path: Path) -> None:
    """A commit whose last bytes never reached the disk is gone whole; those before it are there."""
    path, copy = tmp_path / "catalog.db", tmp_path / "copy" / "catalog.db"
    store = await open_sqlite(path)
    await store.commit([(2, b"kept")])
    whole = (tmp_path / "catalog.db-wal").stat().st_size
    await store.commit([(3, b"torn")])
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    wal = (tmp_path / "catalog.db-wal").read_bytes()
    assert len(wal) > whole
    (copy.parent / "catalog.db-wal").write_bytes(wal[:-7])
    await store.close()
    survivor = await open_sqlite(copy)
    assert await survivor.load() == Loaded(b"", 0, ((2, b"kept"),))
    await survivor.close()


async def test_a_full_disk_keeps_nothing_and_the_store_goes_on(tmp_path: Path) -> None:
    """Neither half a commit nor half a snapshot; what is kept next follows what was kept last."""
    path = tmp_path / "catalog.db"
    await _filled(path)
    store = await open_sqlite(path)
    pages = await store._run(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await store._run(lambda connection: connection.execute(f"PRAGMA max_page_count={pages}").fetchall())
    with pytest.raises(StoreFullError, match="is full: free some space"):
        await store.commit([(5, b"x" * 100_000)])
    with pytest.raises(StoreFullError):
        await store.compact(4, b"x" * 100_000)
    await store._run(lambda connection: connection.execute(f"PRAGMA max_page_count={pages + 1000}").fetchall())
    await store.commit([(5, b"y" * 100_000)])
    loaded = await store.load()
    await store.close()
    assert [(index, change[:1]) for index, change in loaded.entries] == [(2, b"x"), (3, b"x"), (4, b"x"), (5, b"y")]
