"""A store that forgets with its process: for tests, and for `linkspan dev` without a data directory.

Same contract as any other store, short of the disk: two `MemoryStore`s over one `Memory` are a restart.
"""

import trio

from catalog.store import Loaded, LogEntry, StoreBusyError, StoreError


class Memory:
    """What stays when a `MemoryStore` is closed and another opened."""

    def __init__(self) -> None:
        self.snapshot = b""
        self.snapshot_index = 0
        self.entries: list[LogEntry] = []
        self.owned = False


class MemoryStore:
    """A store in `memory`; its own if none is given."""

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = memory if memory is not None else Memory()
        if self._memory.owned:
            raise StoreBusyError("this memory is in use by another store: close that one first")
        self._memory.owned = True
        self._open = True

    async def load(self) -> Loaded:
        """See `Store`."""
        await trio.lowlevel.checkpoint()
        held = self._held()
        return Loaded(held.snapshot, held.snapshot_index, tuple(held.entries))

    async def commit(self, entries: list[LogEntry]) -> None:
        """See `Store`."""
        await trio.lowlevel.checkpoint()
        held = self._held()
        last = held.entries[-1][0] if held.entries else held.snapshot_index
        for index, _ in entries:
            if index <= last:
                raise StoreError(f"index {index} does not follow {last}: another owner wrote")
            last = index
        held.entries.extend(entries)

    async def compact(self, index: int, snapshot: bytes) -> None:
        """See `Store`."""
        await trio.lowlevel.checkpoint()
        held = self._held()
        held.entries = [entry for entry in held.entries if entry[0] > index]
        held.snapshot, held.snapshot_index = snapshot, index

    async def close(self) -> None:
        """See `Store`."""
        if self._open:
            self._open = False
            self._memory.owned = False
        await trio.lowlevel.checkpoint()

    def _held(self) -> Memory:
        if not self._open:
            raise StoreError("the store is closed")
        return self._memory
