r"""One spelling for each path: canonical, or refused.

What is authorised is what is forwarded: policy, routes and the application all see the canonical path, so no second
spelling of a path walks past a rule. It must never decode a character that has a meaning in a path.

Canonical (RFC 3986 6.2.2): percent-encoded unreserved characters are decoded, the others upper-case; dot segments are
removed and slashes merged. Refused: encoded slash, backslash or NUL, also doubly encoded ones and doubly encoded dots;
overlong UTF-8; a `%` without two hexadecimal digits; characters that no path may hold raw (space, controls, `\`, `#`,
non-ASCII); a dot segment with parameters (`..;x`), which some servers take for `..`.
"""

import re

_SEGMENT = rb"[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*"
_CLEAN = re.compile(rb"(?:/" + _SEGMENT + rb")*/?")
_PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/%"
_QUERY = bytes(byte for byte in range(33, 256) if byte not in b"#\x7f")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(
    rb"%(?![0-9A-Fa-f]{2})"  # malformed
    rb"|%(?:2f|5c|00)"  # slash, backslash, NUL
    rb"|%25(?:2f|5c|00|2e)"  # the same and the dot, encoded twice
    rb"|%(?:c0|c1)|%e0%[89]|%f0%8",  # overlong UTF-8
    re.IGNORECASE,
)
_UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


class PathError(ValueError):
    """The peer's request target has no canonical form (answer 400)."""


def canonicalise(target: bytes) -> tuple[bytes, bytes]:
    """Split an origin-form target into its canonical path and its query.

    The query keeps its `?` (empty when there is none) and is passed on as it stands, so `path + query` is the target
    to send. `*` (OPTIONS) is returned as it is.

    Raises:
        PathError: one line that says what is wrong with it.
    """
    path, mark, query = target.partition(b"?")
    if mark and query.translate(None, _QUERY):
        raise PathError("the query holds a space, a control character or a #")
    if not path or not _CLEAN.fullmatch(path):
        if path == b"*" and not mark:
            return path, b""
        path = _rewrite(path)
    return path, mark + query


def canonical_path(path: bytes) -> bytes:
    """The canonical form of a path without query.

    Raises:
        PathError: it has none, or holds a `?`.
    """
    return path if path and _CLEAN.fullmatch(path) else _rewrite(path)


def _rewrite(path: bytes) -> bytes:
    if path[:1] != b"/":
        raise PathError("the path does not start with a slash")
    if path.translate(None, _PLAIN):
        raise PathError("the path holds a character that must be percent-encoded")
    if b"%" in path:
        if _BAD_ESCAPE.search(path):
            raise PathError("the path holds a malformed or an ambiguous percent-encoding")
        path = _ESCAPE.sub(_decode, path)
    kept: list[bytes] = []
    last = b""
    for last in path.split(b"/"):
        if last == b"..":
            if kept:
                kept.pop()
        elif last and last != b".":
            if last.partition(b";")[0] in {b".", b".."}:
                raise PathError("the path holds a dot segment with parameters")
            kept.append(last)
    # A path that ended in a slash or in a dot segment names a directory, so it keeps its closing slash.
    directory = kept and last in {b"", b".", b".."}
    return b"/" + b"/".join(kept) + (b"/" if directory else b"")


def _decode(match: re.Match[bytes]) -> bytes:
    byte = int(match[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else match[0].upper()
