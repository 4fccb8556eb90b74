"""Transactions: every verb, all or nothing, every failure named."""

import pytest

from catalog.state.changes import (
    CheckOp,
    CreateSession,
    KeyOp,
    NodeOp,
    Operation,
    PutKey,
    Register,
    ServiceOp,
    Transact,
)
from catalog.state.errors import InvalidChangeError, TransactionError
from catalog.state.limits import MAX_GIVEN_ROWS, MAX_OPERATIONS
from catalog.state.records import Check, KeyEntry, Node, ServiceInstance, Session
from catalog.state.state import State
from mesh.model.endpoint import Health
from tests.fakes.app.state_changes import do


def scene() -> State:
    """A node with an instance, a check and two sessions; the key a (index 5), and b held by s1 (index 6)."""
    state = State()
    do(state, Register(Node("n1", "10.0.0.1"), (ServiceInstance("web"),), (Check("up", service_id="web"),)))
    do(state, CreateSession(Session("s1", "n1")))
    do(state, CreateSession(Session("s2", "n1")))
    do(state, PutKey("a", b"1"))
    do(state, PutKey("b", b"2", acquire="s1"))
    return state


def run(state: State, *operations: Operation) -> tuple[object, ...]:
    result = do(state, Transact(operations))
    assert isinstance(result, tuple)
    return result


def failures(state: State, *operations: Operation) -> list[tuple[int, str]]:
    """What is refused, with nothing done."""
    before = state.encode()
    with pytest.raises(TransactionError) as caught:
        state.preview(Transact(operations), 0.0)
    assert state.encode() == before
    return list(caught.value.failures)


KEY_VERBS = [
    # operation, the rows it gives as (key, value, lock index, session), and what is there after
    (KeyOp("set", "c", b"3", 7), [("c", b"", 0, "")], ["a", "b", "c"]),
    (KeyOp("set", "b", b"3"), [("b", b"", 0, "s1")], ["a", "b"]),
    (KeyOp("cas", "a", b"3", index=5), [("a", b"", 0, "")], ["a", "b"]),
    (KeyOp("cas", "c", b"3", index=0), [("c", b"", 0, "")], ["a", "b", "c"]),
    (KeyOp("lock", "a", b"3", session="s2"), [("a", b"", 1, "s2")], ["a", "b"]),
    (KeyOp("lock", "b", b"3", session="s1"), [("b", b"", 1, "s1")], ["a", "b"]),
    (KeyOp("unlock", "b", b"3", session="s1"), [("b", b"", 1, "")], ["a", "b"]),
    (KeyOp("get", "a"), [("a", b"1", 0, "")], ["a", "b"]),
    (KeyOp("get-or-empty", "c"), [("c", b"", 0, "")], ["a", "b"]),
    (KeyOp("get-or-empty", "a"), [("a", b"1", 0, "")], ["a", "b"]),
    (KeyOp("get-tree", ""), [("a", b"1", 0, ""), ("b", b"2", 1, "s1")], ["a", "b"]),
    (KeyOp("get-tree", "c"), [], ["a", "b"]),
    (KeyOp("check-index", "a", index=5), [("a", b"", 0, "")], ["a", "b"]),
    (KeyOp("check-session", "b", session="s1"), [("b", b"", 1, "s1")], ["a", "b"]),
    (KeyOp("check-not-exists", "c"), [], ["a", "b"]),
    (KeyOp("delete", "a"), [], ["b"]),
    (KeyOp("delete", "c"), [], ["a", "b"]),
    (KeyOp("delete-cas", "a", index=5), [], ["b"]),
    (KeyOp("delete-tree", ""), [], []),
]


@pytest.mark.parametrize(("op", "given", "there"), KEY_VERBS, ids=lambda part: getattr(part, "verb", None))
def test_key_verbs(op: KeyOp, given: list[tuple[str, bytes, int, str]], there: list[str]) -> None:
    """What each verb gives and leaves; a value is given only where it was read."""
    state = scene()
    rows = run(state, op)
    assert [(row.key, row.value, row.lock_index, row.session) for row in rows if isinstance(row, KeyEntry)] == given
    assert [row.key for row in state.keys("")] == there
    assert Transact((op,)).reads_only == (op.verb.startswith(("get", "check")))


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (KeyOp("cas", "a", b"3", index=4), "index is stale"),
        (KeyOp("cas", "a", b"3", index=0), "index is stale"),
        (KeyOp("lock", "b", session="s2"), "already held"),
        (KeyOp("lock", "b"), "missing session"),
        (KeyOp("lock", "b", session="nobody"), "'nobody' is not there"),
        (KeyOp("unlock", "b", session="s2"), "held by another session"),
        (KeyOp("unlock", "a", session="s1"), "isn't held"),
        (KeyOp("unlock", "a"), "isn't held"),
        (KeyOp("get", "c"), 'key "c" doesn\'t exist'),
        (KeyOp("check-index", "a", index=4), "current modify index 5 != 4"),
        (KeyOp("check-index", "c", index=4), "doesn't exist"),
        (KeyOp("check-session", "b", session="s2"), 'current session "s1" != "s2"'),
        (KeyOp("check-not-exists", "a"), 'key "a" exists'),
        (KeyOp("delete-cas", "a", index=4), "index is stale"),
        (KeyOp("set", ""), "Key must not be empty"),
        (KeyOp("set", "a\0"), "NUL"),
        (KeyOp("fly", "a"), "unknown KV verb 'fly'"),
        (NodeOp("fly", Node("n1")), "unknown verb 'fly'"),
        (NodeOp("get", Node("n2")), "doesn't exist"),
        (NodeOp("get", Node("")), "Node"),
        (NodeOp("cas", Node("n1", "10.0.0.2"), index=9), "index is stale"),
        (NodeOp("delete-cas", Node("n1"), index=9), "index is stale"),
        (ServiceOp("set", "n9", ServiceInstance("web")), 'node "n9" doesn\'t exist'),
        (ServiceOp("delete", "n1", ServiceInstance("", id="web")), "must be given, also to delete"),
        (CheckOp("set", Check("up", node="n9")), 'node "n9" doesn\'t exist'),
        (CheckOp("set", Check("up", node="n1", service_id="none")), "not registered"),
    ],
)
def test_what_fails(op: Operation, words: str) -> None:
    """Alone at its position among operations that would succeed, and none of them is done."""
    ((position, text),) = failures(scene(), KeyOp("set", "x"), op, KeyOp("set", "y"))
    assert (position, words in text) == (1, True), text


