"""What the end of an attempt means."""

import pytest

from mesh.decide.eject import Outcome
from mesh.proxy.outbound.fate import judge_reset, retry_after_s
from mesh.wire.trunk_frames import Code


@pytest.mark.parametrize(
    ("code", "outcome", "status"),
    [
        (Code.REFUSED, Outcome.REFUSED_STREAM, 503),
        (Code.UNREACHABLE, Outcome.CONNECT_FAILURE, 503),
        (Code.TIMEOUT, Outcome.TIMEOUT, 504),
        (Code.CANCELLED, Outcome.RESET, 502),
        (999, Outcome.RESET, 502),
    ],
)
def test_a_reset_code_has_an_outcome_and_a_status(code: int, outcome: Outcome, status: int) -> None:
    """Refused and unreachable are 503, a time-out 504; every other code, known or not, is a reset and 502."""
    assert judge_reset(code) == (outcome, status)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"7", 7.0), (b"0", 0.0), (b"Wed, 21 Oct 2026 07:28:00 GMT", None), (b"-1", None), (b"9" * 10, None), (b"", None)],
)
def test_retry_after_counts_when_it_is_seconds(value: bytes, seconds: float | None) -> None:
    """Digits within bounds are seconds; a date or anything else is as if it were not there."""
    assert retry_after_s([(b"server", b"x"), (b"retry-after", value)]) == seconds


def test_no_retry_after_is_none() -> None:
    """Without the field there is no wish."""
    assert retry_after_s([]) is None
