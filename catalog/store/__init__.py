"""Where the catalog's state survives: a log of changes and a snapshot they start from, behind one protocol.

A store keeps bytes and indexes; it must never look inside them. Acknowledged means on disk.
"""

from typing import Protocol

import msgspec

LogEntry = tuple[int, bytes]
"""An index and the change that got it, encoded."""


class StoreError(Exception):
    """The store's fault: it cannot be opened, read or written. What was not acknowledged may or may not be there."""


class StoreBusyError(StoreError):
    """The operator's fault: another process has this store open."""


class StoreVersionError(StoreError):
    """The operator's fault: a later version wrote this store; start that one, or restore a backup made before it."""


class StoreCorruptError(StoreError):
    """The disk's fault: the store does not pass its own check; restore a backup."""


class StoreFullError(StoreError):
    """The disk's fault: there is no room. Nothing of the call was kept, and the store is as it was: try again later."""


class Loaded(msgspec.Struct, frozen=True):
    """What a store holds: the last snapshot (empty: none), the index it was made at, and the changes after it in order."""

    snapshot: bytes = b""
    snapshot_index: int = 0
    entries: tuple[LogEntry, ...] = ()


class Store(Protocol):
    """A log with a snapshot. One owner at a time; calls never overlap."""

    async def load(self) -> Loaded:
        """Everything that was ever acknowledged.

        Raises:
            StoreError: it cannot be read.
        """
        ...

    async def commit(self, entries: list[LogEntry]) -> None:
        """Append entries, all or none, and return when they are on disk. Indexes ascend, above all before.

        Raises:
            StoreFullError: the disk is full; none of them is there, and the store goes on.
            StoreError: they may not be there. The owner must stop: what is on disk is known only after `load`.
        """
        ...

    async def compact(self, index: int, snapshot: bytes) -> None:
        """Replace the snapshot and every entry up to `index` by `snapshot`, at once.

        Raises:
            StoreFullError: the disk is full; the store is as before, and goes on.
            StoreError: the store is as before, or as after.
        """
        ...

    async def close(self) -> None:
        """Give the store up. Closing twice is no error; any other call afterwards is a `StoreError`."""
        ...
