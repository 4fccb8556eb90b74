"""Path and header tests by themselves; authorise and route test them in use."""

import pytest

from mesh.decide.match import HeaderTest, RuleError, line_test, path_test, without_parameters
from mesh.model.chain import HeaderRule
from mesh.model.intention import HeaderMatch


def test_a_path_test_ignores_case_only_when_told() -> None:
    """Case-insensitive exact and prefix compare folded; a regex never does."""
    assert path_test("/A", "", "", ignore_case=True)(b"/a")
    assert path_test("", "/aB", "", ignore_case=True)(b"/Abc")
    assert not path_test("/A", "", "")(b"/a")
    assert not path_test("", "", "/A", ignore_case=True)(b"/a")
    assert path_test("", "", "") is None


def test_an_overlong_path_matches_no_allow_and_every_deny() -> None:
    """What is too long to judge counts against the caller."""
    path = b"/" + b"a" * 8192
    assert not path_test("", "", "/a*")(path)
    assert path_test("", "", "/other", deny=True)(path)


def test_parameters_are_taken_from_every_segment() -> None:
    """`;` and what follows it in a segment is a parameter."""
    assert without_parameters(b"/a;x=1/b;y;z/c") == b"/a/b/c"


@pytest.mark.parametrize(
    "rule", [HeaderRule("a"), HeaderMatch("a", present=True, exact="x"), HeaderRule("a", regex="[")]
)
def test_exactly_one_usable_operator(rule: HeaderRule | HeaderMatch) -> None:
    """A header rule without, with two, or with a broken operator is refused."""
    with pytest.raises(RuleError):
        line_test(rule)


def test_repeated_lines_must_all_hold_for_a_route() -> None:
    """A route's header rule holds when every line of the field does."""
    test = HeaderTest(HeaderRule("A", exact="1"))
    assert test.holds([(b"a", b"1"), (b"b", b"2"), (b"a", b"1")])
    assert not test.holds([(b"a", b"1"), (b"a", b"2")])
