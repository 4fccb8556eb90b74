"""What each change does: registration as Consul's, compare-and-set, intentions, records, leases."""

import pytest

from catalog.state.apply import deregister_after_s
from catalog.state.changes import (
    AnyChange,
    Batch,
    DeleteConfig,
    DeleteIntention,
    DeleteRecord,
    Deregister,
    GrantLease,
    LeaseExpired,
    LeaseRestored,
    PutConfig,
    PutIntention,
    PutRecord,
    ReapNode,
    Register,
    UpdateCheck,
)
from catalog.state.errors import ConflictError, InvalidChangeError, UnknownSubjectError
from catalog.state.records import DEFAULT_DEREGISTER_AFTER_S, META_DEREGISTER_AFTER_S, Check, Node, ServiceInstance
from catalog.state.state import State
from mesh.model.endpoint import Health

NODE = Node("n1", "10.0.0.1", meta={"rack": "a"})


def do(state: State, change: AnyChange, now_s: float = 0.0) -> object:
    return state.apply(change, state.index + 1, now_s).result


def refused(state: State, change: AnyChange) -> InvalidChangeError:
    """The refusal of a change that must leave everything as it was, index aside."""
    before = state.encode()
    with pytest.raises(InvalidChangeError) as caught:
        state.preview(change, 0.0)
    assert state.encode() == before
    return caught.value


def test_registration_fills_in_what_consul_fills_in() -> None:
    """The instance's ID is its service's name, the check's ID its name; a check carries its service's name and tags."""
    state = State()
    assert (
        do(state, Register(NODE, (ServiceInstance("web", tags=("v1",)),), (Check("", "up", service_id="web"),))) is True
    )
    instance, check = state.instance("n1", "web"), state.check("n1", "up")
    assert instance is not None
    assert check is not None
    assert (instance.node, instance.id, instance.create_index, instance.modify_index) == ("n1", "web", 2, 2)
    assert (check.service_name, check.service_tags, check.status) == ("web", ("v1",), Health.CRITICAL)


def test_a_check_follows_its_instances_tags() -> None:
    """Lists of checks print the service's tags: they stay true when only the instance is registered again."""
    state = State()
    do(state, Register(NODE, (ServiceInstance("web"),), (Check("up", service_id="web"),)))
    do(state, Register(NODE, (ServiceInstance("web", tags=("v2",)),)))
    assert state.service_checks("web")[0].service_tags == ("v2",)


def test_an_instance_that_changes_keeps_its_create_index() -> None:
    """CreateIndex is of the first registration, ModifyIndex of the last that changed it."""
    state = State()
    do(state, Register(NODE, (ServiceInstance("web"),)))
    do(state, Register(NODE, (ServiceInstance("web", port=81),)))
    do(state, Register(NODE, (ServiceInstance("web", port=81),)))
    instance = state.instance("n1", "web")
    assert instance is not None
    assert (instance.create_index, instance.modify_index) == (2, 3)


def test_skip_node_update_leaves_a_known_node_alone() -> None:
    """SkipNodeUpdate: address and meta of a known node stay; an unknown node needs an address all the same."""
    state = State()
    do(state, Register(NODE))
    do(state, Register(Node("n1"), (ServiceInstance("web"),), skip_node_update=True))
    known = state.node("n1")
    assert known is not None
    assert (known.address, known.meta) == ("10.0.0.1", {"rack": "a"})
    assert refused(state, Register(Node("n2"), skip_node_update=True)).field == "Address"
    assert refused(state, Register(Node("n1"))).field == "Address"


def test_a_rebuilt_host_takes_its_old_name() -> None:
    """DESIGN 4: another ID under a known name is the same node, rebuilt; nothing is reserved."""
    state = State()
    do(state, Register(Node("n1", "10.0.0.1", id="old"), (ServiceInstance("web"),)))
    do(state, Register(Node("n1", "10.0.0.9", id="new")))
    node = state.node("n1")
    assert node is not None
    assert (node.id, node.address) == ("new", "10.0.0.9")
    do(state, Register(Node("n2", "10.0.0.8", id="new")))
    assert [row.node for row in state.nodes()] == ["n1", "n2"], "an ID cannot be used to remove another's node"


def test_a_check_of_an_unknown_instance_is_refused_and_nothing_is_kept() -> None:
    """A registration happens whole or not at all."""
    state = State()
    error = refused(state, Register(NODE, (ServiceInstance("web"),), (Check("up", service_id="api"),)))
    assert isinstance(error, UnknownSubjectError)
    assert error.field == "Check.ServiceID"
    assert state.nodes() == []


def test_rows_of_another_node_are_refused() -> None:
    """An instance or check that names another node would land where its sender may not write."""
    state = State()
    assert refused(state, Register(NODE, (ServiceInstance("web", node="n2"),))).field == "Service.Node"
    assert refused(state, Register(NODE, checks=(Check("up", node="n2"),))).field == "Check.Node"


