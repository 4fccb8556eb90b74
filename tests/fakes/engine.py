"""A catalog at work on the test's clock, over a store whose commits can be held up and made to fail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from catalog.engine import Catalog
from catalog.state.changes import Register
from catalog.state.records import Node, ServiceInstance
from catalog.store import LogEntry, StoreError, StoreFullError
from catalog.store.memory import Memory, MemoryStore

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
        self.full = False

    async def commit(self, entries: list[LogEntry]) -> None:
        await self.gate.wait()
        if self.broken:
            raise StoreError("the disk is gone")
        if self.full:
            raise StoreFullError("the disk is full")
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
    """The registration of one instance of `web` on the node `n<number>`."""
    return Register(Node(f"n{number}", "10.0.0.1", meta=meta), (ServiceInstance("web"),), lease_ttl_s=lease_ttl_s)
