"""Deadlines: read from the caller, shortened, told to the next hop."""

from math import inf

import pytest

from mesh.decide.deadline import deadline_field, deadline_s, remaining_s
from mesh.decide.match import Fields


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), None),
        (((b"x-linkspan-deadline-ms", b"1500"),), 1.5),
        (((b"x-linkspan-deadline-ms", b"1500"), (b"x-linkspan-deadline-ms", b"200")), 0.2),
        (((b"x-linkspan-deadline-ms", b"0"),), 0.0),
        (((b"x-linkspan-deadline-ms", b"-1"),), None),
        (((b"x-linkspan-deadline-ms", b"1e9"),), None),
        (((b"x-linkspan-deadline-ms", b"1" * 10),), None),
        (((b"grpc-timeout", b"2S"),), 2.0),
        (((b"grpc-timeout", b"1M"),), 60.0),
        (((b"grpc-timeout", b"250m"), (b"x-linkspan-deadline-ms", b"300")), 0.25),
        (((b"grpc-timeout", b"2s"),), None),
        (((b"grpc-timeout", b"123456789S"),), None),
    ],
)
def test_the_smallest_usable_value_counts(fields: Fields, expected: float | None) -> None:
    """Ours and gRPC's; what is malformed says nothing."""
    assert pytest.approx(expected) == remaining_s(fields)


@pytest.mark.parametrize(
    ("timeout_s", "left_s", "expected"),
    [(15.0, None, 115.0), (15.0, 2.0, 102.0), (15.0, 60.0, 115.0), (0.0, None, inf), (0.0, 3.0, 103.0)],
)
def test_a_caller_can_only_shorten(timeout_s: float, left_s: float | None, expected: float | None) -> None:
    """The smaller of the route's time-out and what is left; 0 switches the route's off."""
    assert expected == deadline_s(100.0, timeout_s, left_s)


def test_the_next_hop_is_told_what_is_left() -> None:
    """Milliseconds, at least one, nothing without a deadline; and it can be read back."""
    assert deadline_field(100.0, 101.5) == (b"x-linkspan-deadline-ms", b"1500")
    assert deadline_field(102.0, 101.5) == (b"x-linkspan-deadline-ms", b"1")
    assert deadline_field(100.0, inf) is None
    assert remaining_s([deadline_field(0.0, 10.0**12)]) == 999_999.999
