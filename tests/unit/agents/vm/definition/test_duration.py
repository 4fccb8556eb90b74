"""Go durations: text to seconds and back."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.vm.definition.duration import InvalidDurationError, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("1m30s", 90), ("100ms", 0.1), ("1h", 3600), ("1.5s", 1.5), ("0", 0), (5_000_000_000, 5)],
)
def test_go_durations_are_read(text: str | int, seconds: float) -> None:
    """Units add up; a bare number is nanoseconds."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "10x", "-5s", "1s ", "9" * 60 + "s", "999999h", -1])
def test_other_text_is_refused(text: str | int) -> None:
    """What is no duration is refused, never guessed."""
    with pytest.raises(InvalidDurationError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(10, "10s"), (90, "1m30s"), (0.1, "100ms"), (3600, "1h0m0s"), (0, "0s"), (1.5, "1.5s")]
)
def test_durations_print_as_go_prints_them(seconds: float, text: str) -> None:
    """The printed form is Go's."""
    assert text == format_duration(seconds)


@settings(deadline=None)
@given(st.text())
def test_any_text_gives_seconds_or_the_callers_error(text: str) -> None:
    """Any text is a duration or the caller's error."""
    with contextlib.suppress(InvalidDurationError):
        assert parse_duration(text) >= 0


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=10**6))
def test_printing_and_reading_agree(milliseconds: int) -> None:
    """What is printed reads back as the same duration."""
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, rel=1e-4)
