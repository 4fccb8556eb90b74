"""The index of an answer to somebody who sees a part of what there is: it moves when that part does, and only then.

The index of a table moves with every row, also with those that a caller may not see; told to him, it would say that
something happened there. So for such callers it is remembered what they were answered with: the same answer has the same
index, and the first answer to a question has one that says nothing. Held in memory and bounded; what is forgotten costs
its caller one answer too many, never one too few.
"""

import hashlib

import msgspec

from catalog.api.http.call import Call

KEPT = 8192
FIRST = 1
"""The index of a first answer."""
MAX_GIVEN = 2**62
"""What a caller cannot have been told: there are not that many changes."""
_NOT_THE_QUESTION = frozenset(
    {"index", "wait", "token", "pretty", "filter", "stale", "consistent", "cached", "max_stale"}
)

_ENCODER = msgspec.json.Encoder(order="deterministic")


class Views:
    """What callers with partial sight were last answered, by caller and question."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._views: dict[bytes, tuple[bytes, int]] = {}

    def __len__(self) -> int:
        return len(self._views)

    def index(self, call: Call, value: object, index: int) -> int:
        """The index that this answer goes with: above the last one if the answer is another; `index` is the table's.

        Who comes with a higher one was told so by a catalog that has forgotten it: he is answered at once, and with the
        next number instead of the table's, which would be news to whoever makes an index up.
        """
        key, digest = _key(call), _digest(value)
        given = call.query.index if call.query.index < MAX_GIVEN else 0
        last, told = self._views.pop(key, (digest, 0))
        seen = told
        if last != digest:
            told = max(index, seen + 1)
        if given > seen:
            told = max(told, given + 1)
        told = max(told, FIRST)
        while len(self._views) >= self._kept:
            del self._views[next(iter(self._views))]
        self._views[key] = (digest, told)
        return told


def _key(call: Call) -> bytes:
    question = {name: values for name, values in call.query.values.items() if name not in _NOT_THE_QUESTION}
    return _digest((str(call.authorizer), call.target, question))


def _digest(value: object) -> bytes:
    return hashlib.blake2b(_ENCODER.encode(value), digest_size=16).digest()
