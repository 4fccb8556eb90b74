r"""Filter expressions: the language of `?filter=` and of resolver subsets, compiled to closures over JSON objects.

    Service.Tags contains "v1" and (Node.Datacenter == dc1 or not Service.Meta["env"] matches "^prod")

Operators: `==`, `!=`, `in`, `not in`, `contains`, `not contains`, `is empty`, `is not empty`, `matches`, `not matches`;
`not` binds tighter than `and`, `and` tighter than `or`. Values are "..", `..`, numbers or bare words (reference: Consul's
filtering page). With the fields of a listing at hand (`catalog.compile.selectors`) a selector that names none of them,
or an operator that does not suit one, is refused at once. A list on the way to a field is asked item by item: one
suffices (`Checks.Status != passing`: some check is not). A filter only reads; text of any size, depth or nature gives a
filter or a `FilterError`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from catalog.compile.selectors import Field, Kind
from mesh.decide.regex import RegexError, compile_regex

MAX_LENGTH = 64 * 1024
MAX_DEPTH = 64
MAX_TERMS = 256
"""Most comparisons of a filter: each is asked of every row, between two answers to others."""

Test = Callable[[Any], bool]
Get = Callable[[Any], Any]

_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?", re.ASCII)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_OPERATORS: Mapping[str, tuple[str, frozenset[Kind]]] = {
    "==": ("Equal", frozenset({Kind.TEXT, Kind.NUMBER, Kind.TRUTH, Kind.OPEN})),
    "in": ("In", frozenset({Kind.TEXT, Kind.LIST, Kind.MAP, Kind.OPEN})),
    "empty": ("Is Empty", frozenset({Kind.LIST, Kind.MAP, Kind.OPEN})),
    "matches": ("Matches", frozenset({Kind.TEXT, Kind.OPEN})),
}
_ZERO: Mapping[Kind, Any] = {Kind.TEXT: "", Kind.NUMBER: 0, Kind.TRUTH: False, Kind.LIST: (), Kind.MAP: {}}


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


class _Each(tuple[Any, ...]):
    """What a selector gives that went through a list: one value an item."""

    __slots__ = ()


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


def parse_filter(text: str, fields: Field | None = None) -> Filter:
    """Parse an expression over objects with these `fields` (None: over any); an empty one holds for everything.

    Raises:
        FilterError: it is too long, nested too deeply, not in the language, or asks for a field that there is not.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"filter is longer than {MAX_LENGTH} characters")
    if not text.strip():
        return Filter(text, lambda _: True)
    return Filter(text, _Parser(_lex(text), fields).parse())


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

    def __init__(self, tokens: Sequence[_Token], fields: Field | None) -> None:
        self._tokens = tokens
        self._fields = fields
        self._at = 0
        self._depth = 0
        self._terms = 0

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
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise FilterError(f"filter has more than {MAX_TERMS} comparisons")
        token, after = self._peek(), self._peek(1)
        is_value = after.kind == "word" and (after.text == "in" or (after.text == "not" and self._peek(2).text == "in"))
        if token.kind in {"string", "number"} or (token.kind == "word" and is_value):
            value = self._value()
            negated = self._word("not")
            if not self._word("in"):
                raise self._unexpected("'in' or 'not in'")
            path = self._selector()
            return self._asked(path, "in", _holding(value), negated=negated)
        path = self._selector()
        if self._peek().kind == "op" and self._peek().text in {"==", "!="}:
            negated = self._take().text == "!="
            return self._asked(path, "==", _equalling(self._value()), negated=negated, value=self._tokens[self._at - 1])
        if self._word("is"):
            negated = self._word("not")
            if not self._word("empty"):
                raise self._unexpected("'empty'")
            return self._asked(path, "empty", _is_empty, negated=negated)
        negated = self._word("not")
        if self._word("contains"):
            return self._asked(path, "in", _holding(self._value()), negated=negated)
        if self._word("matches"):
            return self._asked(path, "matches", self._pattern(), negated=negated)
        raise self._unexpected("an operator")

    def _asked(
        self, path: tuple[str, ...], operator: str, leaf: Test, *, negated: bool, value: _Token | None = None
    ) -> Test:
        """The test of a selector, once the operator and the value are known to suit its field."""
        zero: Any = _MISSING
        if self._fields is not None:
            zero = _check_operator(self._fields, path, operator, None if value is None else _plain(value))
        return _asking(_getter(path, zero), leaf, negated)

    def _pattern(self) -> Test:
        at = self._peek().at
        try:
            return _matching(_searching(self._value()))
        except RegexError as error:
            raise FilterError(f"filter: the regular expression at position {at}: {error}") from error

    def _selector(self) -> tuple[str, ...]:
        token = self._peek()
        if token.kind != "word" or token.text in _KEYWORDS:
            raise self._unexpected("a field name")
        self._at += 1
        return tuple(a or b or c for a, b, c in _PART.findall(token.text))

    def _value(self) -> str:
        token = self._peek()
        if token.kind not in {"string", "number", "word"} or (token.kind == "word" and token.text in _KEYWORDS):
            raise self._unexpected("a value")
        self._at += 1
        return _plain(token)


