"""Sessions: what they rest on, and what becomes of their keys when they end."""

from collections.abc import Callable

import pytest

from catalog.state.changes import (
    AnyChange,
    Batch,
    CreateSession,
    Deregister,
    DestroySession,
    LeaseExpired,
    PutKey,
    ReapNode,
    Register,
    UpdateCheck,
)
from catalog.state.errors import UnknownSubjectError
from catalog.state.limits import MAX_SESSION_CHECKS
from catalog.state.records import (
    META_DEREGISTER_AFTER_S,
    Behavior,
    Check,
    Node,
    ServiceCheck,
    ServiceInstance,
    Session,
)
from catalog.state.state import State
from mesh.model.endpoint import Health
from tests.fakes.app.state_changes import do, refused

BOUND = Session("s", "n1", node_checks=("serfHealth", "disk"), service_checks=(ServiceCheck("up"),))
DISK = Check("disk", status=Health.PASSING)
UP = Check("up", service_id="web", status=Health.WARNING)


def scene(session: Session = BOUND) -> State:
    """A node on a lease with an instance and checks, and a session that rests on all of it and holds the keys a and b."""
    state = State()
    node = Node("n1", "10.0.0.1", meta={META_DEREGISTER_AFTER_S: "60"})
    do(state, Register(node, (ServiceInstance("web"),), (DISK, UP), lease_ttl_s=15))
    do(state, CreateSession(session))
    for key in ("a", "b"):
        do(state, PutKey(key, b"mine", acquire="s"))
    return state


ENDS: dict[str, AnyChange] = {
    "destroyed": DestroySession("s"),
    "its node's lease lapses": LeaseExpired("n1"),
    "its node goes": Deregister("n1"),
    "a node check turns critical": UpdateCheck("n1", "disk", Health.CRITICAL),
    "a node check goes": Deregister("n1", check_id="disk"),
    "a service check turns critical": Register(
        Node("n1"), checks=(Check("up", service_id="web", status=Health.CRITICAL),), skip_node_update=True
    ),
    "its instance goes": Deregister("n1", service_id="web"),
    "in a batch": Batch((PutKey("c", b""), UpdateCheck("n1", "disk", Health.CRITICAL))),
}


@pytest.mark.parametrize("change", ENDS.values(), ids=ENDS)
def test_what_ends_a_session(change: AnyChange) -> None:
    """Its keys are released, with an index that moves, and may not be locked at once."""
    state = scene()
    outcome = state.apply(change, state.index + 1, 50.0)
    assert state.session("s") is None
    assert [(row.key, row.session, row.value, row.lock_index) for row in state.keys("")][:2] == [
        ("a", "", b"mine", 1),
        ("b", "", b"mine", 1),
    ]
    assert {("key", "a"), ("key", "b"), ("session", "s"), ("sessions",), ("sessions", "n1")} <= outcome.touched
    assert state.index_of(("key", "a")) == state.index_of(("session", "s")) == state.index


KEEPS: dict[str, AnyChange] = {
    "a check warns": UpdateCheck("n1", "disk", Health.WARNING),
    "another check turns critical": Register(Node("n1"), checks=(Check("other"),), skip_node_update=True),
    "another node goes": Deregister("n2"),
    "a check is critical only for a moment": Batch(
        (UpdateCheck("n1", "disk", Health.CRITICAL), UpdateCheck("n1", "disk", Health.PASSING))
    ),
    "its node is registered anew": Register(Node("n1", "10.0.0.2")),
}


@pytest.mark.parametrize("change", KEEPS.values(), ids=KEEPS)
def test_what_does_not_end_a_session(change: AnyChange) -> None:
    state = scene()
    do(state, change)
    assert state.session("s") is not None
    assert [row.key for row in state.held_keys("s")] == ["a", "b"]


