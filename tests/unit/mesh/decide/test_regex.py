"""Regular expressions over bytes: as Python's where both have the construct, refused where a client could do harm."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.decide.regex import RegexError, compile_regex


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("", [b""], [b"a"]),
        ("/api/.*", [b"/api/", b"/api/x/y"], [b"/api", b"x/api/"]),
        ("^/a$", [b"/a"], [b"/ab", b"b/a"]),
        ("(^/a|^/b)$", [b"/a", b"/b"], [b"/c", b""]),
        ("a^b", [], [b"ab", b"a^b"]),
        (r"\Aab\z", [b"ab"], [b"abc"]),
        ("a|b|", [b"a", b"b", b""], [b"ab"]),
        ("(?:ab)+", [b"ab", b"abab"], [b"", b"aba"]),
        ("(?P<n>a)(?<m>b)", [b"ab"], [b"a"]),
        ("a{2}", [b"aa"], [b"a", b"aaa"]),
        ("a{2,}", [b"aa", b"aaaa"], [b"a"]),
        ("a{1,2}?", [b"a", b"aa"], [b"", b"aaa"]),
        ("a{0}b", [b"b"], [b"ab"]),
        ("a{,2}", [b"a{,2}"], [b"aa"]),
        ("[a-c]+?", [b"abc"], [b"d", b""]),
        ("[^a-c]", [b"d", b"\xff"], [b"a", b""]),
        ("[]a]", [b"]", b"a"], [b"b"]),
        ("[^]a]", [b"b"], [b"]"]),
        ("[a-]", [b"a", b"-"], [b"b"]),
        (r"[\w.-]+", [b"a_1.-"], [b"a b"]),
        (r"[\]\\]", [b"]", b"\\"], [b"a"]),
        ("[[:alpha:][:digit:]]+", [b"a1"], [b"-"]),
        ("[[:^digit:]]", [b"a"], [b"1"]),
        (r"\d\D\s\S\w\W", [b"1a ba-"], [b"aaaaaa"]),
        (r"\x41\x{42}\t", [b"AB\t"], [b"ab\t"]),
        (r"\.\*\/", [b".*/"], [b"a*/"]),
        (r"\Qa.b\Ec", [b"a.bc"], [b"axbc"]),
        ("(?i)AbC", [b"abc", b"ABC"], [b"abd"]),
        ("(?i:a)b", [b"ab", b"Ab"], [b"aB"]),
        ("a(?i)b(?-i)c", [b"aBc"], [b"ABc", b"aBC"]),
        ("(?i)[a-c]", [b"B"], [b"D"]),
        ("((?i)a)b", [b"Ab"], [b"AB"]),
        ("é+", ["é".encode(), "éé".encode()], [b"e"]),
        ("(?s).", [b"\n", b"\xff"], [b""]),
        ("(a*)*b", [b"b", b"aab"], [b"a"]),
        ("()*", [b""], [b"a"]),
    ],
)
def test_matches_as_re2_does(pattern: str, yes: list[bytes], no: list[bytes]) -> None:
    """A full match of RE2's constructs."""
    test = compile_regex(pattern)
    assert [True] * len(yes) == [test(text) for text in yes]
    assert [False] * len(no) == [test(text) for text in no]


@pytest.mark.parametrize(
    "pattern",
    [
        "(", ")", "a)", "[", "[a", "[b-a]", "*a", "a**", "a+*", "a{2}{3}", "a{3,2}", "a{1001}", r"(a)\1", "(?=a)", "(?!a)",
        "(?<=a)", "(?>a)", r"\b", r"\p{L}", "(?m)a", "(?x)a", "[é]", r"\x", r"\xff", "\\", "[[:nope:]]", "(?", "(?i", "a" * 2049,
        "(" * 60 + ")" * 60, "((((){1000}){1000}){1000}){1000}", "((a{100}){100}){100}", r"[\b]",
    ],
)  # fmt: skip
def test_what_is_malformed_or_not_offered_is_refused(pattern: str) -> None:
    """The operator gets a text, the proxy never runs it."""
    with pytest.raises(RegexError, match=r"."):
        compile_regex(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)+b", "(.*a){12}b", "(a|b)*a(a|b){15}c", ".*.*.*.*=.*"])
def test_no_expression_backtracks(pattern: str) -> None:
    """Expressions that hold a backtracking engine for ages are answered, and right."""
    test = compile_regex(pattern)
    assert not test(b"a" * 4000)
    assert not test(b"ab" * 2000 + b"x")


def test_the_cache_of_states_is_bounded_and_stays_right() -> None:
    """More states than are kept: thrown away and built anew, with the same answers."""
    test = compile_regex("(a|b)*a(a|b){12}")
    state = 12345
    for _ in range(60):
        text = bytearray()
        for _ in range(200):
            state = (state * 1103515245 + 12345) % 2**31
            text.append(97 + (state >> 16) % 2)
        assert (text[-13] == 97) == test(bytes(text))


_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "c", r"\w", "(?i:A)"])


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    )


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(_ATOMS, _grow, max_leaves=6),
    st.lists(st.binary(max_size=5) | st.text("abcA", max_size=5).map(str.encode), max_size=5),
)
def test_agrees_with_python(pattern: str, texts: list[bytes]) -> None:
    """Any expression both engines know gives the same answer on any bytes."""
    test = compile_regex(pattern)
    reference = re.compile(pattern.encode(), re.DOTALL)
    for text in texts:
        assert (reference.fullmatch(text) is not None) == test(text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(r"ab()[]{}|*+?^$.\-,:0129idwPQExé<>=!"), max_size=20), st.binary(max_size=20))
def test_any_pattern_is_used_or_refused(pattern: str, text: bytes) -> None:
    """No pattern raises anything but RegexError, and a used one answers."""
    try:
        test = compile_regex(pattern)
    except RegexError:
        return
    assert test(text) in {True, False}
