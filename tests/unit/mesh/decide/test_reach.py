"""Which address leads to an endpoint."""

import msgspec
import pytest

from mesh.decide.reach import GatewayMode, Hop, networks_needed, networks_reached, reach
from mesh.model.endpoint import Endpoint, EndpointSet, Health

HERE, THERE = "vm", "k8s"
NEAR = Endpoint("api", "api-1", "n1", "10.0.0.1", 20000, HERE)
FAR = Endpoint("api", "api-2", "n2", "10.9.0.1", 20000, THERE)
OURS = Endpoint("mesh-gateway", "gw-1", "g1", "192.0.2.1", 8443, HERE, lan_address="10.0.0.9", lan_port=8444)
THEIRS = Endpoint("mesh-gateway", "gw-2", "g2", "192.0.2.2", 8443, THERE, lan_address="10.9.0.9", lan_port=8444)
SICK = msgspec.structs.replace(THEIRS, instance="gw-3", address="192.0.2.3", health=Health.CRITICAL)
PLAIN = msgspec.structs.replace(OURS, instance="gw-4", lan_address="", lan_port=0)


def gateways(*known: Endpoint) -> dict[str, EndpointSet]:
    """The gateways by network, as a snapshot has them."""
    return {
        network: EndpointSet(network, 1, tuple(gateway for gateway in known if gateway.network == network))
        for network in {gateway.network for gateway in known}
    }


@pytest.mark.parametrize(
    ("endpoint", "known", "mode", "hops"),
    [
        (NEAR, (), GatewayMode.REMOTE, (Hop("10.0.0.1", 20000),)),
        (NEAR, (OURS,), GatewayMode.LOCAL, (Hop("10.0.0.1", 20000),)),
        (FAR, (OURS, THEIRS), GatewayMode.REMOTE, (Hop("192.0.2.2", 8443, "gw-2"),)),
        (FAR, (OURS, THEIRS), GatewayMode.LOCAL, (Hop("10.0.0.9", 8444, "gw-1"),)),
        (FAR, (PLAIN,), GatewayMode.LOCAL, (Hop("192.0.2.1", 8443, "gw-4"),)),
        (FAR, (OURS,), GatewayMode.REMOTE, ()),
        (FAR, (THEIRS,), GatewayMode.LOCAL, ()),
        (FAR, (THEIRS, SICK), GatewayMode.REMOTE, (Hop("192.0.2.2", 8443, "gw-2"),)),
        (FAR, (SICK,), GatewayMode.REMOTE, (Hop("192.0.2.3", 8443, "gw-3"),)),
    ],
)
def test_hops(endpoint: Endpoint, known: tuple[Endpoint, ...], mode: GatewayMode, hops: tuple[Hop, ...]):
    """Direct at home; else the other side's gateways or ours; critical ones only when there is no other; none known, no hop."""
    assert reach(endpoint, HERE, gateways(*known), mode) == hops


def test_networks_needed():
    """Only other networks need gateways; in local mode only our own does, and only if there is another network at all."""
    both, near = EndpointSet("api", 1, (NEAR, FAR)), EndpointSet("api", 1, (NEAR,))
    assert networks_needed(both, HERE) == {THERE}
    assert networks_needed(both, HERE, GatewayMode.LOCAL) == {HERE}
    assert networks_needed(near, HERE) == frozenset()
    assert networks_needed(near, HERE, GatewayMode.LOCAL) == frozenset()


@pytest.mark.parametrize("mode", list(GatewayMode))
@pytest.mark.parametrize("known", [(), (OURS,), (THEIRS,), (OURS, THEIRS)])
def test_networks_reached_are_those_with_a_hop(mode: GatewayMode, known: tuple[Endpoint, ...]):
    """The set of networks and the hops of an endpoint there never disagree."""
    table = {HERE: EndpointSet(HERE, 1), **gateways(*known)}
    expected = {THERE} if reach(FAR, HERE, table, mode) else set()
    assert networks_reached({HERE, THERE}, HERE, table, mode) == expected
