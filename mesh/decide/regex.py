r"""Regular expressions of an operator, run over bytes of a client: full match, RE2's syntax, linear time.

Python's `re` backtracks, so that a client could hold the whole proxy with one path; this parses the expression to a
finite automaton instead. Captures do not matter to a full match. Refused, because no finite automaton does them or
because bytes make them ambiguous: back references, look-around, word boundaries, multi-line mode, `\p` classes and
characters outside ASCII in a class. A character outside ASCII elsewhere stands for its UTF-8 bytes; `.` is one byte.
"""

import re
from collections.abc import Callable

from mesh.decide.automaton import ANY_BYTE, Alt, Automaton, Cat, Chars, End, Repeat, Start, TooLargeError, Tree

MAX_SUBJECT_BYTES = 8192
"""Longest text that a rule judges; a longer one matches no allow and every deny."""
MAX_PATTERN_CHARS = 2048
MAX_DEPTH = 50
MAX_REPEAT = 1000

_COUNTS = re.compile(r"\{(\d{1,5})(,(\d{0,5}))?\}")
_GROUP_NAME = re.compile(r"\?P?<[A-Za-z_]\w*>", re.ASCII)
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{2}|\{[0-9A-Fa-f]{1,6}\}")
_GROUP_FLAGS = re.compile(r"\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])")


def _mask(characters: str) -> int:
    return sum(1 << ord(character) for character in set(characters))


def _span(first: str, last: str) -> int:
    return sum(1 << code for code in range(ord(first), ord(last) + 1))


_DIGIT = _span("0", "9")
_LOWER, _UPPER = _span("a", "z"), _span("A", "Z")
_WORD = _DIGIT | _LOWER | _UPPER | _mask("_")
_SPACE = _mask("\t\n\f\r ")
_CLASSES = {
    "d": _DIGIT,
    "D": ANY_BYTE & ~_DIGIT,
    "w": _WORD,
    "W": ANY_BYTE & ~_WORD,
    "s": _SPACE,
    "S": ANY_BYTE & ~_SPACE,
}
_POSIX = {
    "alnum": _DIGIT | _LOWER | _UPPER,
    "alpha": _LOWER | _UPPER,
    "ascii": (1 << 128) - 1,
    "blank": _mask("\t "),
    "cntrl": _span("\x00", "\x1f") | _mask("\x7f"),
    "digit": _DIGIT,
    "graph": _span("!", "~"),
    "lower": _LOWER,
    "print": _span(" ", "~"),
    "punct": _span("!", "/") | _span(":", "@") | _span("[", "`") | _span("{", "~"),
    "space": _SPACE | _mask("\v"),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": _DIGIT | _span("a", "f") | _span("A", "F"),
}
_SIMPLE: dict[str, Tree] = {".": Chars(ANY_BYTE), "^": Start(), "$": End()}
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class RegexError(ValueError):
    """The expression cannot be used; the text says why."""


def compile_regex(pattern: str) -> Callable[[bytes], bool]:
    """A test whether all of a text matches `pattern`.

    Raises:
        RegexError: it is malformed, uses what a finite automaton has not, or is too large.
    """
    if len(pattern) > MAX_PATTERN_CHARS:
        raise RegexError(f"it is longer than {MAX_PATTERN_CHARS} characters")
    tree = Parser(pattern).whole()
    try:
        return Automaton(tree).matches
    except TooLargeError as error:
        raise RegexError(str(error)) from error


