"""A finite automaton over bytes, run as a lazily built DFA: time linear in the text, whatever the expression.

Memory is bounded too: past `MAX_TRANSITIONS` the built part is thrown away and built anew as needed. It must never
backtrack.
"""

from collections.abc import Sequence
from typing import NamedTuple

MAX_NODES = 1024
MAX_TRANSITIONS = 4096
_MAX_WORK = 20_000

ANY_BYTE = (1 << 256) - 1


class TooLargeError(ValueError):
    """The expression needs more nodes than are allowed."""


class Chars(NamedTuple):
    """One byte out of a set; bit n of `mask` stands for byte n."""

    mask: int


class Cat(NamedTuple):
    """One after the other; empty matches the empty text."""

    parts: "Sequence[Tree]"


class Alt(NamedTuple):
    """One of several."""

    branches: "Sequence[Tree]"


class Repeat(NamedTuple):
    """`low` to `high` times; `high` None is without end."""

    part: "Tree"
    low: int
    high: int | None


class Start(NamedTuple):
    """Holds at the start of the text only."""


class End(NamedTuple):
    """Holds at the end of the text only."""


Tree = Chars | Cat | Alt | Repeat | Start | End

_AT_START, _AT_END = -1, -2


class _State(dict[int, "_State"]):
    """A DFA state: transitions by byte, made when first taken."""

    __slots__ = ("accepts", "automaton", "nodes")

    def __init__(self, automaton: "Automaton", nodes: frozenset[int]) -> None:
        super().__init__()
        self.automaton = automaton
        self.nodes = nodes
        self.accepts = automaton.accepts(nodes)

    def __missing__(self, byte: int) -> "_State":
        state = self.automaton.step(self, byte)
        self[byte] = state
        return state


class Automaton:
    """Tells whether a text as a whole matches the tree it was made of.

    Raises:
        TooLargeError: more than `MAX_NODES` nodes.
    """

    __slots__ = ("_edges", "_masks", "_start", "_states", "_transitions", "_work")

    def __init__(self, tree: Tree) -> None:
        # A node has a mask and one edge (it eats a byte) or no mask and edges that are free; node 0 accepts.
        self._masks: list[int] = [0]
        self._edges: list[tuple[int, ...]] = [()]
        self._states: dict[frozenset[int], _State] = {}
        self._transitions = 0
        self._work = 0
        self._start = _State(self, self._closure((self._build(tree, 0),), at_start=True))

    def matches(self, text: bytes) -> bool:
        """Whether all of `text` matches."""
        state = self._start
        for byte in text:
            state = state[byte]
            if not state.nodes:
                return False
        return state.accepts

    def accepts(self, nodes: frozenset[int]) -> bool:
        """Whether a text that ends in these nodes matches."""
        # At the very start of an empty text both anchors hold; the closure that made `nodes` took the start ones.
        return 0 in self._closure(nodes, at_end=True)

    def step(self, state: _State, byte: int) -> _State:
        """The state after one byte; counts towards the memory bound."""
        self._transitions += 1
        if self._transitions > MAX_TRANSITIONS:
            self._transitions = 0
            self._states.clear()
            self._start.clear()
        bit = 1 << byte
        masks, edges = self._masks, self._edges
        nodes = self._closure([edges[node][0] for node in state.nodes if masks[node] > 0 and masks[node] & bit])
        known = self._states.get(nodes)
        if known is None:
            known = self._states[nodes] = _State(self, nodes)
        return known

    def _closure(
        self, nodes: Sequence[int] | frozenset[int], at_start: bool = False, at_end: bool = False
    ) -> frozenset[int]:
        """The nodes reachable for free; anchors that do not hold here stay, as they may hold later (the end one)."""
        seen: set[int] = set()
        todo = list(nodes)
        while todo:
            node = todo.pop()
            if node in seen:
                continue
            mask = self._masks[node]
            if mask == _AT_START and not at_start:
                continue
            seen.add(node)
            if mask in {0, _AT_START} or (mask == _AT_END and at_end):
                todo.extend(self._edges[node])
        # Free nodes have done their work: only those that eat, wait for the end or accept tell states apart.
        return frozenset(node for node in seen if node == 0 or self._masks[node] > 0 or self._masks[node] == _AT_END)

    def _node(self, mask: int, *edges: int) -> int:
        if len(self._masks) >= MAX_NODES:
            raise TooLargeError(f"it needs more than {MAX_NODES} states")
        self._masks.append(mask)
        self._edges.append(edges)
        return len(self._masks) - 1

    def _build(self, tree: Tree, then: int) -> int:
        """Add nodes for `tree` before node `then`; the entry node."""
        self._work += 1
        if self._work > _MAX_WORK:
            raise TooLargeError("its counts multiply to too much")
        match tree:
            case Chars(mask):
                return self._node(mask, then) if mask else self._node(0)
            case Cat(parts):
                for part in reversed(parts):
                    then = self._build(part, then)
                return then
            case Alt(branches):
                return self._node(0, *[self._build(branch, then) for branch in branches])
            case Repeat(part, low, high):
                return self._build_repeat(part, low, high, then)
            case Start():
                return self._node(_AT_START, then)
            case End():
                return self._node(_AT_END, then)

    def _build_repeat(self, part: Tree, low: int, high: int | None, then: int) -> int:
        if high is None:
            loop = self._node(0)
            self._edges[loop] = (self._build(part, loop), then)
            then = loop
        else:
            end = then
            for _ in range(high - low):
                then = self._node(0, self._build(part, then), end)
        for _ in range(low):
            then = self._build(part, then)
        return then
