"""Where a gateway sends a connection: the table of names."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.decide.reach import Hop
from mesh.gateway.forward import CATALOG, Dropped, Forward, Reason, Side, decide_forward, order_hops
from mesh.model.endpoint import (
    Endpoint,
    EndpointSet,
    Export,
    ExportSet,
    Health,
    NetworkEntry,
    NetworkMap,
    instance_label,
)
from mesh.model.identity import server_sni, service_sni
from mesh.model.snapshot import Local, MeshSettings, Snapshot

TD, DC = "test.linkspan", "dc1"


def instance(service: str, number: int, network: str, **more: object) -> Endpoint:
    """One instance with an address of its own."""
    plain = Endpoint(service, f"{service}-{number}", "n", f"10.0.0.{number}", 20000, network)
    return msgspec.structs.replace(plain, **more)


def network(name: str, gateways: tuple[Endpoint, ...], *exports: Export) -> NetworkEntry:
    """One network of the map."""
    return NetworkEntry(name, EndpointSet(name, 1, gateways), ExportSet(name, 1, exports))


GATEWAY_A = instance("mesh-gateway", 100, "k8s", address="192.0.2.2", port=8443)
GATEWAY_B = instance("mesh-gateway", 101, "lab", address="192.0.2.3", port=8443)
MAP = NetworkMap(
    1,
    (
        network(
            "vm", (), Export("web", ("k8s",)), Export("inner", ("vm",)), Export("down", ("*",)), Export("*", ("*",))
        ),
        network("k8s", (GATEWAY_A,), Export("api", ("vm",)), Export("secret", ("lab",)), Export("open", ("*",))),
        network("lab", (GATEWAY_B,), Export("open", ("vm",))),
        network("void", (), Export("lost", ("vm",))),
    ),
)
ENDPOINTS = {
    "web": EndpointSet(
        "web",
        1,
        (
            instance("web", 1, "vm", subsets=("v1",)),
            instance("web", 2, "vm", subsets=("v2",), health=Health.WARNING),
            instance("web", 3, "vm", health=Health.CRITICAL),
            instance("web", 4, "k8s"),
            instance("web", 5, "vm", weight=0),
        ),
    ),
    "down": EndpointSet("down", 1, (instance("down", 6, "vm", health=Health.CRITICAL),)),
    "inner": EndpointSet("inner", 1, (instance("inner", 7, "vm"),)),
    "hidden": EndpointSet("hidden", 1, (instance("hidden", 8, "vm"),)),
}
SNAPSHOT = Snapshot(Local("", "vm", DC, TD), MeshSettings(DC, TD), endpoints=ENDPOINTS, networks=MAP)
BLANK = Snapshot(Local("", "vm", "", ""))
WEB = (Hop("10.0.0.1", 20000), Hop("10.0.0.2", 20000))
TO_CATALOG = Forward(CATALOG, is_catalog=True)


def sni(service: str, subset: str = "", dc: str = DC, td: str = TD) -> str:
    """The server name that a dialler sends for a service."""
    return service_sni(service, dc, td, subset)


@pytest.mark.parametrize(
    ("side", "name", "verdict"),
    [
        # From other networks: only our own, exported services.
        (Side.WAN, sni("web"), Forward("web", WEB)),
        (Side.WAN, sni("web", "v2"), Forward("web", WEB[1:])),
        (Side.WAN, sni("web", "v9"), Dropped(Reason.NO_ENDPOINT)),
        # The very instance that a caller picked, and no other when it is gone.
        (Side.WAN, sni("web", instance_label(instance("web", 2, "vm"))), Forward("web", WEB[1:])),
        (Side.WAN, sni("web", instance_label(instance("web", 99, "vm"))), Dropped(Reason.NO_ENDPOINT)),
        (Side.WAN, sni("down"), Dropped(Reason.NO_ENDPOINT)),
        (Side.WAN, sni("inner"), Dropped(Reason.NOT_EXPORTED)),
        (Side.WAN, sni("hidden"), Dropped(Reason.NOT_EXPORTED)),
        (Side.WAN, sni("api"), Dropped(Reason.NOT_EXPORTED)),
        (Side.WAN, sni("open"), Dropped(Reason.NOT_EXPORTED)),
        # From our own network: what others export to us, to their gateways.
        (Side.LAN, sni("api"), Forward("api", (Hop("192.0.2.2", 8443, "mesh-gateway-100"),))),
        (
            Side.LAN,
            sni("open"),
            Forward("open", (Hop("192.0.2.2", 8443, "mesh-gateway-100"), Hop("192.0.2.3", 8443, "mesh-gateway-101"))),
        ),
        (Side.LAN, sni("secret"), Dropped(Reason.NOT_EXPORTED)),
        (Side.LAN, sni("web"), Dropped(Reason.NOT_EXPORTED)),
        (Side.LAN, sni("lost"), Dropped(Reason.NO_GATEWAY)),
        # The catalog, from both sides; and everything else from none.
        (Side.LAN, server_sni(DC, TD), TO_CATALOG),
        (Side.WAN, server_sni(DC, TD), TO_CATALOG),
        (Side.LAN, "server.join", TO_CATALOG),
        (Side.WAN, server_sni("dc2", TD), Dropped(Reason.UNKNOWN_NAME)),
        (Side.WAN, sni("web", dc="dc2"), Dropped(Reason.UNKNOWN_NAME)),
        (Side.WAN, sni("web", td="other.mesh"), Dropped(Reason.UNKNOWN_NAME)),
        (Side.WAN, "example.org", Dropped(Reason.UNKNOWN_NAME)),
        (Side.WAN, "*." + sni("web"), Dropped(Reason.NO_ENDPOINT)),
        (Side.WAN, "", Dropped(Reason.NO_NAME)),
        (Side.LAN, "", Dropped(Reason.NO_NAME)),
    ],
)
def test_names(side: Side, name: str, verdict: Forward | Dropped):
    """Each side forwards exactly the names it may."""
    assert decide_forward(side, name, SNAPSHOT, has_catalog=True) == verdict


@pytest.mark.parametrize("side", list(Side))
def test_before_the_first_snapshot_only_the_catalog_is_reached(side: Side):
    """The gateway needs the catalog to learn its names, so any `server.` name leads there, and nothing else anywhere."""
    assert decide_forward(side, "server.any.where", BLANK, has_catalog=True) == TO_CATALOG
    assert decide_forward(side, sni("web"), BLANK, has_catalog=True) == Dropped(Reason.NO_SNAPSHOT)


def test_without_a_catalog_its_name_is_dropped():
    """The destination is the setting's alone."""
    assert decide_forward(Side.LAN, server_sni(DC, TD), SNAPSHOT, has_catalog=False) == Dropped(Reason.NO_CATALOG)


