"""Expressions with groups: Python's answers where both know the syntax, and time that no expression blows up."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.compile.queries.captures import Captures
from mesh.decide.regex import RegexError


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^geo-db-(.*?)-([^\\-]+?)$", "geo-db-customer-primary", ("geo-db-customer-primary", "customer", "primary")),
        ("(a)|(b)", "xb", ("b", "", "b")),
        ("(a*)(a*)", "aaa", ("aaa", "aaa", "")),
        ("(a*?)(a*)", "aaa", ("aaa", "", "aaa")),
        ("(a|ab)(c|bcd)(d*)", "abcd", ("abcd", "a", "bcd", "")),
        ("(?:x(y))+", "xyxy", ("xyxy", "y")),
        ("(?P<name>b+)c", "abbc", ("bbc", "bb")),
        ("(?i)(WEB)", "my-web", ("web", "web")),
        ("^$", "", ("",)),
        ("^b", "ab", None),
        ("(é)", "caf\u00e9", ("\u00e9", "\u00e9")),
        ("a{2,3}", "aaaa", ("aaa",)),
        ("a{2,3}?", "aaaa", ("aa",)),
        ("", "abc", ("",)),
    ],
)
def test_search(pattern: str, text: str, found: tuple[str, ...] | None) -> None:
    """The leftmost match, its groups by preference."""
    assert Captures(pattern).search(text) == found


@pytest.mark.parametrize("pattern", ["(", "a**", "(?=a)", "a{600}", "((a{20}){20}){20}", "\\1"])
def test_refused(pattern: str) -> None:
    with pytest.raises(RegexError):
        Captures(pattern)


def test_hostile_expressions_take_linear_time() -> None:
    """What takes others for ever is answered at once; a text that is too long is not looked at."""
    started = time.perf_counter()
    assert Captures("^(a+)+$").search("a" * 300 + "b") is None
    assert Captures("((a*)*)*b").search("a" * 300) is None
    assert Captures("a").search("a" * 1000) is None
    assert time.perf_counter() - started < 2


_PATTERNS = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        inner.map(lambda one: f"({one})"),
        inner.map(lambda one: f"(?:{one})?"),
    ),
    max_leaves=6,
)


@given(_PATTERNS, st.text(alphabet="abc", max_size=8))
@settings(max_examples=300, deadline=None)
def test_as_pythons(pattern: str, text: str) -> None:
    """Where Python's expressions mean the same, the answer is the same."""
    found = re.search(pattern, text)
    expected = None if found is None else tuple(part or "" for part in (found[0], *found.groups()))
    assert Captures(pattern).search(text) == expected
