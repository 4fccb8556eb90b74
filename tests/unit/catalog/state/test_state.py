"""The state as a whole: queries in order, previews that leave no trace, snapshots and replays that give the same state."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catalog.state import changes as c
from catalog.state.errors import ChangeRefusedError, FaultyChangeError
from catalog.state.records import Behavior, Check, Connect, Node, Proxy, ServiceInstance, Session
from catalog.state.state import Outcome, State, UnreadableStateError
from mesh.model.endpoint import Health

NAMES = st.sampled_from(["a", "b"])
SERVICES = st.builds(
    ServiceInstance,
    service=NAMES,
    id=st.sampled_from(["", "a", "b"]),
    tags=st.sampled_from([(), ("v1",)]),
    port=st.sampled_from([80, 99999]),
    kind=st.sampled_from(["", "connect-proxy", "mesh-gateway"]),
    proxy=st.builds(Proxy, destination_service_name=NAMES),
    connect=st.builds(Connect, native=st.booleans()),
)
STATUSES = st.sampled_from(Health)
CHECKS = st.builds(Check, check_id=NAMES, service_id=st.sampled_from(["", "a"]), status=STATUSES)
NODES = st.builds(
    Node,
    node=NAMES,
    address=st.sampled_from(["", "10.0.0.1"]),
    meta=st.sampled_from([{}, {"linkspan-deregister-after-s": "0"}]),
)
CAS = st.sampled_from([None, 0, 2, 3, 4])
SOURCES = st.fixed_dictionaries({"Name": NAMES, "Action": st.sampled_from(["allow", "deny"])})
KEYS = st.sampled_from(["a", "a/b", "b"])
VALUES = st.binary(max_size=1)
HOLDERS = st.sampled_from(["", "a", "b"])
SESSIONS = st.builds(
    Session,
    id=NAMES,
    node=NAMES,
    behavior=st.sampled_from(Behavior),
    lock_delay_ns=st.sampled_from([0, 10**9]),
    node_checks=st.sampled_from([(), ("serfHealth",), ("a",)]),
)
SINGLES = st.one_of(
    st.builds(
        c.Register,
        node=NODES,
        services=st.lists(SERVICES, max_size=2).map(tuple),
        checks=st.lists(CHECKS, max_size=2).map(tuple),
        skip_node_update=st.booleans(),
        lease_ttl_s=st.sampled_from([0.0, 15.0]),
    ),
    st.builds(c.Deregister, node=NAMES, service_id=st.sampled_from(["", "a"]), check_id=st.sampled_from(["", "a"])),
    st.builds(c.UpdateCheck, node=NAMES, check_id=NAMES, status=STATUSES, output=NAMES),
    st.builds(c.PutConfig, kind=NAMES, name=NAMES, body=st.just({"x": [1, None]}), cas=CAS),
    st.builds(c.DeleteConfig, kind=NAMES, name=NAMES, cas=CAS),
    st.builds(c.PutIntention, destination=NAMES, source=SOURCES),
    st.builds(c.DeleteIntention, destination=NAMES, source=SOURCES),
    st.builds(c.PutRecord, table=NAMES, key=NAMES, value=st.binary(max_size=2), cas=CAS),
    st.builds(c.DeleteRecord, table=NAMES, key=NAMES, cas=CAS),
    st.builds(c.GrantLease, node=NAMES),
    st.builds(c.LeaseExpired, node=NAMES),
    st.builds(c.LeaseRestored, node=NAMES),
    st.builds(c.ReapNode, node=NAMES),
    st.builds(c.PutKey, key=KEYS, value=VALUES, cas=CAS),
    st.builds(c.PutKey, key=KEYS, value=VALUES, acquire=HOLDERS),
    st.builds(c.PutKey, key=KEYS, value=VALUES, release=HOLDERS),
    st.builds(c.DeleteKey, key=KEYS, cas=CAS),
    st.builds(c.DeleteKeys, prefix=KEYS),
    st.builds(c.CreateSession, session=SESSIONS),
    st.builds(c.DestroySession, id=NAMES),
)
OPERATIONS = st.one_of(
    st.builds(
        c.KeyOp,
        verb=st.sampled_from(
            ["set", "cas", "lock", "unlock", "get", "get-tree", "check-index", "delete", "delete-tree", "delete-cas"]
        ),
        key=KEYS,
        value=VALUES,
        index=st.sampled_from([0, 2, 3, 4]),
        session=HOLDERS,
    ),
    st.builds(c.NodeOp, verb=st.sampled_from(["set", "cas", "get", "delete"]), node=NODES),
)
TRANSACTIONS = st.builds(c.Transact, operations=st.lists(OPERATIONS, max_size=3).map(tuple))
CHANGES = st.one_of(SINGLES, TRANSACTIONS, st.lists(SINGLES, max_size=3).map(lambda changes: c.Batch(tuple(changes))))
TOPICS = [
    (family, name)
    for family in (
        *("node", "service", "instances", "connect", "intentions", "lease", "config", "record"),
        *("key", "keys", "session", "sessions"),
    )
    for name in ("a", "b")
] + [
    ("nodes",),
    ("services",),
    ("checks",),
    ("keys", ""),
    ("key", "a/b"),
    ("sessions",),
    ("config", "a", "b"),
    ("record", "a", "b"),
    ("kind", "mesh-gateway"),
]


def answers(state: State) -> list[object]:
    """Every query over the names in use."""
    found: list[object] = [
        state.index,
        state.nodes(),
        state.services(),
        state.checks(),
        state.leases(),
        state.lapsed_leases(),
        list(state.keys("")),
        state.sessions(),
    ]
    for name in ("a", "b"):
        found += [list(state.keys(name)), state.session(name), state.sessions(name), state.held_keys(name)]
        found += [state.service(name), state.connect(name), state.node_services(name), state.node_checks(name)]
        found += [state.service_checks(name), state.configs(name), state.records(name), state.node(name)]
        found += [state.instance_checks(row) for row in state.service(name)]
    found += [state.checks(status) for status in Health] + [state.kind("mesh-gateway"), state.connect_services()]
    return [*found, [state.index_of(topic) for topic in TOPICS]]


def outcome_or_refusal(work: Callable[[], Outcome]) -> Outcome | str:
    """What the work returns, or the text it refuses with."""
    try:
        return work()
    except ChangeRefusedError as error:
        return str(error)


@settings(deadline=None)
@given(st.lists(CHANGES, max_size=12))
@example([c.Transact((c.NodeOp("set", Node("a")), c.NodeOp("set", Node("a")), c.NodeOp("delete", Node("a"))))])
def test_any_history_replays_to_the_same_state(history: list[c.AnyChange]) -> None:
    """Preview agrees with apply and leaves no trace; indexes never go back; log and snapshot both give the same state."""
    state, replayed = State(), State()
    for change in history:
        before, indexes = answers(state), [state.index_of(topic) for topic in TOPICS]
        foreseen = outcome_or_refusal(lambda change=change: state.preview(change, 5.0))
        assert answers(state) == before
        found = outcome_or_refusal(lambda change=change: state.apply(change, state.index + 1, 5.0))
        if isinstance(found, Outcome):
            assert foreseen == Outcome(found.result, changed=found.changed)
            assert found.changed == bool(found.touched)
        else:
            assert foreseen == found
            assert answers(state)[1:] == before[1:]
        assert all(state.index_of(topic) >= index for topic, index in zip(TOPICS, indexes, strict=True))
        entry = c.decode_entry(c.encode_entry(c.Entry(5.0, change)))
        assert (
            outcome_or_refusal(lambda entry=entry: replayed.apply(entry.change, replayed.index + 1, entry.now_s))
            == found
        )
    assert answers(replayed) == answers(state)
    assert answers(State.decode(state.encode())) == answers(state)


def test_answers_are_in_order_of_node_and_id() -> None:
    """The same answer whatever the order of registration."""
    state = State()
    for node in ("n2", "n1"):
        state.apply(
            c.Register(Node(node, "10.0.0.1"), (ServiceInstance("web", id="w2"), ServiceInstance("web", id="w1"))),
            state.index + 1,
            0.0,
        )
    assert [(row.node, row.id) for row in state.service("web")] == [
        ("n1", "w1"),
        ("n1", "w2"),
        ("n2", "w1"),
        ("n2", "w2"),
    ]
    assert [row.node for row in state.nodes()] == ["n1", "n2"]


def test_services_lists_every_tag_once() -> None:
    """`catalog/services`: names with the union of their instances' tags."""
    state = State()
    services = (ServiceInstance("web", id="1", tags=("b", "a")), ServiceInstance("web", id="2", tags=("a", "c")))
    state.apply(c.Register(Node("n", "10.0.0.1"), services), 2, 0.0)
    assert state.services() == {"web": ("a", "b", "c")}
    state.apply(c.Deregister("n", service_id="2"), 3, 0.0)
    assert state.services() == {"web": ("a", "b")}


