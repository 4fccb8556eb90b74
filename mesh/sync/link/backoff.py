"""Waits between tries: doubling from 0.1 s to 30 s, each with jitter, so that a catalog that comes back is not stormed.

Randomness is handed in.
"""

from collections.abc import Callable

FIRST_S = 0.1
LAST_S = 30.0


class Backoff:
    """The next wait after each failure; `reset` after a success. `uniform` gives values in [0, 1)."""

    def __init__(self, uniform: Callable[[], float], first_s: float = FIRST_S, last_s: float = LAST_S) -> None:
        self._uniform = uniform
        self._first_s = first_s
        self._last_s = last_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Seconds to wait now: between half and all of the current step, which then doubles."""
        step_s = self._next_s
        self._next_s = min(self._last_s, step_s * 2)
        return step_s * (0.5 + self._uniform() / 2)

    def reset(self) -> None:
        """The last try succeeded: begin small again."""
        self._next_s = self._first_s
