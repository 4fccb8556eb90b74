"""Finding queries: id, name, longest prefix; and the end of a session."""

import pytest

from catalog.api.query.store import QueryStore, put_change
from catalog.compile.queries.definition import InvalidQueryError, Kept, Query, QueryService, QueryTemplate
from catalog.state.changes import AnyChange, CreateSession, DestroySession, PutRecord, Register
from catalog.state.records import Node, Session
from catalog.state.state import State

TEMPLATE = QueryTemplate("name_prefix_match")
WEB = QueryService(service="web")


def apply(state: State, *changes: AnyChange) -> None:
    for change in changes:
        state.apply(change, state.index + 1, 0.0)


def stored(*queries: Query) -> State:
    state = State()
    apply(state, *(put_change(Kept(query)) for query in queries))
    return state


def found(state: State, name: str) -> str | None:
    hit = QueryStore().find(state, name)
    return hit.query.id if hit is not None else None


def test_find() -> None:
    """An id, then that very name, then the longest prefix; letter case does not count."""
    state = stored(
        Query("id-1", "geo", service=WEB),
        Query("id-2", "geo", template=TEMPLATE, service=WEB),
        Query("id-3", "geo-db", template=TEMPLATE, service=WEB),
    )
    assert [found(state, name) for name in ("ID-1", "Geo", "geo-x", "geo-db-x", "x")] == [
        "id-1",
        "id-1",
        "id-2",
        "id-3",
        None,
    ]
    apply(state, put_change(Kept(Query("id-4", "", template=TEMPLATE, service=WEB))))
    assert found(state, "x") == "id-4"


def test_names_are_unique() -> None:
    """Among queries, and among templates; none is another's id."""
    state = stored(Query("id-1", "geo", service=WEB))
    store = QueryStore()
    for bad in (Query("id-2", "GEO", service=WEB), Query("id-2", "id-1", service=WEB)):
        with pytest.raises(InvalidQueryError, match="aliases"):
            store.check_unique(state, bad)
    store.check_unique(state, Query("id-1", "geo", service=WEB))
    store.check_unique(state, Query("id-2", "geo", template=TEMPLATE, service=WEB))


def test_a_session_that_ends_takes_its_queries_along() -> None:
    state = State()
    apply(state, Register(Node("n1", "10.0.0.1")), CreateSession(Session("s-1", "n1", node_checks=())))
    apply(state, put_change(Kept(Query("id-1", session="s-1", service=WEB))))
    store = QueryStore()
    assert store.by_id(state, "id-1") is not None
    assert store.stale(state) == []
    apply(state, DestroySession("s-1"))
    assert (store.by_id(state, "id-1"), store.all(state)) == (None, [])
    assert [change.key for change in store.stale(state)] == ["id-1"]


def test_what_cannot_be_read_is_not_there() -> None:
    state = stored(Query("id-1", "geo", service=WEB))
    apply(state, PutRecord("query", "id-2", b"{"))
    assert [one.query.id for one in QueryStore().all(state)] == ["id-1"]