def test_deregister_takes_what_hangs_on_it() -> None:
    """An instance goes with its checks, a node with everything; what is not there is no error."""
    state = State()
    services = (ServiceInstance("web"), ServiceInstance("api"))
    checks = (Check("w", service_id="web"), Check("a", service_id="api"), Check("disk"))
    do(state, Register(NODE, services, checks, lease_ttl_s=15))
    assert do(state, Deregister("n1", service_id="web")) is True
    assert [check.check_id for check in state.node_checks("n1")] == ["a", "disk", "serfHealth"]
    assert do(state, Deregister("n1", check_id="disk")) is True
    assert do(state, Deregister("n1", check_id="disk")) is True
    assert do(state, Deregister("n1")) is True
    assert do(state, Deregister("n1", service_id="api")) is True
    assert (state.nodes(), state.checks(), state.services(), state.leases()) == ([], [], {}, [])


def test_update_check_sets_status_and_output_only() -> None:
    """The rest of the check stays; an unknown check is refused."""
    state = State()
    do(state, Register(NODE, checks=(Check("disk", "Disk", notes="df"),)))
    do(state, UpdateCheck("n1", "disk", Health.WARNING, "91 %"))
    check = state.check("n1", "disk")
    assert check is not None
    assert (check.status, check.output, check.notes, check.name) == (Health.WARNING, "91 %", "df", "Disk")
    assert isinstance(refused(state, UpdateCheck("n1", "nope", Health.PASSING)), UnknownSubjectError)


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


def status(state: State, node: str = "n1") -> Health | None:
    check = state.check(node, "serfHealth")
    return check.status if check else None


def test_a_lease_lapses_and_returns() -> None:
    """The check serfHealth follows the lease: passing while held, critical once lapsed, passing again when its holder is back."""
    state = State()
    do(state, Register(NODE, (ServiceInstance("web"),), lease_ttl_s=15))
    assert status(state) is Health.PASSING
    assert do(state, LeaseExpired("n1"), 100.0) is True
    assert do(state, LeaseExpired("n1"), 101.0) is False
    assert status(state) is Health.CRITICAL
    assert [lease.lapsed_at_s for lease in state.lapsed_leases()] == [100.0]
    assert do(state, LeaseRestored("n1")) is True
    assert status(state) is Health.PASSING
    assert state.lapsed_leases() == []
    assert do(state, LeaseRestored("nobody")) is False
    assert do(state, LeaseExpired("nobody")) is False


def test_registering_again_restores_the_lease() -> None:
    """An agent that comes back after a restart registers: its node is alive."""
    state = State()
    do(state, Register(NODE, lease_ttl_s=15))
    do(state, LeaseExpired("n1"))
    do(state, Register(NODE, lease_ttl_s=15))
    assert status(state) is Health.PASSING


def test_a_node_without_a_lease_has_no_serf_health() -> None:
    """As in Consul: what is registered through the catalog API alone never lapses."""
    state = State()
    do(state, Register(NODE))
    assert status(state) is None
    assert do(state, LeaseExpired("n1")) is False
    assert do(state, GrantLease("n1")) is True
    assert status(state) is Health.PASSING
    assert refused(state, GrantLease("n1", ttl_s=0.1)).field == "TTL"


def test_a_node_is_reaped_after_its_delay() -> None:
    """72 h for a host unless its meta says otherwise; not before, and not if its holder came back."""
    state = State()
    do(state, Register(Node("n1", "10.0.0.1", meta={META_DEREGISTER_AFTER_S: "60"}), lease_ttl_s=15))
    assert do(state, ReapNode("n1"), 1e9) is False
    do(state, LeaseExpired("n1"), 1000.0)
    assert do(state, ReapNode("n1"), 1059.0) is False
    assert do(state, ReapNode("n1"), 1060.0) is True
    assert do(state, ReapNode("n1"), 1060.0) is False
    assert state.nodes() == []


def test_a_node_without_delay_goes_with_its_lease() -> None:
    """A lost Kubernetes node lapses as a whole: no zombie pods."""
    state = State()
    node = Node("k1", "10.0.0.1", meta={META_DEREGISTER_AFTER_S: "0"})
    do(state, Register(node, (ServiceInstance("web"),), lease_ttl_s=15))
    outcome = state.apply(LeaseExpired("k1"), state.index + 1, 0.0)
    assert (state.nodes(), state.service("web"), state.leases()) == ([], [], [])
    assert {("service", "web"), ("nodes",), ("lease", "k1")} <= outcome.touched


@pytest.mark.parametrize(
    ("text", "delay_s"),
    [("0", 0.0), ("30", 30.0), ("", DEFAULT_DEREGISTER_AFTER_S), ("soon", DEFAULT_DEREGISTER_AFTER_S)]
    + [(text, DEFAULT_DEREGISTER_AFTER_S) for text in ("-1", "nan", "inf")],
)
def test_a_delay_that_does_not_parse_is_the_default(text: str, delay_s: float) -> None:
    """A slip in a node's meta must not remove it at once."""
    assert deregister_after_s(Node("n", meta={META_DEREGISTER_AFTER_S: text})) == delay_s
    assert deregister_after_s(Node("n")) == DEFAULT_DEREGISTER_AFTER_S
