"""What the calling side may use of what it knows."""

from typing import Any

import pytest

from mesh.decide.reach import GatewayMode
from mesh.model.chain import Target
from mesh.model.endpoint import Endpoint, EndpointSet
from mesh.model.snapshot import Local, Snapshot
from mesh.proxy.outbound.directory import Directory
from mesh.telemetry.metrics import Metrics
from mesh.transport.ring import Ring

HERE, THERE = "vm", "k8s"
FAR = EndpointSet("api", 1, (Endpoint("api", "api-1", "n1", "10.9.0.1", 20000, THERE),))
TARGET = Target("api.default", "api")


class Bare:
    """The one part that choosing takes: a ring that nothing runs on."""

    def __init__(self) -> None:
        self.ring = Ring()


def gateways(network: str) -> EndpointSet:
    return EndpointSet(network, 1, (Endpoint("mesh-gateway", "gw", "g1", "192.0.2.1", 8443, network),))


@pytest.mark.parametrize(
    ("mode", "known", "usable"),
    [
        (GatewayMode.LOCAL, HERE, True),
        (GatewayMode.LOCAL, THERE, False),
        (GatewayMode.REMOTE, THERE, True),
        (GatewayMode.REMOTE, HERE, False),
    ],
)
async def test_another_network_counts_when_a_gateway_leads_to_it(mode: GatewayMode, known: str, usable: bool) -> None:
    """In local mode that is a gateway of our own network, else one of the other; without one its instances are left out."""
    snapshot = Snapshot(Local("web", HERE, "dc1", "t"), endpoints={"api": FAR}, gateways={known: gateways(known)})
    parts: Any = Bare()
    try:
        assert Directory(parts, snapshot, mode, Metrics()).is_available(TARGET) is usable
    finally:
        parts.ring.close()