class Parser:
    """Recursive descent over one pattern; `at` is the next character, `fold` whether case is ignored here.

    `grouped` and `repeated` may be overridden by who needs more than a yes or no.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.fold = False
        self.groups = 0

    def whole(self) -> Tree:
        """The tree of the whole pattern.

        Raises:
            RegexError: it is malformed, or uses what a finite automaton has not.
        """
        tree = self.alternatives(0)
        if self.at < len(self.text):
            raise RegexError("a closing parenthesis has no opening one")
        return tree

    def grouped(self, tree: Tree, number: int) -> Tree:  # noqa: ARG002 - for who overrides it
        """What stands for a capturing group, counted from 1 by its opening parenthesis."""
        return tree

    def repeated(self, part: Tree, low: int, high: int | None, *, lazy: bool) -> Tree:  # noqa: ARG002 - the same
        """What stands for a repetition; which of several matches is taken changes no full match."""
        return Repeat(part, low, high)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self, what: str) -> str:
        if self.at >= len(self.text):
            raise RegexError(f"it ends inside {what}")
        self.at += 1
        return self.text[self.at - 1]

    def alternatives(self, depth: int) -> Tree:
        """Branches up to a closing parenthesis or the end. Flags set inside end with the group."""
        if depth > MAX_DEPTH:
            raise RegexError(f"groups are nested deeper than {MAX_DEPTH}")
        fold = self.fold
        branches = [self.sequence(depth)]
        while self.peek() == "|":
            self.at += 1
            branches.append(self.sequence(depth))
        self.fold = fold
        return branches[0] if len(branches) == 1 else Alt(branches)

    def sequence(self, depth: int) -> Tree:
        parts: list[Tree] = []
        while (character := self.peek()) and character not in "|)":
            atom = self.atom(depth)
            if atom is not None:
                parts.append(self.repeats(atom))
        return parts[0] if len(parts) == 1 else Cat(parts)

    def repeats(self, atom: Tree) -> Tree:
        """The atom with its quantifier."""
        low: int
        high: int | None
        character = self.peek()
        if character and character in "*+?":
            self.at += 1
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        elif counts := _COUNTS.match(self.text, self.at):
            self.at = counts.end()
            low = int(counts[1])
            high = low if counts[2] is None else int(counts[3]) if counts[3] else None
            if max(low, high or 0) > MAX_REPEAT or (high is not None and high < low):
                raise RegexError(f"a count must rise and be at most {MAX_REPEAT}")
        else:
            return atom
        lazy = self.peek() == "?"
        self.at += lazy
        if (self.peek() or " ") in "*+?" or _COUNTS.match(self.text, self.at):
            raise RegexError("a quantifier follows a quantifier")
        return self.repeated(atom, low, high, lazy=lazy)

    def atom(self, depth: int) -> Tree | None:
        """One atom; None for a flag group, which matches nothing itself."""
        character = self.next("an atom")
        if character in _SIMPLE:
            return _SIMPLE[character]
        match character:
            case "(":
                return self.group(depth)
            case "[":
                return Chars(self.bracket())
            case "\\":
                return self.escape()
            case "*" | "+" | "?":
                raise RegexError("a quantifier follows nothing")
            case _:
                return self.literal(character)

    def literal(self, character: str) -> Tree:
        if ord(character) > 127:
            return Cat([Chars(1 << byte) for byte in character.encode("utf-8", "surrogatepass")])
        return Chars(self.folded(_mask(character)))

    def folded(self, mask: int) -> int:
        if not self.fold:
            return mask
        distance = ord("a") - ord("A")
        return mask | (mask & _UPPER) << distance | (mask & _LOWER) >> distance

    def group(self, depth: int) -> Tree | None:
        fold = self.fold
        number = 0
        if self.peek() != "?" or _GROUP_NAME.match(self.text, self.at):
            self.groups += 1
            number = self.groups
        if self.peek() == "?":
            if name := _GROUP_NAME.match(self.text, self.at):
                self.at = name.end()
            elif flags := _GROUP_FLAGS.match(self.text, self.at):
                self.at = flags.end()
                self.set_flags(flags[1], flags[2] or "")
                if flags[3] == ")":
                    return None
            else:
                raise RegexError("look-around and other special groups are not offered")
        tree = self.alternatives(depth + 1)
        if self.next("a group") != ")":
            raise RegexError("a group is not closed")
        self.fold = fold
        # A group is one atom to its quantifier, also when it is empty.
        return self.grouped(tree, number) if number else tree

    def set_flags(self, on: str, off: str) -> None:
        for flag in on + off:
            if flag not in "is":
                raise RegexError(f"the flag {flag} is not offered (i and s are)")
        if "i" in on:
            self.fold = True
        if "i" in off:
            self.fold = False

    def escape(self) -> Tree:
        character = self.next("an escape")
        if character in _CLASSES:
            return Chars(_CLASSES[character])
        if character == "A":
            return Start()
        if character == "z":
            return End()
        if character == "Q":
            return self.quoted()
        return Chars(self.folded(self.escaped(character)))

    def quoted(self) -> Tree:
        r"""Literal text between `\Q` and `\E`."""
        end = self.text.find(r"\E", self.at)
        end = len(self.text) if end < 0 else end
        tree = Cat([self.literal(character) for character in self.text[self.at : end]])
        self.at = min(end + 2, len(self.text))
        return tree

    def escaped(self, character: str) -> int:
        """The one byte that an escape stands for, as a mask."""
        if character in _CONTROLS:
            return _mask(_CONTROLS[character])
        if character == "x":
            digits = self.hexadecimal()
            if int(digits, 16) > 127:
                raise RegexError("an escape outside ASCII is not offered")
            return 1 << int(digits, 16)
        if character.isalnum() or ord(character) > 127:
            raise RegexError(f"the escape \\{character} is not offered")
        return _mask(character)

    def hexadecimal(self) -> str:
        match = _HEXADECIMAL.match(self.text, self.at)
        if match is None:
            raise RegexError(r"\x needs two hexadecimal digits")
        self.at = match.end()
        return match[0].strip("{}")

    def bracket(self) -> int:
        """A class in brackets, as a mask."""
        negated = self.peek() == "^"
        self.at += negated
        mask = 0
        first = True
        while (character := self.next("a class")) != "]" or first:
            first = False
            if character == "[" and self.peek() == ":":
                mask |= self.posix()
                continue
            low = self.member(character)
            if low.bit_count() == 1 and self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in {"", "]"}:
                self.at += 1
                high = self.member(self.next("a class"))
                if high.bit_count() != 1 or high < low:
                    raise RegexError("a range in a class must rise")
                low = (high << 1) - low
            mask |= low
        mask = self.folded(mask)
        return ANY_BYTE & ~mask if negated else mask

    def member(self, character: str) -> int:
        if character == "\\":
            character = self.next("an escape")
            return _CLASSES[character] if character in _CLASSES else self.escaped(character)
        if ord(character) > 127:
            raise RegexError("a character outside ASCII in a class is not offered")
        return _mask(character)

    def posix(self) -> int:
        end = self.text.find(":]", self.at)
        name = self.text[self.at + 1 : end] if end > 0 else ""
        if name.removeprefix("^") not in _POSIX:
            raise RegexError("a class in [: :] is unknown")
        self.at = end + 2
        mask = _POSIX[name.removeprefix("^")]
        return ANY_BYTE & ~mask if name.startswith("^") else mask
