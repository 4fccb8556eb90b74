"""When each held lease lapses or session ends unless it is renewed: in memory only, so that a renewal costs no disk write.

Times are seconds of the engine's monotonic clock. After a restart all start with their whole time to live.
"""

import math


class Deadlines:
    """The deadlines of the held leases, by node; or of sessions, by id."""

    def __init__(self) -> None:
        self._at_s: dict[str, float] = {}
        self._lapsing: dict[str, bool] = {}

    def __len__(self) -> int:
        return len(self._at_s)

    def renew(self, node: str, deadline_s: float) -> None:
        """Set the node's deadline."""
        self._at_s[node] = deadline_s
        if node in self._lapsing:
            self._lapsing[node] = True

    def drop(self, node: str) -> None:
        """Forget the node: its lease is gone or lapsed."""
        self._at_s.pop(node, None)

    def next_s(self) -> float:
        """The earliest deadline; infinity if there is none."""
        return min(self._at_s.values(), default=math.inf)

    def due(self, now_s: float) -> list[str]:
        """Those whose deadline has passed."""
        return [node for node, at_s in self._at_s.items() if at_s <= now_s]

    def start_lapsing(self, now_s: float) -> list[str]:
        """The nodes whose deadline has passed, which from now to `end_lapsing` are watched for a late renewal."""
        due = self.due(now_s)
        self._lapsing = dict.fromkeys(due, False)
        return due

    def end_lapsing(self) -> list[str]:
        """The nodes that were renewed while their lapse was being written."""
        late = [node for node, renewed in self._lapsing.items() if renewed]
        self._lapsing = {}
        return late
