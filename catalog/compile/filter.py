r"""Filter expressions: the language of `?filter=` and of resolver subsets, compiled to closures over JSON objects.

    Service.Tags contains "v1" and (Node.Datacenter == dc1 or not Service.Meta["env"] matches "^prod")

Operators: `==`, `!=`, `in`, `not in`, `contains`, `not contains`, `is empty`, `is not empty`, `matches`, `not matches`;
`not` binds tighter than `and`, `and` tighter than `or`. Values are "..", `..`, numbers or bare words (reference: Consul's
filtering page). A filter only reads; text of any size, depth or nature gives a filter or a `FilterError`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mesh.decide.regex import RegexError, compile_regex

MAX_LENGTH = 64 * 1024
MAX_DEPTH = 64

Test = Callable[[Any], bool]
Get = Callable[[Any], Any]


class FilterError(ValueError):
    """The caller's expression cannot be read, or asks something that the field's type has no answer for."""


class Filter:
    """A parsed expression. `text` is what it was parsed from; an empty one holds for everything."""

    __slots__ = ("_test", "text")

    def __init__(self, text: str, test: Test) -> None:
        self.text = text
        self._test = test

    def __call__(self, item: Mapping[str, Any]) -> bool:
        """Whether the expression holds for a JSON object.

        Raises:
            FilterError: an operator does not suit the value that a selector found (`is empty` on a string).
        """
        return self._test(item)


class _Missing:
    """What a selector gives when there is no such key."""

    __slots__ = ()


_MISSING = _Missing()


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)
    | (?P<op>==|!=|[()])
    | (?P<number>-?\d+(?:\.\d+)?(?![\w.\-/]))
    | (?P<word>[A-Za-z_/][\w\-/]*(?:\.[\w\-/]+|\["[^"\]]+"\]|\[`[^`\]]+`\])*)
    )""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_PART = re.compile(r'\["([^"]+)"\]|\[`([^`]+)`\]|([^.\[]+)')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "empty", "contains", "matches"})


def parse_filter(text: str) -> Filter:
    """Parse an expression; an empty one holds for everything.

    Raises:
        FilterError: it is too long, nested too deeply, or not in the language; the text says where.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"filter is longer than {MAX_LENGTH} characters")
    if not text.strip():
        return Filter(text, lambda _: True)
    return Filter(text, _Parser(_lex(text)).parse())


