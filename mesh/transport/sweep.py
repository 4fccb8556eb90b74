"""One coarse timer for many deadlines: members are asked a few times a second to look at theirs.

A deadline that moves with every request would leave a timer behind each time; here it is an attribute that is compared.
"""

from functools import partial
from typing import Protocol

from mesh.transport.ring import Ring

PERIOD_S = 0.25


class Member(Protocol):
    """What has deadlines."""

    def on_failure(self, error: Exception) -> None:
        """As the ring's machines: called when `on_sweep` raised."""

    def on_sweep(self, now_s: float) -> None:
        """Look at the deadlines; called every `PERIOD_S`."""


class Sweep:
    """The members of one ring, asked every `PERIOD_S` while there are any."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._members: dict[int, Member] = {}
        self._runs = False

    def add(self, member: Member) -> None:
        """Ask `member` from now on."""
        self._members[id(member)] = member
        if not self._runs:
            self._runs = True
            self._ring.later(self._ring.time_s() + PERIOD_S, self._sweep)

    def discard(self, member: Member) -> None:
        """Ask it no more."""
        self._members.pop(id(member), None)

    def __len__(self) -> int:
        return len(self._members)

    def _sweep(self) -> None:
        now_s = self._ring.now_s
        for member in tuple(self._members.values()):
            # A failing member is failed by the ring; the others are still asked.
            self._ring.guard(partial(member.on_sweep, now_s), member)
        self._runs = bool(self._members)
        if self._runs:
            self._ring.later(now_s + PERIOD_S, self._sweep)