def _plain(token: _Token) -> str:
    """A value's text, without its quotes."""
    if token.kind == "string" and token.text.startswith('"'):
        return _ESCAPE.sub(_unescape, token.text[1:-1])
    return token.text[1:-1] if token.kind == "string" else token.text


def _unescape(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}.get(match[1], match[0])


def _check_operator(fields: Field, path: tuple[str, ...], operator: str, value: str | None) -> Any:
    """What the field at `path` holds when it is not there; the operator and the value suit it.

    Raises:
        FilterError: there is no such field, or they do not, in Consul's words.
    """
    field, selector = fields.at(path), ".".join(path)[:120]
    if field is None:
        raise FilterError(f'Selector "{selector}" is not valid')
    name, kinds = _OPERATORS[operator]
    structs = field.inner is not None and field.inner.kind is Kind.STRUCT and field.kind is Kind.LIST
    if field.kind not in kinds or (structs and operator == "in"):
        raise FilterError(f'Invalid match operator "{name}" for selector "{selector}"')
    if value is not None and field.kind in {Kind.NUMBER, Kind.TRUTH}:
        _same(_ZERO[field.kind], value)
    return _ZERO.get(field.kind, _MISSING)


def _getter(path: tuple[str, ...], zero: Any = _MISSING) -> Get:
    """Follow keys; a list on the way is followed in each of its items (Consul: `Checks.Status`)."""

    def get(item: Any) -> Any:
        for step, key in enumerate(path):
            if type(item) is dict or isinstance(item, Mapping):  # the first is ten times as fast and nearly always true
                item = item.get(key, _MISSING)
            elif isinstance(item, (list, tuple)):
                rest = _getter(path[step:], zero)
                return _Each(rest(part) for part in item)
            else:
                return zero
        return zero if item is _MISSING or item is None else item

    return get


def _asking(get: Get, leaf: Test, negated: bool) -> Test:
    """The test of what `get` finds; of several values one suffices, also for a negated operator."""

    def test(item: Any) -> bool:
        found = get(item)
        if type(found) is _Each:
            return any(_asking_one(part, leaf, negated) for part in found)
        return leaf(found) is not negated

    return test


def _asking_one(found: Any, leaf: Test, negated: bool) -> bool:
    if type(found) is _Each:
        return any(_asking_one(part, leaf, negated) for part in found)
    return leaf(found) is not negated


def _any_of(tests: tuple[Test, ...]) -> Test:
    return lambda item: any(test(item) for test in tests)


def _all_of(tests: tuple[Test, ...]) -> Test:
    return lambda item: all(test(item) for test in tests)


def _negated(test: Test) -> Test:
    return lambda item: not test(item)


def _equalling(wanted: str) -> Test:
    return lambda found: _same(found, wanted)


def _same(found: Any, wanted: str) -> bool:
    """Compare as the found value's type would: a number may be quoted, a boolean is a word; what is missing is empty."""
    if isinstance(found, bool):
        if wanted not in _TRUE and wanted not in _FALSE:
            raise FilterError(f"filter: {wanted[:40]!r} is neither true nor false, and the field is one of them")
        return (wanted in _TRUE) is found
    if isinstance(found, (int, float)):
        if not _NUMBER.fullmatch(wanted):
            raise FilterError(f"filter: {wanted[:40]!r} is no number, and the field is one")
        return float(wanted) == float(found)
    if isinstance(found, (Mapping, list, tuple)):
        raise FilterError("filter: '==' and '!=' do not work on a list or map: use 'contains' or 'in'")
    return wanted == (found if isinstance(found, str) else "")


def _holding(wanted: str) -> Test:
    """`in` and `contains`: a list's item, a map's key, a part of a text."""

    def leaf(found: Any) -> bool:
        if isinstance(found, (str, Mapping)):
            return wanted in found
        if isinstance(found, (list, tuple)):
            return any(part is not None and _same(part, wanted) for part in found)
        if found is _MISSING:
            return False
        raise FilterError("filter: 'in' and 'contains' work on lists, maps and texts only")

    return leaf


def _is_empty(found: Any) -> bool:
    if isinstance(found, (Mapping, list, tuple)):
        return not found
    if found is _MISSING:
        return True
    raise FilterError("filter: 'is empty' works on lists and maps only")


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


def _matching(search: Callable[[str], bool]) -> Test:
    """A missing key is matched as an empty text (reference: `matches ".*"` holds for it)."""

    def leaf(found: Any) -> bool:
        if found is _MISSING:
            return search("")
        if isinstance(found, str):
            return search(found)
        raise FilterError("filter: 'matches' works on texts only")

    return leaf
