"""A bounded memory of heads that were parsed and judged before: the same bytes mean the same head.

Clients repeat themselves: the fields of one connection rarely change from request to request. Only heads that passed every
check are remembered, by all of their bytes but the request target, so a hit is exactly what parsing again would give.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")
Key = TypeVar("Key", bound=Hashable)

MAX_BYTES = 512 * 1024
MAX_ENTRY_BYTES = 8 * 1024
FIELD_COST_BYTES = 256
"""What a remembered header field costs besides its bytes."""
_TAKEN_BACK_BYTES = 2 * 1024


class Memo(Generic[Key, Value]):
    """Two generations of at most `MAX_BYTES` each: what is used stays, the rest is forgotten when one is full."""

    __slots__ = ("_old", "_recent_bytes", "recent")

    def __init__(self) -> None:
        self.recent: dict[Key, Value] = {}
        """The new generation, for a look without a call; after a miss ask `get`."""
        self._recent_bytes = 0
        self._old: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """What was remembered for exactly this key."""
        found = self.recent.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found, _TAKEN_BACK_BYTES)
        return found

    def put(self, key: Key, value: Value, size_bytes: int) -> None:
        """Remember what costs about `size_bytes`; nothing that costs more than `MAX_ENTRY_BYTES`."""
        if size_bytes > MAX_ENTRY_BYTES:
            return
        self._recent_bytes += size_bytes
        if self._recent_bytes > MAX_BYTES:
            self._old, self.recent = self.recent, {}
            self._recent_bytes = size_bytes
        self.recent[key] = value