def _lex(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            start = end - len(text[at:end].lstrip())
            raise FilterError(f"filter: unexpected {text[start : start + 10]!r} at position {start}")
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    tokens.append(_Token("end", "", end))
    return tokens


class _Parser:
    """Recursive descent over the tokens; `depth` counts parentheses and `not`, everything else is a loop."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def parse(self) -> Test:
        test = self._either()
        if self._peek().kind != "end":
            raise self._unexpected("the end, 'and' or 'or'")
        return test

    def _peek(self, ahead: int = 0) -> _Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _take(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def _word(self, text: str) -> bool:
        """Take the keyword `text` if it is next."""
        token = self._peek()
        if token.kind == "word" and token.text == text:
            self._at += 1
            return True
        return False

    def _unexpected(self, wanted: str) -> FilterError:
        token = self._peek()
        found = repr(token.text[:40]) if token.text else "the end"
        return FilterError(f"filter: expected {wanted} at position {token.at}, found {found}")

    def _either(self) -> Test:
        tests = [self._both()]
        while self._word("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else _any_of(tuple(tests))

    def _both(self) -> Test:
        tests = [self._negation()]
        while self._word("and"):
            tests.append(self._negation())
        return tests[0] if len(tests) == 1 else _all_of(tuple(tests))

    def _negation(self) -> Test:
        if not (self._peek().text in {"not", "("} and self._peek().kind in {"word", "op"}):
            return self._match()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FilterError(f"filter is nested deeper than {MAX_DEPTH} levels at position {self._peek().at}")
        if self._take().text == "not":
            test = _negated(self._negation())
        else:
            test = self._either()
            if self._take().text != ")":
                self._at -= 1
                raise self._unexpected("')'")
        self._depth -= 1
        return test

    def _match(self) -> Test:
        """One comparison: `value [not] in selector`, or a selector with its operator."""
        token, after = self._peek(), self._peek(1)
        is_value = after.kind == "word" and (after.text == "in" or (after.text == "not" and self._peek(2).text == "in"))
        if token.kind in {"string", "number"} or (token.kind == "word" and is_value):
            value = self._value()
            negated = self._word("not")
            if not self._word("in"):
                raise self._unexpected("'in' or 'not in'")
            return _perhaps(negated, _holds(self._selector(), value))
        get = self._selector()
        if self._peek().kind == "op" and self._peek().text in {"==", "!="}:
            negated = self._take().text == "!="
            return _perhaps(negated, _equals(get, self._value()))
        if self._word("is"):
            negated = self._word("not")
            if not self._word("empty"):
                raise self._unexpected("'empty'")
            return _is_empty(get, negated=negated)
        negated = self._word("not")
        if self._word("contains"):
            return _perhaps(negated, _holds(get, self._value()))
        if self._word("matches"):
            return _perhaps(negated, self._pattern(get))
        raise self._unexpected("an operator")

    def _pattern(self, get: Get) -> Test:
        at = self._peek().at
        try:
            return _matches(get, _searching(self._value()))
        except RegexError as error:
            raise FilterError(f"filter: the regular expression at position {at}: {error}") from error

    def _selector(self) -> Get:
        token = self._peek()
        if token.kind != "word" or token.text in _KEYWORDS:
            raise self._unexpected("a field name")
        self._at += 1
        return _getter(tuple(a or b or c for a, b, c in _PART.findall(token.text)))

    def _value(self) -> str:
        token = self._peek()
        if token.kind not in {"string", "number", "word"} or (token.kind == "word" and token.text in _KEYWORDS):
            raise self._unexpected("a value")
        self._at += 1
        if token.text.startswith('"'):
            return _ESCAPE.sub(_unescape, token.text[1:-1])
        return token.text[1:-1] if token.kind == "string" else token.text


def _unescape(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}.get(match[1], match[0])


def _getter(path: tuple[str, ...]) -> Get:
    """Follow keys; a list on the way is followed in each of its items (Consul: `Checks.Status`)."""

    def get(item: Any) -> Any:
        for step, key in enumerate(path):
            if type(item) is dict or isinstance(item, Mapping):  # the first is ten times as fast and nearly always true
                item = item.get(key, _MISSING)
            elif isinstance(item, (list, tuple)):
                rest = _getter(path[step:])
                return [rest(part) for part in item]
            else:
                return _MISSING
        return item

    return get


def _any_of(tests: tuple[Test, ...]) -> Test:
    return lambda item: any(test(item) for test in tests)


def _all_of(tests: tuple[Test, ...]) -> Test:
    return lambda item: all(test(item) for test in tests)


def _negated(test: Test) -> Test:
    return lambda item: not test(item)


def _perhaps(negated: bool, test: Test) -> Test:
    return _negated(test) if negated else test


def _equals(get: Get, wanted: str) -> Test:
    def test(item: Any) -> bool:
        return _same(get(item), wanted)

    return test


def _same(found: Any, wanted: str) -> bool:
    """Compare as the found value's type would: a number may be quoted, a boolean is a word."""
    if isinstance(found, bool):
        return wanted.lower() == ("true" if found else "false")
    if isinstance(found, (int, float)):
        try:
            return float(wanted) == float(found)
        except (ValueError, OverflowError):
            raise FilterError(f"filter: {wanted[:40]!r} is no number, and the field is one") from None
    if isinstance(found, (Mapping, list, tuple)):
        raise FilterError("filter: '==' and '!=' do not work on a list or map: use 'contains' or 'in'")
    return isinstance(found, str) and found == wanted


def _holds(get: Get, wanted: str) -> Test:
    """`in` and `contains`: a list's item, a map's key, a part of a text."""

    def test(item: Any) -> bool:
        found = get(item)
        if isinstance(found, (str, Mapping)):
            return wanted in found
        if isinstance(found, (list, tuple)):
            return any(part is not _MISSING and part is not None and _same(part, wanted) for part in found)
        if found is _MISSING or found is None:
            return False
        raise FilterError("filter: 'in' and 'contains' work on lists, maps and texts only")

    return test


def _is_empty(get: Get, *, negated: bool) -> Test:
    def test(item: Any) -> bool:
        found = get(item)
        if isinstance(found, (Mapping, list, tuple)):
            return bool(found) is negated
        if found is _MISSING or found is None:
            return not negated
        raise FilterError("filter: 'is empty' works on lists and maps only")

    return test


def _searching(pattern: str) -> Callable[[str], bool]:
    """A search (a match anywhere) in time linear in the text, which a client may have chosen.

    Raises:
        RegexError: the pattern cannot be used.
    """
    compile_regex(
        pattern
    )  # alone first: what closes a group that it did not open must not become valid by our wrapping
    search = compile_regex(f"(?s:.*(?:{pattern}).*)")
    return lambda text: search(text.encode("utf-8", "surrogatepass"))


def _matches(get: Get, search: Callable[[str], bool]) -> Test:
    """A missing key is matched as an empty text (reference: `matches ".*"` holds for it)."""

    def test(item: Any) -> bool:
        found = get(item)
        if found is _MISSING or found is None:
            return search("")
        if isinstance(found, str):
            return search(found)
        raise FilterError("filter: 'matches' works on texts only")

    return test
