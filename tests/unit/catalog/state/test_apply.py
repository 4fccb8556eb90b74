"""What each change does: policy objects with compare-and-set, intentions, records, batches."""

import pytest

from catalog.state.changes import (
    Batch,
    DeleteConfig,
    DeleteIntention,
    DeleteRecord,
    GrantLease,
    PutConfig,
    PutIntention,
    PutRecord,
)
from catalog.state.errors import ConflictError, UnknownSubjectError
from catalog.state.state import State
from tests.fakes.app.state_changes import do, refused


def test_config_compare_and_set() -> None:
    """Consul's `?cas=`: 0 only creates, else the modify index must match; False writes nothing."""
    state = State()
    assert do(state, PutConfig("service-defaults", "web", {"Protocol": "tcp"}, cas=5)) is False
    assert do(state, PutConfig("service-defaults", "web", {"Protocol": "http"}, cas=0)) is True
    assert do(state, PutConfig("service-defaults", "web", {"Protocol": "grpc"}, cas=0)) is False
    entry = state.config("service-defaults", "web")
    assert entry is not None
    assert entry.body == {"Protocol": "http"}
    assert do(state, PutConfig("service-defaults", "web", {"Protocol": "grpc"}, cas=entry.modify_index)) is True
    assert do(state, DeleteConfig("service-defaults", "web", cas=entry.modify_index)) is False
    assert do(state, DeleteConfig("service-defaults", "web")) is True
    assert do(state, DeleteConfig("service-defaults", "web")) is True
    assert state.configs("service-defaults") == []


def test_intentions_edit_one_source_of_the_destinations_entry() -> None:
    """Upsert by the source's identity, the rest of the entry stays; the last source takes the entry with it."""
    state = State()
    do(state, PutConfig("service-intentions", "web", {"Name": "web", "Meta": {"a": "b"}, "Sources": []}))
    do(state, PutIntention("web", {"Name": "api", "Action": "allow"}))
    do(state, PutIntention("web", {"Name": "api", "Peer": "east", "Action": "allow"}))
    do(state, PutIntention("web", {"Name": "api", "Action": "deny"}))
    entry = state.config("service-intentions", "web")
    assert entry is not None
    assert entry.body["Meta"] == {"a": "b"}
    assert [(s["Name"], s.get("Peer"), s["Action"]) for s in entry.body["Sources"]] == [
        ("api", None, "deny"),
        ("api", "east", "allow"),
    ]
    assert do(state, DeleteIntention("web", {"Name": "nobody"})) is True
    assert do(state, DeleteIntention("web", {"Name": "api"})) is True
    assert do(state, DeleteIntention("web", {"Name": "api", "Peer": "east"})) is True
    assert state.config("service-intentions", "web") is None
    assert do(state, DeleteIntention("web", {"Name": "api"})) is True


def test_an_intention_cannot_join_an_entry_that_is_none() -> None:
    """A stored entry whose Sources are no list of objects is left alone."""
    state = State()
    for sources in (5, "api", ["api"], {"Name": "api"}):
        do(state, PutConfig("service-intentions", "web", {"Sources": sources}))
        assert refused(state, PutIntention("web", {"Name": "api"})).field == "Sources"
        assert refused(state, DeleteIntention("web", {"Name": "api"})).field == "Sources"


def test_a_record_is_consumed_once() -> None:
    """A one-time token: of two that delete it, one gets True."""
    state = State()
    assert do(state, PutRecord("tokens", "t", b"\x00\xff", cas=0)) is True
    assert do(state, PutRecord("tokens", "t", b"x", cas=0)) is False
    record = state.record("tokens", "t")
    assert record is not None
    assert record.value == b"\x00\xff"
    assert do(state, DeleteRecord("tokens", "t", cas=record.modify_index + 1)) is False
    assert do(state, DeleteRecord("tokens", "t", cas=record.modify_index)) is True
    assert do(state, DeleteRecord("tokens", "t")) is False


def test_a_batch_is_all_or_nothing() -> None:
    """An invalid change or a failed compare in it undoes what came before it."""
    state = State()
    good = PutRecord("t", "a", b"1")
    assert isinstance(refused(state, Batch((good, GrantLease("nobody")))), UnknownSubjectError)
    with pytest.raises(ConflictError) as caught:
        state.apply(Batch((good, PutRecord("t", "b", b"1", cas=9))), state.index + 1, 0.0)
    assert caught.value.position == 1
    assert state.records("t") == []
    assert do(state, Batch((good, DeleteRecord("t", "a"), PutRecord("t", "b", b"2", cas=0)))) == (True, True, True)
    assert [record.key for record in state.records("t")] == ["b"]
