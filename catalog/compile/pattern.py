r"""Regular expressions from outside, searched in time linear in the text.

Consul's are RE2, which never backtracks; Python's do, and one request could then hold the catalog for minutes. This is
RE2's common syntax as a Thompson automaton: literals, `.`, classes, `\d \w \s \b` and their negations, `^ $ \A \z`,
groups (captures are not kept), `|`, `* + ? {m,n}` with their lazy forms, and `(?i)` at the start. Anything else is refused.
"""

from collections.abc import Callable
from typing import NamedTuple

MAX_PATTERN = 512
MAX_STEPS = 1000
MAX_REPEAT = 200
MAX_DEPTH = 32

Char = Callable[[str], bool]


class PatternError(ValueError):
    """The caller's regular expression is invalid, too large, or uses what RE2 has not."""


class _Char(NamedTuple):
    test: Char


class _Look(NamedTuple):
    kind: str


class _Join(NamedTuple):
    parts: "tuple[Node, ...]"


class _Either(NamedTuple):
    parts: "tuple[Node, ...]"


class _Repeat(NamedTuple):
    part: "Node"
    least: int
    most: int | None


Node = _Char | _Look | _Join | _Either | _Repeat


class _Step(NamedTuple):
    """One state: a character to take, a look at the position, or a fork to `then` and `other`; `done` accepts."""

    kind: str
    char: Char | None = None
    then: int = -1
    other: int = -1


def compile_pattern(text: str) -> Callable[[str], bool]:
    """Compile a pattern into a search over a text.

    Raises:
        PatternError: it is not admitted; the text says what and where.
    """
    if len(text) > MAX_PATTERN:
        raise PatternError(f"the regular expression is longer than {MAX_PATTERN} characters")
    fold_case = text.startswith("(?i)")
    tree = _Reader(text, 4 if fold_case else 0, fold_case=fold_case).read()
    steps: list[_Step] = [_Step("done")]
    start = _build(tree, 0, steps)
    program = tuple(steps)
    return lambda subject: _search(program, start, subject)


def _search(steps: tuple[_Step, ...], start: int, subject: str) -> bool:
    live: set[int] = set()
    size = len(subject)
    for at in range(size + 1):
        reached = _close(steps, live | {start}, subject, at)
        if 0 in reached:
            return True
        if at == size:
            break
        char = subject[at]
        live = set()
        for index in reached:
            step = steps[index]
            if step.char is not None and step.char(char):
                live.add(step.then)
    return False


def _close(steps: tuple[_Step, ...], begin: set[int], subject: str, at: int) -> set[int]:
    """All states reached from `begin` without taking a character at position `at`."""
    seen: set[int] = set()
    stack = list(begin)
    while stack:
        index = stack.pop()
        if index in seen:
            continue
        seen.add(index)
        step = steps[index]
        if step.kind == "fork":
            stack.append(step.then)
            stack.append(step.other)
        elif step.kind in _LOOKS and _LOOKS[step.kind](subject, at):
            stack.append(step.then)
    return seen


def _word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")


def _boundary(subject: str, at: int) -> bool:
    return (at > 0 and _word(subject[at - 1])) != (at < len(subject) and _word(subject[at]))


_LOOKS: dict[str, Callable[[str, int], bool]] = {
    "start": lambda _, at: at == 0,
    "end": lambda subject, at: at == len(subject),
    "boundary": _boundary,
    "inside": lambda subject, at: not _boundary(subject, at),
}
_LOOK_ESCAPES = {"A": "start", "z": "end", "b": "boundary", "B": "inside"}
_CLASSES: dict[str, Char] = {
    "d": lambda char: char in "0123456789",
    "w": _word,
    "s": lambda char: char in "\t\n\f\r ",
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}


def _build(node: Node, then: int, steps: list[_Step]) -> int:
    """Add the states of a tree that goes on at `then`; returns its first state."""
    match node:
        case _Char(test):
            return _add(steps, _Step("char", test, then))
        case _Look(kind):
            return _add(steps, _Step(kind, None, then))
        case _Join(parts):
            for part in reversed(parts):
                then = _build(part, then, steps)
            return then
        case _Either(parts):
            first = _build(parts[0], then, steps)
            for part in parts[1:]:
                first = _add(steps, _Step("fork", None, first, _build(part, then, steps)))
            return first
        case _Repeat(part, least, most):
            return _build_repeat(part, least, most, then, steps)


def _build_repeat(part: Node, least: int, most: int | None, then: int, steps: list[_Step]) -> int:
    if most is None:
        fork = _add(steps, _Step("fork"))
        steps[fork] = _Step("fork", None, _build(part, fork, steps), then)
        then = fork
    else:
        end = then
        for _ in range(most - least):
            then = _add(steps, _Step("fork", None, _build(part, then, steps), end))
    for _ in range(least):
        then = _build(part, then, steps)
    return then


def _add(steps: list[_Step], step: _Step) -> int:
    if len(steps) >= MAX_STEPS:
        raise PatternError("the regular expression is too large")
    steps.append(step)
    return len(steps) - 1


