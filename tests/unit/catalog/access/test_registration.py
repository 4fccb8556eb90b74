"""What a node may register, line by line: services, sidecars, gateways and networks of its grant, and no others."""

import pytest

from catalog.access.callers import ANONYMOUS, OPERATOR, Caller, CallerKind, Grant
from catalog.access.registration import may_keep, may_register
from catalog.state.changes import Register
from catalog.state.records import Check, Node, Proxy, ServiceInstance

WEB = Grant(("web",))
PARIS = Grant(("web",), network="paris")
EDGE = Grant((), gateway=True, network="paris")
POD_NODE = Grant(network="k8s", any_service=True)


def node(network: str = "") -> Node:
    return Node("vm1", "192.0.2.1", meta={"linkspan-network": network} if network else {})


def instance(name: str, *, kind: str = "", to: str = "", network: str = "") -> ServiceInstance:
    meta = {"linkspan-network": network} if network else {}
    return ServiceInstance(name, f"{name}-1", kind=kind, meta=meta, proxy=Proxy(destination_service_name=to))


SIDECAR = instance("web-sidecar-proxy", kind="connect-proxy", to="web")


@pytest.mark.parametrize(
    ("grant", "network", "one"),
    [
        (WEB, "", instance("web")),
        (WEB, "anywhere", instance("web", network="elsewhere")),
        (WEB, "", SIDECAR),
        (WEB, "", instance("web", kind="connect-proxy", to="web")),
        (WEB, "", instance("web-sidecar-proxy")),
        (Grant(("*",)), "", instance("db", kind="connect-proxy", to="api")),
        (PARIS, "paris", instance("web")),
        (PARIS, "paris", instance("web", network="paris")),
        (EDGE, "paris", instance("mesh-gateway", kind="mesh-gateway")),
        (EDGE, "paris", instance("mesh-gateway", kind="mesh-gateway", network="paris")),
        (Grant(("edge",), gateway=True, network="paris"), "paris", instance("edge", kind="mesh-gateway")),
        (Grant(("web",), network="default"), "", instance("web")),
        (POD_NODE, "k8s", instance("anything", kind="connect-proxy", to="whatever", network="k8s")),
        (POD_NODE, "k8s", instance("mesh-gateway", kind="mesh-gateway")),
    ],
)
def test_what_is_granted_is_registered(grant: Grant, network: str, one: ServiceInstance) -> None:
    verdict = may_register(Caller(CallerKind.NODE, "vm1", grant), Register(node(network), (one,)), None)
    assert verdict, verdict.reason
    assert may_keep(grant, node(network), one)


@pytest.mark.parametrize(
    ("grant", "network", "one", "lacks", "how"),
    [
        (Grant(), "", instance("web"), "the service 'web'", "--service web"),
        (WEB, "", instance("db"), "the service 'db'", "--service db"),
        (WEB, "", instance("db-sidecar-proxy"), "the service 'db'", "--service db"),
        (WEB, "", instance("web", kind="connect-proxy", to="db"), "the service 'db'", "--service db"),
        (WEB, "", instance("db", kind="connect-proxy", to="web"), "the service 'db'", "--service db"),
        (WEB, "", instance("web", to="web-sidecar-proxy"), "web-sidecar-proxy", "--service web-sidecar-proxy"),
        (WEB, "", instance("web", to="db"), "the service 'db'", "--service db"),
        (Grant(("*",)), "", instance("mesh-gateway", kind="mesh-gateway"), "the mesh gateway", "--gateway"),
        (Grant(gateway=True), "", instance("mesh-gateway", kind="mesh-gateway"), "the mesh gateway", "--gateway"),
        (EDGE, "paris", instance("mesh-gateway"), "the service 'mesh-gateway'", "--service mesh-gateway"),
        (EDGE, "paris", instance("web", kind="mesh-gateway"), "the service 'web'", "--service web"),
        (EDGE, "paris", instance("mesh-gateway", kind="mesh-gateway", network="lyon"), "network 'lyon'", "lyon"),
        (PARIS, "paris", instance("web", network="lyon"), "the network 'lyon'", "--network lyon"),
        (POD_NODE, "k8s", instance("x", network="paris"), "the network 'paris'", "--network paris"),
        (POD_NODE, "k8s", instance("mesh-gateway", kind="mesh-gateway", network="paris"), "'paris'", "paris"),
    ],
)
def test_what_is_not_granted_is_refused(grant: Grant, network: str, one: ServiceInstance, lacks: str, how: str) -> None:
    """The refusal says what is lacking and the command that gives it."""
    verdict = may_register(Caller(CallerKind.NODE, "vm1", grant), Register(node(network), (one,)), None)
    assert not verdict
    assert verdict.reason.startswith("Permission denied: node vm1 was not granted the ")
    assert lacks in verdict.reason
    assert "`linkspan token create --node vm1 " in verdict.reason
    assert how in verdict.reason
    assert not may_keep(grant, node(network), one)


@pytest.mark.parametrize(("network", "allowed"), [("paris", True), ("lyon", False), ("", False)])
def test_a_node_says_its_own_network(network: str, allowed: bool) -> None:
    """Without one it would be in `default`, which a grant of another does not cover either."""
    assert bool(may_register(Caller(CallerKind.NODE, "vm1", PARIS), Register(node(network)), None)) is allowed
    assert may_register(Caller(CallerKind.NODE, "vm1", WEB), Register(node(network)), None)


@pytest.mark.parametrize(
    ("known", "stated", "allowed"),
    [
        (node("paris"), "paris", True),
        (None, "paris", True),
        (node("lyon"), "paris", False),  # the node stays as it is, and so the instance would be in lyon
        (node("paris"), "lyon", False),
        (node("paris"), "", False),  # the node may be gone when this is applied: the instance would be in default
        (None, "", False),
    ],
)
def test_a_node_that_is_not_updated_counts_as_it_is(known: Node | None, stated: str, allowed: bool) -> None:
    caller = Caller(CallerKind.NODE, "vm1", PARIS)
    change = Register(node(stated), (instance("web"),), skip_node_update=True)
    assert bool(may_register(caller, change, known)) is allowed


def test_checks_alone_need_no_grant() -> None:
    """On its own node, which was asked before."""
    caller = Caller(CallerKind.NODE, "vm1", PARIS)
    assert may_register(caller, Register(node(), checks=(Check("c", "c"),), skip_node_update=True), node("paris"))


def test_every_service_of_a_registration_counts() -> None:
    caller = Caller(CallerKind.NODE, "vm1", WEB)
    assert not may_register(caller, Register(node(), (instance("web"), instance("db"))), None)


@pytest.mark.parametrize("caller", [OPERATOR, ANONYMOUS])
def test_others_are_judged_elsewhere(caller: Caller) -> None:
    """The table of rights lets the operator register all, and nobody else anything."""
    assert may_register(caller, Register(node(), (instance("db"),)), None)


def test_the_catalogs_own_service_stays_on_a_shared_node() -> None:
    assert may_keep(Grant(), node(), ServiceInstance("consul", "consul"))
    assert not may_keep(Grant(), node(), ServiceInstance("db", "consul"))


def test_a_refusal_repeats_little_of_what_was_sent() -> None:
    verdict = may_register(Caller(CallerKind.NODE, "vm1", WEB), Register(node(), (instance("x" * 9000),)), None)
    assert len(verdict.reason) < 500
