"""Where prepared queries are found: by id, by name, and as the template whose name is the longest prefix.

They are records of the table `query`. One that was bound to a session is there as long as the session is: from its end
on it is not found, and the next write of any query removes it.
"""

import msgspec

from catalog.compile.queries.definition import InvalidQueryError, Kept, Query, read_kept, write_kept
from catalog.state.changes import DeleteRecord, PutRecord
from catalog.state.state import State

TABLE = "query"
TOPIC = ("record", TABLE)
MAX_QUERIES = 10_000


class Stored(msgspec.Struct, frozen=True):
    """A query with its indexes."""

    kept: Kept
    create_index: int
    modify_index: int

    @property
    def query(self) -> Query:
        """What it says."""
        return self.kept.query


class _Table(msgspec.Struct, frozen=True):
    """All queries at an index of the state."""

    index: int
    by_id: dict[str, Stored]
    by_name: dict[str, Stored]
    templates: tuple[Stored, ...]


_EMPTY = _Table(0, {}, {}, ())


class QueryStore:
    """The queries of a state. The table is read anew only when a query was written."""

    def __init__(self) -> None:
        self._table = _EMPTY

    def all(self, state: State) -> list[Stored]:
        """Every query, by id."""
        return [stored for stored in self._read(state).by_id.values() if _alive(state, stored)]

    def by_id(self, state: State, query_id: str) -> Stored | None:
        """The query of that id."""
        stored = self._read(state).by_id.get(query_id.lower())
        return stored if stored is not None and _alive(state, stored) else None

    def find(self, state: State, name: str) -> Stored | None:
        """The query for an id or a name: that of the id, that of the name, else the template with the longest prefix.

        Letter case does not count, since names come through DNS, too.
        """
        table, folded = self._read(state), name.lower()
        for stored in (table.by_id.get(folded), table.by_name.get(folded)):
            if stored is not None and _alive(state, stored):
                return stored
        for stored in table.templates:
            if folded.startswith(stored.query.name.lower()) and _alive(state, stored):
                return stored
        return None

    def check_unique(self, state: State, query: Query) -> None:
        """Judge a query against the others.

        Raises:
            InvalidQueryError: its name is another's name or id, or there are too many.
        """
        others = [stored.query for stored in self.all(state) if stored.query.id != query.id]
        if len(others) >= MAX_QUERIES:
            raise InvalidQueryError(f"there are {MAX_QUERIES} queries already, and more are not kept")
        folded = query.name.lower()
        for other in others:
            if folded and folded == other.id:
                raise InvalidQueryError(f"name {query.name[:80]!r} aliases an existing query ID")
            same = folded == other.name.lower() and query.is_template == other.is_template
            if same and (folded or query.is_template):
                raise InvalidQueryError(f"name {query.name[:80]!r} aliases an existing query name")

    def stale(self, state: State) -> list[DeleteRecord]:
        """The changes that remove queries whose session has ended."""
        gone = [stored for stored in self._read(state).by_id.values() if not _alive(state, stored)]
        return [DeleteRecord(TABLE, stored.query.id) for stored in gone]

    def _read(self, state: State) -> _Table:
        index = state.index_of(TOPIC)
        if self._table.index != index:
            by_id = {}
            for record in state.records(TABLE):
                kept = read_kept(record.value)
                if kept is not None:
                    by_id[record.key] = Stored(kept, record.create_index, record.modify_index)
            named = [stored for stored in by_id.values() if stored.query.name and not stored.query.is_template]
            templates = [stored for stored in by_id.values() if stored.query.is_template]
            templates.sort(key=lambda stored: -len(stored.query.name))
            self._table = _Table(
                index, by_id, {stored.query.name.lower(): stored for stored in named}, tuple(templates)
            )
        return self._table


def put_change(kept: Kept) -> PutRecord:
    """The change that writes a query."""
    return PutRecord(TABLE, kept.query.id, write_kept(kept))


def _alive(state: State, stored: Stored) -> bool:
    return not stored.query.session or state.session(stored.query.session) is not None