def test_a_session_may_delete_what_it_held() -> None:
    """Behavior `delete`: the keys are gone, others stay, and theirs may not be locked at once either."""
    state = scene(Session("s", "n1", behavior=Behavior.DELETE))
    do(state, CreateSession(Session("t", "n1")))
    do(state, PutKey("c", b""))
    do(state, DestroySession("s"), 100.0)
    assert [row.key for row in state.keys("")] == ["c"]
    assert do(state, PutKey("a", acquire="t"), 101.0) is False
    assert do(state, PutKey("a", acquire="t"), 116.0) is True


def test_a_session_without_delay_leaves_none() -> None:
    state = scene(Session("s", "n1", lock_delay_ns=0))
    do(state, CreateSession(Session("t", "n1")))
    do(state, DestroySession("s"), 100.0)
    assert do(state, PutKey("a", acquire="t"), 100.0) is True


def test_delays_are_forgotten_when_they_are_over() -> None:
    """What is kept is bounded: the next end of a session sweeps."""
    state = State()
    do(state, Register(Node("n1", "10.0.0.1")))
    for number in range(5):
        do(state, CreateSession(Session(f"s{number}", "n1")))
        do(state, PutKey(f"k{number}", acquire=f"s{number}"))
        do(state, DestroySession(f"s{number}"), number * 100.0)
    assert state.encode().count(b'"delay_s"') == 1


def test_delays_survive_a_restart() -> None:
    """A lock that was lost before it is not free after it."""
    state = scene()
    do(state, CreateSession(Session("t", "n1")))
    do(state, DestroySession("s"), 100.0)
    restarted = State.decode(state.encode())
    assert do(restarted, PutKey("a", acquire="t"), 114.0) is False
    assert do(restarted, PutKey("a", acquire="t"), 115.0) is True


def test_a_reaped_node_ends_its_sessions() -> None:
    """Also those that rest on the node alone."""
    state = scene(Session("s", "n1"))
    do(state, LeaseExpired("n1"), 0.0)
    assert state.session("s") is not None
    do(state, ReapNode("n1"), 60.0)
    assert state.sessions() == []


def with_critical() -> State:
    state = scene()
    do(state, Register(Node("n1"), checks=(Check("bad"),), skip_node_update=True))
    return state


@pytest.mark.parametrize(
    ("session", "field", "unknown"),
    [
        (Session("x", "n9"), "Node", True),
        (Session("x", "n1", node_checks=("none",)), "Check", True),
        (Session("x", "n1", node_checks=("bad",)), "Check", False),
        (Session("x", "n1", service_checks=(ServiceCheck("none"),)), "Check", True),
        (Session("s", "n1"), "ID", False),
        (Session("", "n1"), "ID", False),
        (Session("x", "n1", ttl="9s", ttl_s=9.0), "TTL", False),
        (Session("x", "n1", ttl="25h", ttl_s=90000.0), "TTL", False),
        (Session("x", "n1", ttl="0s"), "TTL", False),
        (Session("x", "n1", lock_delay_ns=60 * 10**9 + 1), "LockDelay", False),
        (Session("x", "n1", lock_delay_ns=-1), "LockDelay", False),
        (Session("x", "n1", name="n" * 513), "Name", False),
        (
            Session("x", "n1", node_checks=("disk",) * (MAX_SESSION_CHECKS + 1)),
            "NodeChecks and ServiceChecks",
            False,
        ),
    ],
)
def test_a_session_that_cannot_be(session: Session, field: str, unknown: bool) -> None:
    """Its node and checks must be there and not critical, its fields in bounds."""
    error = refused(with_critical(), CreateSession(session))
    assert (error.field, isinstance(error, UnknownSubjectError)) == (field, unknown)


@pytest.mark.parametrize(
    "read",
    [lambda state: state.sessions(), lambda state: state.sessions("n1")],
    ids=["all", "of the node"],
)
def test_sessions_are_listed_by_id(read: Callable[[State], list[Session]]) -> None:
    state = scene()
    do(state, CreateSession(Session("r", "n1")))
    assert [session.id for session in read(state)] == ["r", "s"]
    assert state.sessions("n2") == []
