"""When a leaf certificate is renewed. Times are wall-clock seconds since the epoch, as certificates have them.

A random point in 50 to 70 % of its life (so that a fleet that started together does not renew together), past that at
once; after a failure a back-off that never waits past a tenth of what is left.
"""

EARLIEST = 0.5
LATEST = 0.7
FIRST_BACK_OFF_S = 1.0
MAX_BACK_OFF_S = 300.0
MIN_BACK_OFF_S = 0.5


def renew_at_s(not_before_s: float, not_after_s: float, now_s: float, draw: float) -> float:
    """When to ask for the next leaf; `now_s` when that point has passed."""
    life_s = max(not_after_s - not_before_s, 0.0)
    return max(now_s, not_before_s + (EARLIEST + (LATEST - EARLIEST) * draw) * life_s)


def retry_at_s(now_s: float, not_after_s: float, failures: int, draw: float) -> float:
    """When to ask again after `failures` (1 or more) in a row: doubling from 1 s, half of it at random."""
    back_off_s = min(FIRST_BACK_OFF_S * 2.0 ** min(max(failures, 1) - 1, 20), MAX_BACK_OFF_S)
    left_s = not_after_s - now_s
    if left_s > 0:
        back_off_s = min(back_off_s, left_s / 10)
    return now_s + max(back_off_s * (0.5 + 0.5 * draw), MIN_BACK_OFF_S)