def test_connect_answers_with_sidecars_and_native_instances() -> None:
    """What mesh callers dial: the proxies of a service, and the instances that speak the mesh themselves."""
    state = State()
    services = (
        ServiceInstance("web"),
        ServiceInstance("web-proxy", kind="connect-proxy", proxy=Proxy("web", "web")),
        ServiceInstance("web", id="native", connect=Connect(native=True)),
    )
    state.apply(c.Register(Node("n", "10.0.0.1"), services), 2, 0.0)
    assert [row.id for row in state.connect("web")] == ["native", "web-proxy"]
    assert state.connect_services() == ["web"]
    assert state.connect("web-proxy") == []


def test_an_instances_health_is_its_nodes_and_its_own() -> None:
    """`health/service` prints the node's checks first; another instance's are not among them."""
    state = State()
    checks = (Check("b", service_id="web"), Check("a", service_id="api"), Check("serfHealth"))
    state.apply(c.Register(Node("n", "10.0.0.1"), (ServiceInstance("web"), ServiceInstance("api")), checks), 2, 0.0)
    assert [check.check_id for check in state.instance_checks(state.service("web")[0])] == ["serfHealth", "b"]


def test_a_change_that_breaks_is_refused_like_any_other() -> None:
    """What nobody foresaw undoes the change and says whose fault it is; the next change works."""
    state = State()
    broken = c.Batch((c.PutRecord("t", "k", b"1"), c.PutRecord("t", "broken", 5)))  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(FaultyChangeError, match="Batch"):
            state.preview(broken, 0.0)
        with pytest.raises(FaultyChangeError, match="Batch"):
            state.apply(broken, state.index + 1, 0.0)
        assert state.records("t") == []
    assert state.apply(c.PutRecord("t", "k", b"1"), state.index + 1, 0.0).result is True


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b'{"format": 1}', b"\xff", b"[" * 5000])
def test_a_snapshot_that_is_none_is_refused(data: bytes) -> None:
    """A damaged snapshot stops the catalog; it never starts empty instead."""
    with pytest.raises(UnreadableStateError):
        State.decode(data)


