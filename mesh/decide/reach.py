"""Which address to dial for an endpoint: itself in our own network, a mesh gateway for another one.

Pure. An endpoint that cannot be reached gives no hop: the caller must leave it out, never guess an address.
"""

import enum
from collections.abc import Iterable, Mapping

import msgspec

from mesh.model.endpoint import Endpoint, EndpointSet, Health


class GatewayMode(enum.StrEnum):
    """How another network is reached: at its own gateway (`remote`), or through a gateway of ours (`local`)."""

    REMOTE = "remote"
    LOCAL = "local"


class Hop(msgspec.Struct, frozen=True):
    """One address that leads to an endpoint. `gateway` is the gateway's instance; empty when the endpoint itself is dialled."""

    address: str
    port: int
    gateway: str = ""


def reach(
    endpoint: Endpoint, own_network: str, gateways: Mapping[str, EndpointSet], mode: GatewayMode = GatewayMode.REMOTE
) -> tuple[Hop, ...]:
    """Every address that leads to `endpoint`, equals among each other: one hop when direct, one for each usable gateway otherwise.

    `gateways` is the snapshot's: by network. Gateways that are critical are left out while another is not.
    """
    if endpoint.network == own_network:
        return (Hop(endpoint.address, endpoint.port),)
    is_local = mode is GatewayMode.LOCAL
    known = gateways.get(own_network if is_local else endpoint.network)
    if known is None:
        return ()
    usable = [gateway for gateway in known.endpoints if gateway.health is not Health.CRITICAL] or known.endpoints
    return tuple(lan_hop(gateway) if is_local else wan_hop(gateway) for gateway in usable)


def wan_hop(gateway: Endpoint) -> Hop:
    """A gateway as other networks dial it."""
    return Hop(gateway.address, gateway.port, gateway.instance)


def lan_hop(gateway: Endpoint) -> Hop:
    """A gateway as its own network dials it."""
    return Hop(gateway.lan_address or gateway.address, gateway.lan_port or gateway.port, gateway.instance)


def networks_reached(
    networks: Iterable[str],
    own_network: str,
    gateways: Mapping[str, EndpointSet],
    mode: GatewayMode = GatewayMode.REMOTE,
) -> frozenset[str]:
    """Those of `networks` (other than our own) that `reach` gives a hop for."""
    others = frozenset(networks) - {own_network}
    if mode is GatewayMode.LOCAL:
        own = gateways.get(own_network)
        return others if own is not None and own.endpoints else frozenset()
    return frozenset(name for name in others if name in gateways and gateways[name].endpoints)


def networks_needed(endpoints: EndpointSet, own_network: str, mode: GatewayMode = GatewayMode.REMOTE) -> frozenset[str]:
    """The networks whose gateways a caller must know to reach these endpoints."""
    others = {endpoint.network for endpoint in endpoints.endpoints} - {own_network}
    if mode is GatewayMode.LOCAL:
        return frozenset({own_network} if others else ())
    return frozenset(others)
