"""The tables that rows live in, with the groupings that queries need and a journal to undo by.

A change is applied inside `Tables.begin` and `Tables.end` or `Tables.undo`: half a change is never left behind.
Nothing outside `catalog.state` may write to a table.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from sortedcontainers import SortedList

from catalog.state.records import (
    Check,
    ConfigEntry,
    KeyEntry,
    Lease,
    LockDelay,
    Node,
    Record,
    ServiceInstance,
    Session,
)

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class Journalled(NamedTuple):
    """One write: the table, the row's key, and the row before (None: there was none)."""

    table: "Table[Any, Any]"
    key: Hashable
    before: Any


class Table(Generic[K, R]):
    """Rows by key, and the same rows grouped by what `groups` compute from a row (None: in no group)."""

    def __init__(
        self, name: str, key: Callable[[R], K], journal: list[Journalled], **groups: Callable[[R], Hashable | None]
    ) -> None:
        self.name = name
        self.rows: dict[K, R] = {}
        self._key = key
        self._journal = journal
        self._of = groups
        self._groups: dict[str, dict[Hashable, dict[K, R]]] = {group: {} for group in groups}

    def put(self, row: R) -> None:
        """Write a row, over the one with its key if there is one."""
        key = self._key(row)
        self._journal.append(Journalled(self, key, self.rows.get(key)))
        self._set(key, row)

    def remove(self, key: K) -> None:
        """Remove the row, which must be there."""
        self._journal.append(Journalled(self, key, self.rows[key]))
        self._set(key, None)

    def restore(self, key: K, row: R | None) -> None:
        """Set or remove a row without a word in the journal, for undoing."""
        self._set(key, row)

    def load(self, row: R) -> None:
        """Write a row without a word in the journal, for loading a snapshot."""
        self._set(self._key(row), row)

    def by(self, group: str, value: Hashable) -> Mapping[K, R]:
        """The rows of a group, by key; not to be held across a change."""
        return self._groups[group].get(value, _NOTHING)

    def group_values(self, group: str) -> Iterator[Hashable]:
        """The values that a grouping has now."""
        return iter(self._groups[group])

    def _set(self, key: K, row: R | None) -> None:
        before = self.rows.get(key)
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row
        for name, of in self._of.items():
            groups = self._groups[name]
            old = None if before is None else of(before)
            new = None if row is None else of(row)
            if old is not None and old != new:
                members = groups[old]
                del members[key]
                if not members:
                    del groups[old]
            if new is not None:
                assert row is not None
                groups.setdefault(new, {})[key] = row


class OrderedTable(Table[str, R]):
    """A table whose keys are kept in order, so that those with a prefix are found without looking at the others."""

    def __init__(
        self, name: str, key: Callable[[R], str], journal: list[Journalled], **groups: Callable[[R], Hashable | None]
    ) -> None:
        super().__init__(name, key, journal, **groups)
        self._order: SortedList = SortedList()

    def under(self, prefix: str) -> Iterator[R]:
        """The rows whose keys begin with `prefix`, in the keys' order; not to be held across a change."""
        for key in self._order.irange(prefix):
            if not key.startswith(prefix):
                return
            yield self.rows[key]

    def _set(self, key: str, row: R | None) -> None:
        known = key in self.rows
        super()._set(key, row)
        if row is None:
            if known:
                self._order.remove(key)
        elif not known:
            self._order.add(key)


class Changed(NamedTuple):
    """What a change did to one row, net: `before` None is a new row, `after` None one that is gone."""

    table: str
    before: Any
    after: Any


class Tables:
    """All tables of the catalog."""

    def __init__(self) -> None:
        journal: list[Journalled] = []
        self._journal = journal
        self.nodes: Table[str, Node] = Table("nodes", lambda row: row.node, journal)
        self.instances: Table[tuple[str, str], ServiceInstance] = Table(
            "instances",
            lambda row: (row.node, row.id),
            journal,
            node=lambda row: row.node,
            service=lambda row: row.service,
            destination=lambda row: row.destination or None,
            kind=lambda row: row.kind or None,
        )
        self.checks: Table[tuple[str, str], Check] = Table(
            "checks",
            lambda row: (row.node, row.check_id),
            journal,
            node=lambda row: row.node,
            instance=lambda row: (row.node, row.service_id),
            service=lambda row: row.service_name or None,
            status=lambda row: row.status,
        )
        self.config: Table[tuple[str, str], ConfigEntry] = Table(
            "config", lambda row: (row.kind, row.name), journal, kind=lambda row: row.kind
        )
        self.records: Table[tuple[str, str], Record] = Table(
            "records", lambda row: (row.table, row.key), journal, table=lambda row: row.table
        )
        self.leases: Table[str, Lease] = Table(
            "leases", lambda row: row.node, journal, lapsed=lambda row: None if row.lapsed_at_s is None else True
        )
        self.keys: OrderedTable[KeyEntry] = OrderedTable(
            "keys", lambda row: row.key, journal, session=lambda row: row.session or None
        )
        self.sessions: Table[str, Session] = Table("sessions", lambda row: row.id, journal, node=lambda row: row.node)
        self.delays: Table[str, LockDelay] = Table("delays", lambda row: row.key, journal)
        everything: tuple[Table[Any, Any], ...] = (
            self.nodes,
            self.instances,
            self.checks,
            self.config,
            self.records,
            self.leases,
            self.keys,
            self.sessions,
            self.delays,
        )
        self._by_name: dict[str, Table[Any, Any]] = {table.name: table for table in everything}

    def begin(self) -> None:
        """Start a change."""
        assert not self._journal

    def end(self) -> list[Changed]:
        """Keep what was done since `begin` and say what it was, net."""
        changed = self._net()
        self._journal.clear()
        return changed

    def dirty(self) -> bool:
        """Whether any row is another one than at `begin`; one that came and went is none."""
        return bool(self._net())

    def _net(self) -> list[Changed]:
        """What was done since `begin`, each row once."""
        first: dict[tuple[str, Hashable], Journalled] = {}
        for line in self._journal:
            first.setdefault((line.table.name, line.key), line)
        pairs = ((line.table, line.before, line.table.rows.get(line.key)) for line in first.values())
        return [Changed(table.name, before, after) for table, before, after in pairs if before != after]

    def touched_nodes(self) -> set[str]:
        """The nodes that were written since `begin`, or checks on them."""
        found: set[str] = set()
        for line in self._journal:
            if line.table is self.nodes:
                found.add(str(line.key))
            elif line.table is self.checks:
                assert isinstance(line.key, tuple)  # (node, check)
                found.add(str(line.key[0]))
        return found

    def undo(self) -> None:
        """Take back everything since `begin`."""
        for line in reversed(self._journal):
            line.table.restore(line.key, line.before)
        self._journal.clear()

    def fill(self, rows: Mapping[str, Iterable[Any]]) -> None:
        """Load rows by the name of their table, as a snapshot keeps them."""
        for name, table in self._by_name.items():
            for row in rows.get(name, ()):
                table.load(row)
