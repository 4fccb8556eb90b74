"""The linear-time regular expressions: they agree with Python's where both speak the same language."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.compile.pattern import PatternError, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "subject", "found"),
    [
        ("", "", True),
        (".*", "", True),
        ("^prod", "prod-1", True),
        ("^prod", "a prod", False),
        ("v[0-9]+$", "v12", True),
        ("v[^0-9]", "v1", False),
        (r"^\d{1,3}(\.\d{1,3}){3}$", "10.0.0.1", True),
        (r"^\d{1,3}(\.\d{1,3}){3}$", "10.0.0", False),
        ("(?i)^WEB$", "web", True),
        ("(?i)[A-C]x", "bX", True),
        ("a|b|", "zzz", True),
        ("^(a|b)+$", "abab", True),
        ("^(?:a|b)*?c$", "abc", True),
        (r"\bfoo\b", "a foo b", True),
        (r"\bfoo\b", "afoo", False),
        ("[]a]", "]", True),
        ("[a-]", "-", True),
        ("a{2}", "aa", True),
        ("^a{2,}$", "aaaa", True),
        ("^a{,2}$", "a{,2}", True),
        (r"\x41", "A", True),
        ("(?P<name>x)y", "xy", True),
        ("^(a*)*$", "aaaa", True),
        ("(|a)+b", "b", True),
    ],
)
def test_pattern(pattern: str, subject: str, found: bool) -> None:
    """A search finds the pattern anywhere in the text, as RE2's does."""
    assert compile_pattern(pattern)(subject) is found


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "[a", "*a", "a**", r"\1", "(?=a)", "(?<!a)b", "a{5,2}", "a{999}", r"\q", "(" * 40 + ")" * 40, "x" * 600, "[[:alpha:]]", "(a{100}){100}", "a\\"],
)
def test_refused(pattern: str) -> None:
    """What RE2 has not, or what is too large, is an error that says where."""
    with pytest.raises(PatternError):
        compile_pattern(pattern)


def test_linear() -> None:
    """The classic exponential pattern takes time linear in the text."""
    search = compile_pattern("^(a+)+$")
    started = time.perf_counter()
    assert search("a" * 2000 + "b") is False
    assert time.perf_counter() - started < 1


_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "^", "$", r"\b", r"\w", "(a|b)", "(ab)", "a|b"])
_SUFFIX = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "*?"])


@given(st.lists(st.tuples(_ATOMS, _SUFFIX), max_size=5), st.text("ab c", max_size=6))
@settings(max_examples=300, deadline=None)
def test_agrees_with_python(parts: list[tuple[str, str]], subject: str) -> None:
    """On a shared language and texts of one line, the answer is Python's."""
    pattern = "".join(atom + suffix for atom, suffix in parts)
    try:
        expected = re.search(pattern, subject, re.ASCII) is not None
        search = compile_pattern(pattern)
    except (re.error, PatternError):
        return
    assert search(subject) is expected


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text(pattern: str, subject: str) -> None:
    """Any text gives a search or a `PatternError`."""
    try:
        search = compile_pattern(pattern)
    except PatternError:
        return
    assert search(subject) in {True, False}
