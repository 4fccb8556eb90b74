"""Running queries: whose rights, which order."""

from typing import Any

import msgspec

from catalog.access.authorizer import EVERYTHING, NOTHING, Authorizer
from catalog.api.query.runner import Ask, QueryRunner
from catalog.api.query.store import QueryStore, put_change
from catalog.compile.queries.definition import Kept, Query
from catalog.state.changes import Register
from catalog.state.records import Node, ServiceInstance
from catalog.state.state import State


def filled(*kept: Kept) -> State:
    state = State()
    for number in (1, 2, 3):
        node = Node(f"n{number}", "10.0.0.1")
        state.apply(Register(node, (ServiceInstance("web", f"web-{number}"),)), state.index + 1, 0.0)
    for one in kept:
        state.apply(put_change(one), state.index + 1, 0.0)
    return state


def query(**service: Any) -> Query:
    return msgspec.convert({"ID": "1", "Name": "q", "Service": {"Service": "web", **service}}, Query)


def runner(rights: Authorizer | None = None) -> QueryRunner:
    return QueryRunner(QueryStore(), "n2", list.reverse, lambda _: rights)


def ids(state: State, run: QueryRunner, ask: Ask = Ask(), asker: Authorizer = EVERYTHING) -> list[str]:  # noqa: B008 - frozen
    executed = run.run(state, "q", asker, ask)
    assert executed is not None
    return [one.instance.id for one in executed.found]


def test_order() -> None:
    """Shuffled, then the nearest first, then cut."""
    state = filled(Kept(query()))
    assert ids(state, runner()) == ["web-3", "web-2", "web-1"]
    assert ids(state, runner(), Ask(near="n1")) == ["web-1", "web-3", "web-2"]
    assert ids(state, runner(), Ask(near="_agent", limit=2)) == ["web-2", "web-3"]
    assert ids(state, runner(), Ask(near="_ip")) == ["web-3", "web-2", "web-1"]
    assert ids(filled(Kept(query(Near="n1"))), runner())[0] == "web-1"


def test_rights() -> None:
    """A query's own token decides, and one that is gone shows nothing; else the asker's rights do."""
    plain, with_token = filled(Kept(query())), filled(Kept(query(), "accessor"))
    assert ids(plain, runner(), asker=NOTHING) == []
    assert len(ids(with_token, runner(EVERYTHING), asker=NOTHING)) == 3
    assert ids(with_token, runner(None)) == []


def test_no_query() -> None:
    assert runner().run(State(), "q", EVERYTHING, Ask()) is None
