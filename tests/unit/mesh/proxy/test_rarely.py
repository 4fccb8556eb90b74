"""Lines that a peer can cause at will: one now and then, none forgotten."""

from mesh.proxy.rarely import Rarely


def test_one_line_for_each_subject_and_time() -> None:
    """The first is told, those within the period are held back, the next tells how many they were."""
    rarely = Rarely(10)
    assert rarely.let("a", 0.0) == ""
    assert [rarely.let("a", at_s) for at_s in (0.0, 5.0, 9.9)] == [None, None, None]
    assert rarely.let("b", 5.0) == ""
    assert rarely.let("a", 10.0) == " (and 3 more like it)"
    assert rarely.let("a", 11.0) is None
    assert rarely.let("a", 30.0) == " (and 1 more like it)"


def test_what_is_remembered_is_bounded() -> None:
    """A peer that is a new subject each time is told of each time, and fills nothing."""
    rarely = Rarely(10)
    assert all(rarely.let(number, 0.0) == "" for number in range(10_000))
    assert len(rarely._told) <= 256
