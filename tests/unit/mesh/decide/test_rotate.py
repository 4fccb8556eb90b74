"""When a leaf is renewed."""

import pytest

from mesh.decide.rotate import renew_at_s, retry_at_s

DAY = 86_400.0


@pytest.mark.parametrize(
    ("now_s", "draw", "expected"),
    [
        (0.0, 0.0, 0.5 * DAY),
        (0.0, 0.5, 0.6 * DAY),
        (0.0, 1.0, 0.7 * DAY),
        (0.71 * DAY, 0.5, 0.71 * DAY),
        (2 * DAY, 0.0, 2 * DAY),
    ],
)
def test_a_random_point_in_the_middle_of_its_life_or_at_once(now_s: float, draw: float, expected: float) -> None:
    """Between 50 and 70 % by the draw; past that point now."""
    assert pytest.approx(expected) == renew_at_s(0.0, DAY, now_s, draw)


def test_a_life_that_makes_no_sense_is_renewed_at_once() -> None:
    """A certificate that ends before it begins is no reason to wait."""
    assert renew_at_s(100.0, 50.0, 200.0, 0.5) == 200.0


@pytest.mark.parametrize(
    ("failures", "draw", "left_s", "expected"),
    [
        (1, 1.0, DAY, 1.0),
        (1, 0.0, DAY, 0.5),
        (4, 1.0, DAY, 8.0),
        (30, 1.0, DAY, 300.0),
        (30, 0.0, DAY, 150.0),
        (30, 1.0, 100.0, 10.0),
        (30, 1.0, 1.0, 0.5),
        (9, 1.0, -5.0, 256.0),
        (0, 1.0, DAY, 1.0),
        (10**6, 1.0, DAY, 300.0),
    ],
)
def test_back_off_doubles_but_never_sleeps_through_the_end(
    failures: int, draw: float, left_s: float, expected: float
) -> None:
    """1 s doubling to 300 s, half of it random, at most a tenth of the life left, at least 0.5 s."""
    assert pytest.approx(1000.0 + expected) == retry_at_s(1000.0, 1000.0 + left_s, failures, draw)
