"""Which resources a process follows, and the snapshot of what it holds."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.decide.reach import GatewayMode
from mesh.model.chain import Chain, Leg, Route, Target
from mesh.model.endpoint import Endpoint, EndpointSet, Export, ExportSet, NetworkEntry, NetworkMap
from mesh.model.intention import IntentionSet
from mesh.model.snapshot import Local, MeshSettings, Roots, Snapshot
from mesh.sync.follow import (
    GatewayPlan,
    Held,
    ProxyPlan,
    UnusableResourceError,
    assemble,
    decode_resource,
    is_resource_name,
)
from mesh.wire.sync import Resource

ALWAYS = ("roots", "mesh", "intentions/web")
CHAIN = Chain(
    "api",
    1,
    "http",
    (Route((Leg(10000, "api"),)),),
    (Target("api", "api", failover=("old",)), Target("old", "api-old")),
)


def endpoints(service: str, *networks: str) -> EndpointSet:
    """A set with one instance in each network."""
    return EndpointSet(
        service,
        1,
        tuple(Endpoint(service, f"{service}-{network}", "n", "10.0.0.1", 1, network) for network in networks),
    )


PLAN = ProxyPlan("web", "vm", ("api", "db"))


@pytest.mark.parametrize(
    ("plan", "held", "wants"),
    [
        (ProxyPlan("web", "vm"), {}, ALWAYS),
        (PLAN, {}, (*ALWAYS, "chain/api", "chain/db")),
        (PLAN, {"chain/api": CHAIN}, (*ALWAYS, "chain/api", "chain/db", "endpoints/api", "endpoints/api-old")),
        (
            PLAN,
            {
                "chain/api": CHAIN,
                "endpoints/api": endpoints("api", "vm", "k8s"),
                "endpoints/api-old": endpoints("api-old", "lab"),
            },
            (*ALWAYS, "chain/api", "chain/db", "endpoints/api", "endpoints/api-old", "gateways/k8s", "gateways/lab"),
        ),
        (
            ProxyPlan("web", "vm", ("api",), GatewayMode.LOCAL),
            {"chain/api": CHAIN, "endpoints/api": endpoints("api", "vm", "k8s")},
            (*ALWAYS, "chain/api", "endpoints/api", "endpoints/api-old", "gateways/vm"),
        ),
        # What is held but not wanted any more adds nothing.
        (ProxyPlan("web", "vm"), {"chain/api": CHAIN, "endpoints/api": endpoints("api", "k8s")}, ALWAYS),
    ],
)
def test_a_proxy_wants_the_way_to_its_upstreams(plan: ProxyPlan, held: Held, wants: tuple[str, ...]):
    """Own intentions and roots first, then chains, their targets' endpoints, and gateways of the other networks these are in."""
    assert plan.wants(held) == wants


def test_a_gateway_wants_endpoints_of_its_own_exports_only():
    """It knows all networks, and instances only of what it may pass in."""
    entries = (
        NetworkEntry("vm", EndpointSet("vm", 1), ExportSet("vm", 1, (Export("web", ("*",)), Export("db", ("k8s",))))),
        NetworkEntry("k8s", EndpointSet("k8s", 1), ExportSet("k8s", 1, (Export("api", ("*",)),))),
    )
    plan = GatewayPlan("vm")
    assert plan.wants({}) == ("roots", "mesh", "networks")
    assert plan.wants({"networks": NetworkMap(1, entries)}) == (
        "roots",
        "mesh",
        "networks",
        "endpoints/db",
        "endpoints/web",
    )
    assert GatewayPlan("lab").wants({"networks": NetworkMap(1, entries)}) == ("roots", "mesh", "networks")


def resource(name: str, value: object) -> Resource:
    """A resource with the JSON of `value`."""
    return Resource(name, "v1", msgspec.Raw(msgspec.json.encode(value)))


VALUES = {
    "chain/api": CHAIN,
    "endpoints/api": endpoints("api", "vm"),
    "intentions/web": IntentionSet("web", 1),
    "gateways/vm": EndpointSet("vm", 1),
    "exports/vm": ExportSet("vm", 1),
    "roots": Roots("test.linkspan", 1),
    "mesh": MeshSettings("dc1", "test.linkspan"),
    "networks": NetworkMap(1),
}


@pytest.mark.parametrize("name", list(VALUES))
def test_every_kind_is_decoded(name: str):
    """What the catalog encodes is the same value here."""
    assert decode_resource(resource(name, VALUES[name])) == VALUES[name]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("chain/other", CHAIN, "holds a value of 'api'"),
        ("intentions/web", IntentionSet("api", 1), "holds a value of 'api'"),
        ("roots", {"trust_domain": 1}, "roots: "),
        ("roots/x", Roots("t", 1), "no known kind"),
        ("chain", CHAIN, "no known kind"),
        ("chain/", CHAIN, "no known kind"),
        ("leaf/web", {}, "no known kind"),
        ("", {}, "no known kind"),
    ],
)
def test_what_cannot_be_used_is_refused(name: str, value: object, words: str):
    """Another shape, another name than asked for, an unknown kind: refused with the reason."""
    with pytest.raises(UnusableResourceError, match=words):
        decode_resource(resource(name, value))


@given(name=st.sampled_from(list(VALUES)) | st.text(max_size=20), body=st.binary(max_size=60))
def test_any_body_is_a_value_or_refused(name: str, body: bytes):
    """Bytes that are no JSON never pass the decoder."""
    try:
        decode_resource(Resource(name, "", msgspec.Raw(body)))
    except UnusableResourceError:
        return
    assert name in VALUES


def test_a_snapshot_holds_what_is_held_and_nothing_else():
    """Missing parts are missing: that is what makes a proxy deny."""
    assert assemble(PLAN.local, {}) == Snapshot(Local("web", "vm", "", ""))
    snapshot = assemble(ProxyPlan("web", "vm").local, VALUES)
    assert snapshot.local == Local("web", "vm", "dc1", "test.linkspan")
    assert snapshot.intentions == VALUES["intentions/web"]
    assert dict(snapshot.chains) == {"api": CHAIN}
    assert dict(snapshot.endpoints) == {"api": VALUES["endpoints/api"]}
    assert dict(snapshot.gateways) == {"vm": VALUES["gateways/vm"]}
    assert (snapshot.exports, snapshot.networks) == (VALUES["exports/vm"], VALUES["networks"])
    assert assemble(ProxyPlan("api", "vm").local, VALUES).intentions is None


def test_a_snapshot_cannot_be_changed():
    """Its mappings are read-only."""
    snapshot = assemble(PLAN.local, VALUES)
    with pytest.raises(TypeError):
        snapshot.chains["x"] = CHAIN  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "can_be"),
    [("roots", True), ("chain/web", True), ("gateways/k8s-east", True), ("roots/x", False), ("chain", False)]
    + [(f"chain/{key}", False) for key in ("", "Web", "my_db", "a/b", "*")],
)
def test_names_are_known_to_be_impossible_before_the_catalog_says_so(name: str, can_be: bool) -> None:
    """As the catalog judges them."""
    assert is_resource_name(name) is can_be
