"""Durations as Go writes them (`10s`, `1m30s`, `100ms`), the form of every duration in Consul's schema. Pure text."""

import re

_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_MAX_TEXT = 40
_MAX_S = 10 * 365 * 86400.0


class InvalidDurationError(ValueError):
    """The text is no duration; the message says what one looks like."""


def parse_duration(value: str | float) -> float:
    """Seconds of a Go duration text; a bare number is nanoseconds, as in Go's JSON.

    Raises:
        InvalidDurationError: it is negative, longer than ten years, or no duration at all.
    """
    seconds = _parse_text(value) if isinstance(value, str) else value / 1e9
    if not 0 <= seconds <= _MAX_S:
        raise InvalidDurationError(f"duration {value!r} must be between 0 and ten years")
    return seconds


def _parse_text(text: str) -> float:
    if text == "0":
        return 0.0
    total, position = 0.0, 0
    while position < len(text) <= _MAX_TEXT:
        part = _PART.match(text, position)
        if part is None:
            break
        total += float(part[1]) * _UNIT_S[part[2]]
        position = part.end()
    if not text or position != len(text):
        raise InvalidDurationError(f"{text[:_MAX_TEXT]!r} is no duration: write it like 10s, 1m30s or 500ms")
    return total


def format_duration(seconds: float) -> str:
    """The text Go prints: `10s`, `1m30s`, `1h0m0s`, `100ms`, `1.5s`; `0s` for nothing."""
    if seconds < 1:
        if seconds <= 0:
            return "0s"
        return f"{seconds * 1e3:g}ms" if seconds >= 1e-3 else f"{seconds * 1e6:g}µs"
    minutes, rest_s = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest_s:g}s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail
