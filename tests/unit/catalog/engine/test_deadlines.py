"""Lease deadlines: what is due, what comes next, who was heard too late."""

import math

from catalog.engine.deadlines import Deadlines


def test_due_and_next() -> None:
    """A deadline is due when it is reached; renewing moves it; forgetting removes it."""
    deadlines = Deadlines()
    assert deadlines.next_s() == math.inf
    deadlines.renew("a", 15.0)
    deadlines.renew("b", 16.0)
    assert deadlines.next_s() == 15.0
    assert deadlines.start_lapsing(14.9) == []
    assert deadlines.start_lapsing(15.0) == ["a"]
    deadlines.renew("a", 30.0)
    assert deadlines.next_s() == 16.0
    deadlines.drop("b")
    deadlines.drop("b")
    assert (deadlines.next_s(), len(deadlines)) == (30.0, 1)


def test_a_renewal_while_lapsing_is_late() -> None:
    """Only those that are lapsing now, and only until it ends."""
    deadlines = Deadlines()
    for node in ("a", "b"):
        deadlines.renew(node, 15.0)
    deadlines.renew("c", 20.0)
    assert deadlines.start_lapsing(15.0) == ["a", "b"]
    deadlines.renew("b", 31.0)
    deadlines.renew("c", 31.0)
    assert deadlines.end_lapsing() == ["b"]
    deadlines.renew("a", 31.0)
    assert deadlines.end_lapsing() == []


def test_due_changes_nothing() -> None:
    """Who is due is due until it is dropped or renewed."""
    deadlines = Deadlines()
    deadlines.renew("a", 5.0)
    deadlines.renew("b", 6.0)
    assert [deadlines.due(now_s) for now_s in (4.0, 5.0, 6.0, 6.0)] == [[], ["a"], ["a", "b"], ["a", "b"]]
    deadlines.drop("a")
    assert deadlines.due(9.0) == ["b"]