def test_a_wildcard_that_was_not_written_out_opens_nothing():
    """A literal `*` export is no service name: the catalog writes wildcards out, or nothing is exported."""
    assert decide_forward(Side.WAN, sni("hidden"), SNAPSHOT, has_catalog=True) == Dropped(Reason.NOT_EXPORTED)


@given(name=st.text(max_size=300), side=st.sampled_from(Side))
def test_any_name_is_decided(name: str, side: Side):
    """Whatever a peer sends as its name, the answer is a value."""
    assert isinstance(decide_forward(side, name, SNAPSHOT, has_catalog=False), Forward | Dropped)


def test_the_less_loaded_of_two_goes_first():
    """Two are drawn, the one with fewer passages wins, the others follow by load: nothing is left out or doubled."""
    a, b, c = (Hop(address, 1) for address in "abc")
    load = {a: 5, b: 1, c: 3}
    assert order_hops((a, b, c), load, (0.0, 0.0)) == (b, c, a)
    assert order_hops((a, b, c), load, (0.0, 0.9)) == (c, b, a)
    assert order_hops((a,), load, (0.9, 0.9)) == (a,)
    assert order_hops((), load, (0.9, 0.9)) == ()


@given(
    count=st.integers(2, 6),
    draws=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
    loads=st.lists(st.integers(0, 9), min_size=6, max_size=6),
)
def test_the_most_loaded_never_goes_first(count: int, draws: tuple[float, float], loads: list[int]):
    """Of hops with different loads, the worst is never the first choice, and the order is a permutation."""
    hops = tuple(Hop(str(number), 1) for number in range(count))
    load = {hop: loads[number] * 10 + number for number, hop in enumerate(hops)}
    ordered = order_hops(hops, load, draws)
    assert sorted(ordered, key=str) == sorted(hops, key=str)
    assert ordered[0] != max(hops, key=load.__getitem__)
