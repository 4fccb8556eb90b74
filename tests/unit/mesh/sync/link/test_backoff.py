"""Waits between tries."""

from mesh.sync.link.backoff import Backoff


def test_waits_double_to_the_bound_and_begin_again():
    """0.1 s, doubling, at most 30 s; a success begins again."""
    backoff = Backoff(lambda: 1.0)
    waits = [backoff.next_s() for _ in range(11)]
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert waits[-1] == 30.0
    backoff.reset()
    assert backoff.next_s() == 0.1


def test_jitter_spreads_over_half_the_step():
    """No two processes need to wake together."""
    assert Backoff(lambda: 0.0).next_s() == 0.05
