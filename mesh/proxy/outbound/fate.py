"""What the end of an attempt means: a trunk's reset code as an outcome and a status, an answer's wish to be left alone. Pure."""

from collections.abc import Sequence
from typing import Final

from mesh.decide.eject import Outcome
from mesh.wire.trunk_frames import Code

_RESETS: Final[dict[int, tuple[Outcome, int]]] = {
    Code.REFUSED: (Outcome.REFUSED_STREAM, 503),
    Code.UNREACHABLE: (Outcome.CONNECT_FAILURE, 503),
    Code.TIMEOUT: (Outcome.TIMEOUT, 504),
}
_MOST_DIGITS = 9


def judge_reset(code: int) -> tuple[Outcome, int]:
    """The outcome of an attempt whose stream the peer reset with `code`, and the status for the application."""
    return _RESETS.get(code, (Outcome.RESET, 502))


def retry_after_s(fields: Sequence[tuple[bytes, bytes]]) -> float | None:
    """The seconds of a Retry-After field (RFC 9110 10.2.3); None without one, or when it is a date."""
    for name, value in fields:
        if name == b"retry-after" and value.isdigit() and len(value) <= _MOST_DIGITS:
            return float(value)
    return None
