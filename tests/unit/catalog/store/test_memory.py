"""What is the memory store's alone: its memory can outlive it (the contract is in tests/contract/test_store.py)."""

import pytest

from catalog.store import StoreBusyError
from catalog.store.memory import Memory, MemoryStore


async def test_two_stores_over_one_memory_are_a_restart() -> None:
    """A closed store's memory opens again with what it held; a store of its own starts empty."""
    memory = Memory()
    first = MemoryStore(memory)
    await first.commit([(2, b"a")])
    with pytest.raises(StoreBusyError):
        MemoryStore(memory)
    await first.close()
    assert (await MemoryStore(memory).load()).entries == ((2, b"a"),)
    assert (await MemoryStore().load()).entries == ()
