"""The default store: one SQLite file, write-ahead log, `synchronous=FULL`, touched by one thread at a time.

A commit is one transaction however many entries it holds; who writes gathers them (group commit is the engine's).
The file is 0600: it holds token hashes. Reads are served from memory, never from here.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio

from catalog.store import (
    Loaded,
    LogEntry,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreVersionError,
)

T = TypeVar("T")

SCHEMA_VERSION = 1
APPLICATION_ID = 0x4C4E4B53  # "LNKS": SQLite's header says whose file it is

_SCHEMA = (
    "CREATE TABLE log (idx INTEGER PRIMARY KEY, change BLOB NOT NULL) STRICT",
    "CREATE TABLE snapshot (id INTEGER PRIMARY KEY CHECK (id = 1), idx INTEGER NOT NULL, state BLOB NOT NULL) STRICT",
)


class SqliteStore:
    """The store in the file at `path`; made by `open_sqlite`."""

    def __init__(self, connection: sqlite3.Connection, limiter: trio.CapacityLimiter) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._limiter = limiter

    async def load(self) -> Loaded:
        """See `Store`."""
        return await self._run(_load)

    async def commit(self, entries: list[LogEntry]) -> None:
        """See `Store`."""
        await self._run(lambda connection: _commit(connection, entries))

    async def compact(self, index: int, snapshot: bytes) -> None:
        """See `Store`."""
        await self._run(lambda connection: _compact(connection, index, snapshot))

    async def close(self) -> None:
        """See `Store`. Not interrupted: the file is whole and free when this returns."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(connection.close, limiter=self._limiter)

    async def read_settings(self) -> dict[str, str | int]:
        """How the file is written, as SQLite says it: for tests and for a support bundle."""
        names = ("journal_mode", "synchronous", "locking_mode")
        return await self._run(
            lambda connection: {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}
        )

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        if connection is None:
            raise StoreError("the store is closed")
        # Not abandoned on cancellation: a commit that has begun is finished, and its outcome known.
        return await trio.to_thread.run_sync(_guarded, work, connection, limiter=self._limiter)


async def open_sqlite(path: Path) -> SqliteStore:
    """Open the store in `path`, made with its directory (0700) if there is none, and check it.

    Raises:
        StoreBusyError: another process has it open.
        StoreVersionError: a later version wrote it.
        StoreCorruptError: it is no store, or damaged.
        StoreError: the file cannot be made or read.
    """
    limiter = trio.CapacityLimiter(1)
    connection = await trio.to_thread.run_sync(_open, path, limiter=limiter)
    return SqliteStore(connection, limiter)


def _guarded(work: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
    try:
        return work(connection)
    except sqlite3.DatabaseError as error:
        raise _translated(error) from error


def _translated(error: sqlite3.DatabaseError) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreBusyError("the catalog's store is open in another process: stop that one first")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreCorruptError(f"the catalog's store is damaged ({error}): restore a backup")
    if code == sqlite3.SQLITE_FULL:
        # The transaction was rolled back: its commit record is the last thing written, and did not fit.
        return StoreFullError("the disk of the catalog's store is full: free some space")
    return StoreError(f"the catalog's store failed: {error}")


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made by us and not by SQLite, so that it is never readable by others; its WAL takes the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the catalog's store {path} cannot be opened: {error}") from error
    try:
        _guarded(_prepare, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    # Exclusive before anything is read: one owner, and no shared-memory file. Kept when the transaction ends.
    connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    connection.execute("BEGIN EXCLUSIVE")
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    version = _pragma(connection, "user_version")
    if not empty and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreCorruptError("the file is an SQLite database, but not a catalog's: name another data directory")
    if version > SCHEMA_VERSION:
        raise StoreVersionError(
            f"a later version wrote the catalog's store (schema {version}, this version knows {SCHEMA_VERSION}): "
            "start that version, or restore a backup made before it"
        )
    connection.execute("COMMIT")
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if empty:
        _transact(connection, lambda: _create(connection))
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreCorruptError(f"the catalog's store is damaged ({verdict}): restore a backup")


def _create(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _load(connection: sqlite3.Connection) -> Loaded:
    row = connection.execute("SELECT idx, state FROM snapshot").fetchone()
    index, snapshot = row if row is not None else (0, b"")
    entries = connection.execute("SELECT idx, change FROM log WHERE idx > ? ORDER BY idx", (index,)).fetchall()
    return Loaded(snapshot, index, tuple(entries))


def _commit(connection: sqlite3.Connection, entries: list[LogEntry]) -> None:
    last = connection.execute(
        "SELECT max(coalesce((SELECT max(idx) FROM log), 0), coalesce((SELECT idx FROM snapshot), 0))"
    ).fetchone()[0]
    for index, _ in entries:
        if index <= last:
            raise StoreError(f"index {index} does not follow {last}: another owner wrote")
        last = index
    _transact(connection, lambda: connection.executemany("INSERT INTO log (idx, change) VALUES (?, ?)", entries))


def _compact(connection: sqlite3.Connection, index: int, snapshot: bytes) -> None:
    def replace() -> None:
        connection.execute("INSERT OR REPLACE INTO snapshot (id, idx, state) VALUES (1, ?, ?)", (index, snapshot))
        connection.execute("DELETE FROM log WHERE idx <= ?", (index,))

    _transact(connection, replace)


def _transact(connection: sqlite3.Connection, work: Callable[[], object]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        work()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
