"""The one rule that a row knows itself: what service an instance lets mesh callers reach."""

import pytest

from catalog.state.records import Connect, Proxy, ServiceInstance


@pytest.mark.parametrize(
    ("instance", "destination"),
    [
        (ServiceInstance("web"), ""),
        (ServiceInstance("web", connect=Connect(native=True)), "web"),
        (ServiceInstance("web-proxy", kind="connect-proxy", proxy=Proxy("web")), "web"),
        (ServiceInstance("gw", kind="mesh-gateway", proxy=Proxy("web")), ""),
        (ServiceInstance("web-proxy", kind="connect-proxy", proxy=Proxy("web"), connect=Connect(native=True)), "web"),
    ],
)
def test_destination(instance: ServiceInstance, destination: str) -> None:
    """A sidecar's destination, a native instance's own name, nothing for others."""
    assert instance.destination == destination
