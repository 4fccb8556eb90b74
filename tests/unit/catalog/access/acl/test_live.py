"""Live rights: nothing is asked twice while nothing changes (the rest stands in test_resolver)."""

from catalog.access.acl.live import LiveAuthorizer
from catalog.access.authorizer import EVERYTHING, Access, Authorizer, Resource
from catalog.state.changes import PutRecord
from catalog.state.index import Topic
from catalog.state.state import State


def test_nothing_is_asked_twice_while_nothing_changes() -> None:
    state, asked = State(), []

    def resolve() -> tuple[Authorizer, float, tuple[Topic, ...]]:
        asked.append(state.index)
        return EVERYTHING, 0.0, ()

    live = LiveAuthorizer(state, resolve, lambda: 0.0)
    for _ in range(3):
        assert live.allows(Resource.KEY, "x", Access.READ)
    assert len(asked) == 1
    state.apply(PutRecord("t", "k", b""), 2, 0.0)
    assert live.allows_all(Resource.KEY, "", Access.WRITE)
    assert asked == [1, 2]