class _Reader:
    """Reads the syntax into a tree."""

    def __init__(self, text: str, at: int, *, fold_case: bool) -> None:
        self._text = text
        self._at = at
        self._fold_case = fold_case
        self._depth = 0

    def read(self) -> Node:
        tree = self._either()
        if self._at < len(self._text):
            raise self._bad("unexpected ')'")
        return tree

    def _bad(self, what: str) -> PatternError:
        return PatternError(f"{what} at position {self._at} of the regular expression {self._text[:60]!r}")

    def _next(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _take(self) -> str:
        char = self._next()
        if not char:
            raise self._bad("unexpected end")
        self._at += 1
        return char

    def _either(self) -> Node:
        parts = [self._join()]
        while self._next() == "|":
            self._at += 1
            parts.append(self._join())
        return parts[0] if len(parts) == 1 else _Either(tuple(parts))

    def _join(self) -> Node:
        parts: list[Node] = []
        while self._next() not in {"", "|", ")"}:
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else _Join(tuple(parts))

    def _repeated(self, node: Node) -> Node:
        bounds = self._bounds()
        if bounds is None:
            return node
        if self._next() == "?":  # lazy: which match is found first does not matter here
            self._at += 1
        if self._next() and self._next() in "*+?":
            raise self._bad("nothing to repeat")
        return _Repeat(node, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        char = self._next()
        if char and char in "*+?":
            self._at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        close = self._text.find("}", self._at) if char == "{" else -1
        low, comma, high = self._text[self._at + 1 : close].partition(",") if close > 0 else ("", "", "")
        if not _number(low) or not (_number(high) or not high):
            return None
        self._at = close + 1
        least, most = int(low), (int(high) if high else None) if comma else int(low)
        if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
            raise self._bad(f"repeat bounds must rise and be at most {MAX_REPEAT}")
        return least, most

    def _atom(self) -> Node:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return _Char(self._class())
        if char == ".":
            return _Char(lambda found: found != "\n")
        if char in "^$":
            return _Look("start" if char == "^" else "end")
        if char in "*+?":
            self._at -= 1
            raise self._bad("nothing to repeat")
        if char == "\\":
            if self._next() and self._next() in _LOOK_ESCAPES:
                return _Look(_LOOK_ESCAPES[self._take()])
            return _Char(self._escape())
        return _Char(self._literal(char))

    def _group(self) -> Node:
        if self._next() == "?":
            self._at += 1
            if self._text.startswith("P<", self._at) and (close := self._text.find(">", self._at)) > 0:
                self._at = close + 1
            elif self._next() == ":":
                self._at += 1
            else:
                raise self._bad("unsupported group")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._bad(f"groups nested deeper than {MAX_DEPTH}")
        tree = self._either()
        self._depth -= 1
        if self._next() != ")":
            raise self._bad("missing ')'")
        self._at += 1
        return tree

    def _literal(self, char: str) -> Char:
        if self._fold_case:
            lowered = char.lower()
            return lambda found: found.lower() == lowered
        return lambda found: found == char

    def _escape(self) -> Char:
        char = self._take()
        test = _CLASSES.get(char.lower())
        if test is not None:
            return _not(test) if char.isupper() else test
        return self._literal(self._escaped_literal(char))

    def _escaped_literal(self, char: str) -> str:
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char == "x" and (digits := self._text[self._at : self._at + 2]) and len(digits) == 2 and _hex(digits):
            self._at += 2
            return chr(int(digits, 16))
        if char.isalnum():
            raise self._bad(f"unsupported escape '\\{char}'")
        return char

    def _class(self) -> Char:
        negated = self._next() == "^"
        if negated:
            self._at += 1
        tests: list[Char] = []
        first = True
        while first or self._next() != "]":
            first = False
            tests.append(self._class_item())
        self._at += 1
        any_of = tuple(tests)

        def test(found: str) -> bool:
            return any(part(found) for part in any_of)

        return _not(test) if negated else test

    def _class_item(self) -> Char:
        low = self._take()
        if low == "[" and self._next() == ":":
            raise self._bad("unsupported class")
        if low == "\\":
            char = self._take()
            test = _CLASSES.get(char.lower())
            if test is not None:
                return _not(test) if char.isupper() else test
            low = self._escaped_literal(char)
        if self._next() != "-" or self._text[self._at + 1 : self._at + 2] in {"]", ""}:
            return self._literal(low)
        self._at += 1
        high = self._take()
        if high == "\\":
            high = self._escaped_literal(self._take())
        if high < low:
            raise self._bad("bad range")
        return self._range(low, high)

    def _range(self, low: str, high: str) -> Char:
        if self._fold_case:
            return lambda found: low <= found.lower() <= high or low <= found.upper() <= high
        return lambda found: low <= found <= high


def _not(test: Char) -> Char:
    return lambda found: not test(found)


def _number(text: str) -> bool:
    return 0 < len(text) <= 4 and text.isascii() and text.isdigit()


def _hex(text: str) -> bool:
    return all(char in "0123456789abcdefABCDEF" for char in text)
