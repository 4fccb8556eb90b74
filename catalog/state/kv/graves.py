"""Where deleted keys were: the indexes that reads of missing keys and of prefixes answer with.

Bounded: of the oldest ones only the highest index is kept, for all keys alike. So an index may move early, but never
back. Consul keeps tombstones for the same reason.
"""

GRAVES = 2048


class Graves:
    """The index at which each missing key was deleted last, oldest first, and `floor` for those not kept singly."""

    def __init__(self, at: dict[str, int] | None = None, floor: int = 1) -> None:
        self.at = at if at is not None else {}
        self.floor = floor

    def bury(self, key: str, index: int) -> None:
        """The key was deleted at `index`, which is no lower than any before."""
        self.at.pop(key, None)
        self.at[key] = index
        while len(self.at) > GRAVES:
            oldest = next(iter(self.at))
            self.floor = max(self.floor, self.at.pop(oldest))

    def lift(self, key: str) -> None:
        """The key is there again."""
        self.at.pop(key, None)

    def of(self, key: str) -> int:
        """The index of a key that is not there."""
        return max(self.at.get(key, self.floor), self.floor)

    def under(self, prefix: str, least: int) -> int:
        """The highest index of the missing keys under a prefix, or `least` if that is higher."""
        least = max(least, self.floor)
        for key, index in reversed(self.at.items()):
            if index <= least:
                return least
            if key.startswith(prefix):
                return index
        return least
