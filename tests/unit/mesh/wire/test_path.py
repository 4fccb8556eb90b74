"""Canonical paths: one spelling or none."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.wire.path import PathError, canonical_path, canonicalise


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/", b"/"),
        (b"/a/b.c", b"/a/b.c"),
        (b"/a/", b"/a/"),
        (b"//a", b"/a"),
        (b"/a//b///c", b"/a/b/c"),
        (b"/.", b"/"),
        (b"/..", b"/"),
        (b"/../../a", b"/a"),
        (b"/a/./b", b"/a/b"),
        (b"/a/../b", b"/b"),
        (b"/a/b/..", b"/a/"),
        (b"/a/b/.", b"/a/b/"),
        (b"/a/..", b"/"),
        (b"/a//../b", b"/b"),
        (b"/...", b"/..."),
        (b"/.a/..b/c..", b"/.a/..b/c.."),
        (b"/%61dmin", b"/admin"),
        (b"/%2e%2E/admin", b"/admin"),
        (b"/a/%2e%2e/admin", b"/admin"),
        (b"/%7euser", b"/~user"),
        (b"/a%3bb%c3%a9", b"/a%3Bb%C3%A9"),
        (b"/a%20b", b"/a%20b"),
        (b"/a;x=1/b", b"/a;x=1/b"),
        (b"/100%25", b"/100%25"),
        (b"/a:b@c!$&'()*+,=", b"/a:b@c!$&'()*+,="),
    ],
)
def test_canonical_form(target: bytes, expected: object) -> None:
    """RFC 3986 6.2.2 with merged slashes."""
    assert (expected, b"") == canonicalise(target)
    assert expected == canonical_path(target)


@pytest.mark.parametrize(
    "path",
    [
        b"", b"a", b"*x", b"/a%2fb", b"/a%2Fb", b"/a%5cb", b"/a%00", b"/a\\b", b"/a\0", b"/a b", b"/a\tb", b"/a#b", b"/\xc3\xa9",
        b"/a%", b"/a%2", b"/a%zz", b"/%%32%65", b"/%252e%252e/a", b"/%252fa", b"/%255c", b"/%2500", b"/%c0%ae", b"/%c1%9c",
        b"/%e0%80%ae", b"/%F0%80%80%ae", b"/..;/a", b"/a/..;x=1/b", b"/.;/a", b"/%2e%2e;/a", b"/a\x7f", b'/"', b"/<a>", b"/a|b",
        b"http://a/b",
    ],
)  # fmt: skip
def test_refused(path: bytes) -> None:
    """Ambiguous or illegal: refused, with one line that says what is wrong."""
    with pytest.raises(PathError, match=r"^[^\n]+$"):
        canonicalise(path)


def test_the_query_is_split_off_and_left_alone() -> None:
    """Nothing in it is decoded, and dots in it mean nothing; an empty one keeps its mark."""
    assert canonicalise(b"/a/../b?x=/../%2f&y=\xc3\xa9?") == (b"/b", b"?x=/../%2f&y=\xc3\xa9?")
    assert canonicalise(b"/a?") == (b"/a", b"?")
    assert canonicalise(b"*") == (b"*", b"")


@pytest.mark.parametrize("target", [b"/?a b", b"/?a#b", b"/?a\r\n", b"/?\0", b"/?\x7f", b"*?a", b"?a"])
def test_a_query_that_breaks_a_request_line_is_refused(target: bytes) -> None:
    """No space, control or fragment."""
    with pytest.raises(PathError):
        canonicalise(target)


def test_a_canonical_path_has_no_query() -> None:
    """`canonical_path` is for paths; a question mark is not one of a path."""
    with pytest.raises(PathError):
        canonical_path(b"/a?b")


_PIECES = st.sampled_from(
    [
        b"/",
        b".",
        b"..",
        b"//",
        b"a",
        b";",
        b"%2e",
        b"%2E",
        b"%2f",
        b"%25",
        b"%61",
        b"%3b",
        b"%",
        b"2e",
        b"?",
        b"~",
        b"%c3",
        b"\\",
    ]
)


@given(st.lists(_PIECES, max_size=12).map(b"".join).map(lambda rest: b"/" + rest) | st.binary(max_size=30))
@example(b"/%2e%2e;")
@example(b"/.%2e/")
def test_one_spelling_or_none(target: bytes) -> None:
    """Idempotent, without dot segments, empty segments or encoded unreserved characters; or refused."""
    try:
        path, query = canonicalise(target)
    except PathError:
        return
    assert (path, query) == canonicalise(path + query)
    if path == b"*":
        return
    assert path.startswith(b"/")
    segments = path.split(b"/")[1:]
    assert not {b".", b".."} & {segment.partition(b";")[0] for segment in segments}
    assert b"" not in segments[:-1]
    assert not any(path.lower().count(code) for code in (b"%2e", b"%2f", b"%5c", b"%00", b"%61", b"\\", b" "))
