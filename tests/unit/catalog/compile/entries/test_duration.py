"""Durations: read as Go reads them, printed as Go prints them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.compile.entries.duration import Duration, InvalidDurationError, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "printed", "seconds"),
    [
        ("10s", "10s", 10),
        ("0", "0s", 0),
        ("0s", "0s", 0),
        ("90s", "1m30s", 90),
        ("1h", "1h0m0s", 3600),
        ("1h30m", "1h30m0s", 5400),
        ("250ms", "250ms", 0.25),
        ("1.5s", "1.5s", 1.5),
        ("-1s", "-1s", -1),
        ("+2s", "2s", 2),
        ("1us", "1µs", 1e-6),
        ("5ns", "5ns", 5e-9),
        ("1.000000001s", "1.000000001s", 1.000000001),
        (15_000_000_000, "15s", 15),
    ],
)
def test_duration(text: object, printed: str, seconds: float) -> None:
    """A duration reads and prints as Go's does; a number is nanoseconds."""
    duration = parse_duration(text)
    assert str(duration) == printed
    assert duration.seconds == seconds
    assert parse_duration(printed) == duration
    assert hash(parse_duration(printed)) == hash(duration)
    assert repr(duration) == f"Duration({printed})"


@pytest.mark.parametrize(
    "value", ["", "5", "s", "5 s", "5x", "1h-1m", "--1s", "1.5.5s", None, True, 1.5, [], "9" * 30 + "h", 10**30, "٣s"]
)
def test_refused(value: object) -> None:
    """What is no duration, or out of range, is refused."""
    with pytest.raises(InvalidDurationError):
        parse_duration(value)


@given(st.integers(-(2**62), 2**62))
def test_round_trip(nanoseconds: int) -> None:
    """What is printed reads as the same duration."""
    assert parse_duration(format_duration(nanoseconds)) == Duration(nanoseconds)


@given(st.text(max_size=20))
def test_any_text(text: str) -> None:
    """Any text gives a duration or the error."""
    try:
        parse_duration(text)
    except InvalidDurationError:
        return
