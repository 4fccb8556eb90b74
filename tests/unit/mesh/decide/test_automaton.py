"""The automaton from trees made by hand; the syntax is tested with the parser."""

import pytest

from mesh.decide.automaton import Alt, Automaton, Cat, Chars, End, Repeat, Start, TooLargeError

A, B = Chars(1 << 97), Chars(1 << 98)


def test_a_tree_matches_whole_texts() -> None:
    """Sequence, choice, repetition and anchors."""
    automaton = Automaton(Cat([Start(), Repeat(Alt([A, B]), 1, 3), End()]))
    expected = {b"a": True, b"bab": True, b"": False, b"abab": False, b"c": False}
    assert expected == {text: automaton.matches(text) for text in expected}


def test_an_empty_set_never_matches() -> None:
    """A class without members is a dead end."""
    assert not Automaton(Chars(0)).matches(b"")
    assert Automaton(Repeat(Chars(0), 0, None)).matches(b"")


def test_size_is_bounded() -> None:
    """Neither many nodes nor many steps over empty parts are built."""
    with pytest.raises(TooLargeError):
        Automaton(Repeat(A, 1000, 2000))
    with pytest.raises(TooLargeError):
        Automaton(Repeat(Repeat(Cat([]), 1000, 1000), 1000, 1000))
