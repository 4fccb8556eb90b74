"""Leases in the state: lapse, return, and removal after the delay."""

import pytest

from catalog.state.changes import GrantLease, LeaseExpired, LeaseRestored, ReapNode, Register
from catalog.state.leases import deregister_after_s
from catalog.state.records import DEFAULT_DEREGISTER_AFTER_S, META_DEREGISTER_AFTER_S, Node, ServiceInstance
from catalog.state.state import State
from mesh.model.endpoint import Health
from tests.fakes.app.state_changes import do, refused

NODE = Node("n1", "10.0.0.1", meta={"rack": "a"})


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
