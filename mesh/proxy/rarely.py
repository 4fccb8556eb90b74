"""Log lines that a peer can cause at will: one for each subject now and then, with how many were held back."""

from collections.abc import Hashable

_MOST_SUBJECTS = 256


class Rarely:
    """Lets a line through at most every `every_s` seconds for each subject. Remembers a bounded number of subjects."""

    def __init__(self, every_s: float = 10.0) -> None:
        self._every_s = every_s
        self._told: dict[Hashable, tuple[float, int]] = {}

    def let(self, subject: Hashable, now_s: float) -> str | None:
        """None: say nothing. Else what to add to the line: nothing, or how many like it were held back."""
        told_s, held_back = self._told.get(subject, (-self._every_s, 0))
        if now_s - told_s < self._every_s:
            self._told[subject] = (told_s, held_back + 1)
            return None
        if len(self._told) >= _MOST_SUBJECTS:
            self._told.clear()
        self._told[subject] = (now_s, 0)
        return f" (and {held_back} more like it)" if held_back else ""
