"""A bounded memory of heads that were parsed and judged before: the same bytes mean the same head.

Clients repeat themselves: the fields of one connection rarely change from request to request. Only heads that passed every
check are remembered, by all of their bytes but the request target, so a hit is exactly what parsing again would give.
"""

from typing import Generic, TypeVar

Value = TypeVar("Value")
Key = tuple[bytes, bytes, bytes]

MAX_ENTRIES = 512
MAX_KEY_BYTES = 4096


class Memo(Generic[Value]):
    """Two generations of at most `MAX_ENTRIES` each: what is used stays, the rest is forgotten when one is full."""

    __slots__ = ("_new", "_old")

    def __init__(self) -> None:
        self._new: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """What was remembered for exactly these bytes."""
        found = self._new.get(key)
        if found is None:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Key, value: Value) -> None:
        """Remember; a key over `MAX_KEY_BYTES` is not."""
        if len(key[2]) > MAX_KEY_BYTES:
            return
        if len(self._new) >= MAX_ENTRIES:
            self._old, self._new = self._new, {}
        self._new[key] = value