def test_every_failure_is_named() -> None:
    """Measured trap 9."""
    found = failures(scene(), KeyOp("get", "x"), KeyOp("set", "c"), KeyOp("check-not-exists", "a"))
    assert [position for position, _ in found] == [0, 2]


def test_an_operation_sees_those_before_it() -> None:
    """In order, within one index."""
    state = scene()
    rows = run(state, KeyOp("set", "c", b"3"), KeyOp("get", "c"), KeyOp("delete", "a"), KeyOp("check-not-exists", "a"))
    assert rows[1] == KeyEntry("c", b"3", create_index=7, modify_index=7)


def test_subjects_are_set_compared_and_deleted() -> None:
    """Nodes, instances and checks have the same five verbs."""
    state = scene()
    node, instance, check = state.node("n1"), state.instance("n1", "web"), state.check("n1", "up")
    assert run(
        state,
        NodeOp("get", Node("n1")),
        ServiceOp("get", "n1", ServiceInstance("", id="web")),
        CheckOp("get", Check("up", node="n1")),
    ) == (node, instance, check)
    rows = run(
        state,
        NodeOp("set", Node("n2", "10.0.0.2")),
        ServiceOp("cas", "n2", ServiceInstance("api", port=1), index=0),
        ServiceOp("cas", "n1", ServiceInstance("web", port=2), index=2),
        CheckOp("cas", Check("up", node="n1", service_id="web", status=Health.PASSING), index=2),
        CheckOp("set", Check("disk", node="n2")),
    )
    index = state.index
    assert rows == (
        state.node("n2"),
        state.instance("n2", "api"),
        state.instance("n1", "web"),
        state.check("n1", "up"),
        state.check("n2", "disk"),
    )
    assert [(row.create_index, row.modify_index) for row in state.service("web")] == [(2, index)]
    gone = (
        CheckOp("delete-cas", Check("up", node="n1"), index=index),
        ServiceOp("delete", "n1", ServiceInstance("web")),
        NodeOp("delete", Node("n2")),
        NodeOp("delete", Node("n3")),
    )
    assert run(state, *gone) == ()
    assert ([row.node for row in state.nodes()], state.services(), state.checks()) == (["n1"], {}, [])


def test_a_transaction_ends_sessions_like_any_change() -> None:
    state = scene()
    run(state, NodeOp("delete", Node("n1")))
    assert state.sessions() == []
    assert run(state, KeyOp("check-session", "b", session=""))


def test_the_lock_delay_fails_a_lock() -> None:
    state = scene()
    run(state, KeyOp("unlock", "b", session="s1"), KeyOp("lock", "b", session="s1"))
    run(state, NodeOp("delete", Node("n1")), NodeOp("set", Node("n1", "10.0.0.1")))
    assert state.session("s1") is not None, "the node was there again at the end"
    run(state, NodeOp("delete", Node("n1")))
    do(state, Register(Node("n1", "10.0.0.1")))
    do(state, CreateSession(Session("s3", "n1")))
    assert "lock-delay" in failures(state, KeyOp("lock", "b", session="s3"))[0][1]


def test_a_transaction_that_only_reads_leaves_no_trace() -> None:
    """It is answered from the state, without a change."""
    state = scene()
    before = state.encode()
    assert state.transaction(Transact((KeyOp("get", "a"),))) == (state.key("a"),)
    assert state.encode() == before


def test_more_than_the_bound_is_refused() -> None:
    operations = tuple(KeyOp("get-or-empty", f"k{number}") for number in range(MAX_OPERATIONS + 1))
    state = scene()
    assert len(state.transaction(Transact(operations[1:]))) == MAX_OPERATIONS
    with pytest.raises(InvalidChangeError, match="128"):
        state.transaction(Transact(operations))


def test_many_trees_in_one_transaction_are_refused() -> None:
    """128 times the whole tree would be more than anybody has memory for: the first that goes too far ends it."""
    state = State()
    count = MAX_GIVEN_ROWS // 16
    for number in range(count):
        do(state, PutKey(f"k{number}"))
    trees = tuple(KeyOp("get-tree", "") for _ in range(MAX_OPERATIONS))
    assert len(state.transaction(Transact(trees[:16]))) == 16 * count
    ((position, text),) = failures(state, *trees)
    assert (position, "more than 65536 rows" in text) == (16, True)
