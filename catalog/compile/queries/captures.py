"""Regular expressions with their groups, in linear time: what `${match(1)}` of a query template stands for.

The syntax is `mesh.decide.regex`'s, and so are its refusals. All ways through the expression are followed at once, the
preferred one first (RE2's way): time is the text's length times the program's, whatever the expression. It must never
backtrack.
"""

from typing import Any, NamedTuple

from mesh.decide.automaton import Alt, Cat, Chars, End, Repeat, Start, Tree
from mesh.decide.regex import Parser, RegexError, compile_regex

MAX_STEPS = 600
"""Instructions of a program; a template's expression needs a few dozen."""
MAX_TEXT_BYTES = 512
"""Longest name that is judged; a longer one matches nothing."""

_BYTE, _SPLIT, _SAVE, _START, _END, _MATCH = range(6)


class _Group(NamedTuple):
    """A capturing group."""

    part: Any
    number: int


class _Lazy(NamedTuple):
    """A repetition that takes as little as it can."""

    part: Any
    low: int
    high: int | None


class _Grouping(Parser):
    """The parser, keeping what a yes or no has no use for."""

    def grouped(self, tree: Tree, number: int) -> Tree:
        return _Group(tree, number)  # type: ignore[return-value]  # only `_Program` sees it

    def repeated(self, part: Tree, low: int, high: int | None, *, lazy: bool) -> Tree:
        return _Lazy(part, low, high) if lazy else Repeat(part, low, high)  # type: ignore[return-value]  # as above


class Captures:
    """A compiled expression.

    Raises:
        RegexError: it cannot be used, or its program is too long.
    """

    def __init__(self, pattern: str) -> None:
        compile_regex(pattern)  # for its bounds and refusals
        parser = _Grouping(pattern)
        tree = parser.whole()
        self.groups = parser.groups
        self._code: list[tuple[int, int, int]] = []
        self._emit(_Group(tree, 0))
        self._add(_MATCH)

    def search(self, text: str) -> tuple[str, ...] | None:
        """The whole match and then every group of the first match in `text`; a group that took no part is empty."""
        data = text.encode("utf-8", "surrogatepass")
        if len(data) > MAX_TEXT_BYTES:
            return None
        found = self._run(data)
        if found is None:
            return None
        places = dict(found)
        spans = ((places.get(2 * n, -1), places.get(2 * n + 1, -1)) for n in range(self.groups + 1))
        return tuple(data[start:end].decode("utf-8", "replace") if 0 <= start <= end else "" for start, end in spans)

    def _add(self, kind: int, first: int = 0, second: int = 0) -> int:
        if len(self._code) >= MAX_STEPS:
            raise RegexError(f"it needs more than {MAX_STEPS} steps")
        self._code.append((kind, first, second))
        return len(self._code) - 1

    def _emit(self, tree: Any) -> None:
        match tree:
            case Chars():
                self._add(_BYTE, tree.mask)
            case Cat():
                for part in tree.parts:
                    self._emit(part)
            case Alt():
                self._alternatives(tree)
            case Repeat() | _Lazy():
                self._repetition(tree)
            case _Group():
                self._add(_SAVE, 2 * tree.number)
                self._emit(tree.part)
                self._add(_SAVE, 2 * tree.number + 1)
            case Start():
                self._add(_START)
            case End():
                self._add(_END)

    def _alternatives(self, tree: Alt) -> None:
        jumps = []
        for branch in tree.branches[:-1]:
            split = self._add(_SPLIT)
            self._emit(branch)
            jumps.append(self._add(_SPLIT))
            self._code[split] = (_SPLIT, split + 1, len(self._code))
        self._emit(tree.branches[-1])
        for jump in jumps:
            self._code[jump] = (_SPLIT, len(self._code), len(self._code))

    def _repetition(self, tree: "Repeat | _Lazy") -> None:
        lazy = isinstance(tree, _Lazy)
        for _ in range(tree.low):
            self._emit(tree.part)
        if tree.high is None:
            split = self._add(_SPLIT)
            self._emit(tree.part)
            self._add(_SPLIT, split, split)
            self._code[split] = self._choice(split + 1, len(self._code), lazy=lazy)
            return
        splits = []
        for _ in range(tree.high - tree.low):
            splits.append(self._add(_SPLIT))
            self._emit(tree.part)
        for split in splits:
            self._code[split] = self._choice(split + 1, len(self._code), lazy=lazy)

    @staticmethod
    def _choice(inside: int, after: int, *, lazy: bool) -> tuple[int, int, int]:
        return (_SPLIT, after, inside) if lazy else (_SPLIT, inside, after)

    def _run(self, data: bytes) -> tuple[tuple[int, int], ...] | None:
        """The places of the preferred first match. Threads are kept in order of preference, one a place in the code."""
        threads: list[tuple[int, tuple[tuple[int, int], ...]]] = []
        best: tuple[tuple[int, int], ...] | None = None
        for at in range(len(data) + 1):
            if best is None:
                threads.append((0, ()))  # a match may begin here, if none has begun before
            reached = self._free(threads, at, len(data))
            threads = []
            for step, places in reached:
                kind, mask, _ = self._code[step]
                if kind == _MATCH:
                    best = places
                    break  # what is preferred less is given up
                if at < len(data) and mask >> data[at] & 1:
                    threads.append((step + 1, places))
            if not threads and best is not None:
                break
        return best

    def _free(
        self, threads: list[tuple[int, tuple[tuple[int, int], ...]]], at: int, size: int
    ) -> list[tuple[int, tuple[tuple[int, int], ...]]]:
        """Where the threads come to without eating, in order of preference."""
        seen: set[int] = set()
        found = []
        todo = threads[::-1]
        while todo:
            step, places = todo.pop()
            if step in seen:
                continue
            seen.add(step)
            kind, first, second = self._code[step]
            if kind == _SPLIT:
                todo.append((second, places))
                todo.append((first, places))
            elif kind == _SAVE:
                todo.append((step + 1, (*(place for place in places if place[0] != first), (first, at))))
            elif kind in {_START, _END}:
                if at == (0 if kind == _START else size):
                    todo.append((step + 1, places))
            else:
                found.append((step, places))
        return found