def test_a_snapshot_of_the_first_format_is_read() -> None:
    """What was written before there were keys: they are empty then."""
    data = (
        b'{"format":1,"index":7,"nodes":[{"node":"n","address":"10.0.0.1","create_index":2,"modify_index":7}],'
        b'"instances":[],"checks":[],"config":[],"records":[],"leases":[],"live":[[["nodes"],7]],"extinct":[]}'
    )
    state = State.decode(data)
    assert ([node.node for node in state.nodes()], list(state.keys("")), state.sessions()) == (["n"], [], [])
    assert (state.index, state.index_of(("nodes",)), state.index_of(("keys", ""))) == (7, 7, 1)


def test_a_snapshot_of_another_format_is_refused() -> None:
    """No guess at what a later version wrote."""
    data = State().encode().replace(b'"format":2', b'"format":3')
    with pytest.raises(UnreadableStateError, match="format 3"):
        State.decode(data)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"index": 2**63}, "index"),
        ({"index": 0}, "index"),
        ({"live": [[["nodes"], 999]]}, "above its own"),
        ({"graves": [["k", 999]]}, "above its own"),
        ({"floor": 999}, "above its own"),
        ({"leases": [{"node": "ghost", "ttl_s": 12.0, "create_index": 2, "modify_index": 2}]}, "ghost"),
    ],
)
def test_a_snapshot_that_would_end_the_catalog_takes_no_states_place(change: dict[str, object], text: str) -> None:
    """It is put on disk before it is used: an unbounded index or a lease of nobody would end every start after it."""
    state = State()
    state.apply(c.Register(node=Node(node="a", address="192.0.2.1")), 2, 0.0)
    image = msgspec.json.decode(state.encode())
    with pytest.raises(UnreadableStateError, match=text):
        State().successor(msgspec.json.encode({**image, **change}))
    assert State().successor(state.encode())[0] == 3


def test_bytes_without_utf_8_are_no_snapshot() -> None:
    """The reader's own complaint about them must not go further."""
    with pytest.raises(UnreadableStateError):
        State().successor(b'{"format": "\xff"}')
