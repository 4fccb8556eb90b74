"""Tests on a request that permissions and routes share: path, header and query rules, compiled once.

Rules work on bytes, so a value that is not UTF-8 cannot make a rule fail open. A text that a rule cannot judge (too
long) must count against the caller: it matches a deny and no allow.
"""

from collections.abc import Callable, Sequence

from mesh.decide.regex import MAX_SUBJECT_BYTES, RegexError, compile_regex
from mesh.model.chain import HeaderRule
from mesh.model.intention import HeaderMatch

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields, names in lower case."""

MAX_VALUE_BYTES = 64 * 1024
"""Longer values do not occur (a head has 60 KiB); a regular expression judges `MAX_SUBJECT_BYTES`."""

LineTest = Callable[[bytes], bool]


class RuleError(ValueError):
    """The operator's rule cannot be used; the text says which part of it."""


def regex_test(pattern: str) -> LineTest:
    """A full-match test of a regular expression (RE2's syntax without captures), linear in time.

    Raises:
        RuleError: it is none.
    """
    try:
        return compile_regex(pattern)
    except RegexError as error:
        raise RuleError(f"regular expression {pattern[:80]!r}: {error}") from error


def line_test(rule: HeaderMatch | HeaderRule) -> LineTest:
    """The test of one header line, before `invert`.

    Raises:
        RuleError: the rule sets no operator or more than one, or its regular expression cannot be used.
    """
    contains = rule.contains if isinstance(rule, HeaderMatch) else ""
    ignore_case = isinstance(rule, HeaderMatch) and rule.ignore_case
    texts = (rule.exact, rule.prefix, rule.suffix, contains, rule.regex)
    if rule.present + sum(1 for text in texts if text) != 1:
        raise RuleError(f"header rule {rule.name[:80]!r} must set exactly one operator")
    test: LineTest
    if rule.present:
        return _always
    if rule.regex:
        return regex_test(f"(?i:{rule.regex})" if ignore_case else rule.regex)
    wanted = next(text for text in texts if text).encode()
    wanted = wanted.lower() if ignore_case else wanted
    if rule.exact:
        test = _equal(wanted)
    elif rule.prefix:
        test = _prefix(wanted)
    elif rule.suffix:
        test = _suffix(wanted)
    else:
        test = _contains(wanted)
    return _lowered(test) if ignore_case else test


class HeaderTest:
    """A header rule over all lines of its field.

    For an allow (and a route) every line must hold; for a deny one line, or the lines joined by a comma, is enough.
    A missing field holds only an inverted rule.
    """

    __slots__ = ("_deny", "_invert", "_longest", "_name", "_test")

    def __init__(self, rule: HeaderMatch | HeaderRule, *, deny: bool = False) -> None:
        try:
            self._name = rule.name.lower().encode("ascii")
        except UnicodeEncodeError as error:
            raise RuleError(f"header name {rule.name[:80]!r} is not ASCII") from error
        if not self._name:
            raise RuleError("a header rule needs a name")
        self._test = line_test(rule)
        self._invert = rule.invert
        self._deny = deny
        self._longest = MAX_SUBJECT_BYTES if rule.regex else MAX_VALUE_BYTES

    def holds(self, fields: Fields) -> bool:
        """Whether the rule holds; names are lower-case."""
        name = self._name
        values = [value for key, value in fields if key == name]
        if not values:
            return self._invert
        if len(values) == 1:
            return self._line(values[0])
        if self._deny:
            return any(map(self._line, values)) or self._line(b",".join(values)) or self._line(b", ".join(values))
        return all(map(self._line, values))

    def _line(self, value: bytes) -> bool:
        if len(value) > self._longest:
            return self._deny
        return self._test(value) is not self._invert


def path_test(exact: str, prefix: str, regex: str, *, deny: bool = False, ignore_case: bool = False) -> LineTest | None:
    """The test of a canonical path without query for the one operator that is set; None when none is.

    A prefix is one of characters, as in Consul; `ignore_case` is not for a regex (as in Envoy). For a deny the path is
    also tested with its parameters (`;x=1`) taken away, since some servers ignore them.

    Raises:
        RuleError: more than one is set, or the regular expression cannot be used.
    """
    if sum(1 for text in (exact, prefix, regex) if text) > 1:
        raise RuleError("a path rule must set at most one of exact, prefix and regex")
    if regex:
        test = _bounded(regex_test(regex), too_long=deny)
    elif exact or prefix:
        wanted = (exact or prefix).encode()
        wanted = wanted.lower() if ignore_case else wanted
        test = _equal(wanted) if exact else _prefix(wanted)
        test = _lowered(test) if ignore_case else test
    else:
        return None
    return _also_without_parameters(test) if deny else test


def without_parameters(path: bytes) -> bytes:
    """The path without each segment's parameters: `/a;x=1/b;y` is `/a/b`."""
    return b"/".join(segment.partition(b";")[0] for segment in path.split(b"/"))


def _always(_: bytes) -> bool:
    return True


def _equal(wanted: bytes) -> LineTest:
    return lambda value: value == wanted


def _bounded(test: LineTest, *, too_long: bool) -> LineTest:
    return lambda value: test(value) if len(value) <= MAX_SUBJECT_BYTES else too_long


def _also_without_parameters(test: LineTest) -> LineTest:
    return lambda path: test(path) or (b";" in path and test(without_parameters(path)))


def _prefix(wanted: bytes) -> LineTest:
    return lambda value: value.startswith(wanted)


def _suffix(wanted: bytes) -> LineTest:
    return lambda value: value.endswith(wanted)


def _contains(wanted: bytes) -> LineTest:
    return lambda value: wanted in value


def _lowered(test: LineTest) -> LineTest:
    return lambda value: test(value.lower())
