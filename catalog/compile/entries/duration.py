"""Durations as Go writes them: `1h30m`, `250ms`, `1.5s`. Reads what Consul reads, prints what Go prints."""

import re

_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(\d{1,18})(?:\.(\d{0,18}))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_LIMIT_NS = 2**63 - 1


class InvalidDurationError(ValueError):
    """The caller's text or number is no duration."""


class Duration:
    """A span of time in whole nanoseconds, equal by value."""

    __slots__ = ("nanoseconds",)

    def __init__(self, nanoseconds: int) -> None:
        self.nanoseconds = nanoseconds

    @property
    def seconds(self) -> float:
        """The span in seconds."""
        return self.nanoseconds / 1e9

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and other.nanoseconds == self.nanoseconds

    def __hash__(self) -> int:
        return hash(self.nanoseconds)

    def __repr__(self) -> str:
        return f"Duration({self})"

    def __str__(self) -> str:
        return format_duration(self.nanoseconds)


def parse_duration(value: object) -> Duration:
    """Read a Go duration string, or a whole number of nanoseconds (Go's JSON form).

    Raises:
        InvalidDurationError: it is neither, or does not fit 64 bits.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise InvalidDurationError('expected a duration such as "10s"')
    total = value if isinstance(value, int) else _parse_text(value)
    if abs(total) > _LIMIT_NS:
        raise InvalidDurationError("the duration is out of range")
    return Duration(total)


def _parse_text(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    rest = text.removeprefix("-").removeprefix("+") if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0
    total, at = 0, 0
    while at < len(rest) and (part := _PART.match(rest, at)):
        unit = _UNIT_NS[part[3]]
        fraction = part[2] or ""
        total += int(part[1]) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        at = part.end()
    if not rest or at < len(rest):
        raise InvalidDurationError(f'{text[:40]!r} is no duration: write it as "10s", "1m30s" or "250ms"')
    return sign * total


def format_duration(nanoseconds: int) -> str:
    """Print nanoseconds as Go's `Duration.String` does: `1m30s`, `250ms`, `0s`."""
    if nanoseconds == 0:
        return "0s"
    sign, left = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if left < _UNIT_NS["s"]:
        unit = next(name for name in ("ms", "µs", "ns") if left >= _UNIT_NS[name])
        return f"{sign}{_decimal(left, _UNIT_NS[unit])}{unit}"
    hours, left = divmod(left, _UNIT_NS["h"])
    minutes, left = divmod(left, _UNIT_NS["m"])
    text = f"{_decimal(left, _UNIT_NS['s'])}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    if hours:
        text = f"{hours}h{text}"
    return sign + text


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}"
