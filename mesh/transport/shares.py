"""Shares of something bounded among those who ask for it, so that one of them never takes all. Pure.

Whoever asks may hold as much as is left free after that: one alone gets half, each further one half of what is left. So there is
always something for who comes new, and no number has to be set for it.
"""

from collections.abc import Hashable


class Shares:
    """Counts what each holds of `most`. What is taken must be given back exactly once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[Hashable, int] = {}
        self.total = 0

    def take(self, who: Hashable) -> bool:
        """Take one; False: nothing is left, or `who` has its share."""
        held = self._held.get(who, 0)
        if held >= self._most - self.total:
            return False
        self._held[who] = held + 1
        self.total += 1
        return True

    def give_back(self, who: Hashable) -> None:
        """Give one back."""
        held = self._held[who] - 1
        if held:
            self._held[who] = held
        else:
            del self._held[who]
        self.total -= 1


def source_of(address: str) -> str:
    """Whom an address counts for: itself, or in IPv6 its /64, of which any host may have every address."""
    if ":" not in address or address.lower().startswith("::ffff:"):
        return address
    groups = address.partition("%")[0].split("::")[0].split(":")
    return ":".join((groups + ["0"] * 4)[:4])
