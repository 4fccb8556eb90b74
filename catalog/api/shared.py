"""Answers that many callers share: read and encoded once for each index of the state, however many ask.

Only for reads that rest on the state, the question and the caller's rights, and on nothing else (no clock, no chance). It
must never give one caller what another's rights made: an answer is kept under the rights themselves.
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from catalog.access.acl.live import current
from catalog.access.acl.permissions import Permissions
from catalog.access.authorizer import Everything
from catalog.api.http.call import Call

if TYPE_CHECKING:
    from catalog.api.blocking import Found
    from catalog.state.state import State

KEPT = 1024
KEPT_BYTES = 16 * 1024 * 1024
"""How many answers, and how much of their bodies, are kept between two changes."""
_NOT_THE_QUESTION = frozenset({"index", "wait", "token", "stale", "consistent", "cached", "max_stale"})


class Kept:
    """What was read, and its body once somebody encoded it."""

    __slots__ = ("body", "found")

    def __init__(self, found: "Found") -> None:
        self.found = found
        self.body: bytes | None = None


class SharedAnswers:
    """The answers of one index; the next change forgets them all."""

    def __init__(self) -> None:
        self._index = -1
        self._kept: dict[Hashable, Kept] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, state: "State") -> Kept | None:
        """What was kept under a key, if nothing has changed since."""
        if state.index != self._index:
            self._forget(state.index)
        return self._kept.get(key)

    def keep(self, key: Hashable, state: "State", found: "Found") -> Kept:
        """Keep what was read from the state as it is now."""
        if state.index != self._index or len(self._kept) >= KEPT:
            self._forget(state.index)
        kept = self._kept[key] = Kept(found)
        return kept

    def keep_body(self, kept: Kept, body: bytes) -> None:
        """Keep the body of what is kept, unless bodies take too much room already."""
        if self._bytes + len(body) <= KEPT_BYTES:
            kept.body = body
            self._bytes += len(body)

    def _forget(self, index: int) -> None:
        self._index = index
        self._kept.clear()
        self._bytes = 0


def key_of(call: Call, subject: Hashable) -> Hashable | None:
    """Whose rights, what is read, and how it is asked; None for a caller whose rights are made anew for each call.

    Raises:
        PermissionDeniedError: the caller has lost its rights since its call began.
    """
    rights = current(call.authorizer)
    if not isinstance(rights, Permissions | Everything):
        return None
    return rights, subject, tuple(item for item in call.query.values.items() if item[0] not in _NOT_THE_QUESTION)
