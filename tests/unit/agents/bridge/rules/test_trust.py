"""When a source is believed."""

from agents.bridge.rules.trust import Trust, next_index


def test_belief_needs_a_quiet_time() -> None:
    """Not before the hold time is over, and at once without one."""
    doubt = Trust(100.0, "why")
    assert not doubt.believes(219.9, 120)
    assert doubt.believes(220.0, 120)
    assert doubt.believes(100.0, 0)


def test_the_next_index() -> None:
    """Never 0 after an answer; an index that went back begins anew."""
    assert next_index(0, 0) == (1, False)
    assert next_index(5, 5) == (5, False)
    assert next_index(5, 9) == (9, False)
    assert next_index(9, 5) == (0, True)
