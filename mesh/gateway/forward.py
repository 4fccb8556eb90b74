"""Where a mesh gateway sends a connection, by its side and server name. Pure; what is not allowed by name is dropped.

- The catalog's name leads to the configured catalog, from both sides.
- From the WAN: a service of our own network that is exported to anyone leads to its endpoints here.
- From the LAN: a service that another network exports to ours leads to that network's gateways.

TLS is end to end, so a caller on the WAN cannot be known: there an export to one network opens the door for every caller that
reaches the gateway, and the destination's intentions decide who is let in (decision record: gateways judge names, not callers).
"""

import enum

import msgspec

from mesh.decide.reach import Hop, wan_hop
from mesh.model.endpoint import Endpoint, EndpointSet, Export, Health, NetworkEntry, instance_label
from mesh.model.identity import parse_service_sni, server_sni
from mesh.model.snapshot import Snapshot
from mesh.sync.join import JOIN_SERVER_NAME

CATALOG = "catalog"
"""The label of passages to the catalog; no service can have it here, for theirs end in the service's own name."""


class Side(enum.StrEnum):
    """The listener a connection came in on."""

    LAN = "lan"
    WAN = "wan"


class Reason(enum.StrEnum):
    """Why a connection is dropped: the metric's label."""

    NO_NAME = "no_name"
    NO_SNAPSHOT = "no_snapshot"
    UNKNOWN_NAME = "unknown_name"
    NO_CATALOG = "no_catalog"
    NOT_EXPORTED = "not_exported"
    NO_ENDPOINT = "no_endpoint"
    NO_GATEWAY = "no_gateway"


LASTING = frozenset({Reason.UNKNOWN_NAME, Reason.NOT_EXPORTED})
"""Reasons that cut live passages too; the others only mean that no new one can be made."""


class Forward(msgspec.Struct, frozen=True):
    """Send it on to one of `hops`, which are equals. `service` is its name, or `CATALOG` with `is_catalog`."""

    service: str
    hops: tuple[Hop, ...] = ()
    is_catalog: bool = False


class Dropped(msgspec.Struct, frozen=True):
    """Drop it."""

    reason: Reason


def decide_forward(side: Side, server_name: str, snapshot: Snapshot, *, has_catalog: bool) -> Forward | Dropped:
    """Where a connection with this server name goes, or why it is dropped."""
    if not server_name:
        return Dropped(Reason.NO_NAME)
    mesh = snapshot.mesh
    if _is_catalog_name(server_name, snapshot):
        return Forward(CATALOG, is_catalog=True) if has_catalog else Dropped(Reason.NO_CATALOG)
    if mesh is None or snapshot.networks is None:
        return Dropped(Reason.NO_SNAPSHOT)
    parts = parse_service_sni(server_name, mesh.trust_domain)
    if parts is None or parts[1] != mesh.datacenter:
        return Dropped(Reason.UNKNOWN_NAME)
    service, _, subset = parts
    if side is Side.WAN:
        return _into_own_network(service, subset, snapshot)
    return _to_other_network(service, snapshot)


def _is_catalog_name(server_name: str, snapshot: Snapshot) -> bool:
    """Before the first snapshot our names are not known, and the catalog must be reachable to learn them: any `server.` name is it."""
    if server_name == JOIN_SERVER_NAME:
        return True
    mesh = snapshot.mesh
    if mesh is None:
        return server_name.startswith("server.")
    return server_name == server_sni(mesh.datacenter, mesh.trust_domain)


def _into_own_network(service: str, subset: str, snapshot: Snapshot) -> Forward | Dropped:
    own = snapshot.local.network
    entry = next((entry for entry in _networks(snapshot) if entry.name == own), None)
    export = _find_export(entry, service)
    if export is None or not set(export.consumers) - {own}:
        return Dropped(Reason.NOT_EXPORTED)
    endpoints = _usable(snapshot.endpoints.get(service))
    hops = tuple(
        Hop(endpoint.address, endpoint.port)
        for endpoint in endpoints
        if endpoint.network == own and (not subset or subset in endpoint.subsets or subset == instance_label(endpoint))
    )
    return Forward(service, hops) if hops else Dropped(Reason.NO_ENDPOINT)


def _to_other_network(service: str, snapshot: Snapshot) -> Forward | Dropped:
    own = snapshot.local.network
    exporting = []
    for entry in _networks(snapshot):
        export = _find_export(entry, service)
        if entry.name != own and export is not None and not {own, "*"}.isdisjoint(export.consumers):
            exporting.append(entry)
    if not exporting:
        return Dropped(Reason.NOT_EXPORTED)
    hops = tuple(wan_hop(gateway) for entry in exporting for gateway in _usable(entry.gateways))
    return Forward(service, hops) if hops else Dropped(Reason.NO_GATEWAY)


def _networks(snapshot: Snapshot) -> tuple[NetworkEntry, ...]:
    return snapshot.networks.networks if snapshot.networks is not None else ()


def _find_export(entry: NetworkEntry | None, service: str) -> Export | None:
    """The export of exactly this service: the catalog has written wildcards out."""
    return next((export for export in entry.exports.exports if export.service == service), None) if entry else None


def _usable(endpoints: EndpointSet | None) -> tuple[Endpoint, ...]:
    if endpoints is None:
        return ()
    return tuple(
        endpoint for endpoint in endpoints.endpoints if endpoint.health is not Health.CRITICAL and endpoint.weight > 0
    )


def order_hops(hops: tuple[Hop, ...], open_passages: dict[Hop, int], draws: tuple[float, float]) -> tuple[Hop, ...]:
    """The order to try hops in: two are drawn and the one with fewer open passages goes first, the rest follow by load.

    `draws` are in [0, 1).
    """
    if len(hops) < 2:
        return hops
    first = int(draws[0] * len(hops))
    second = (first + 1 + int(draws[1] * (len(hops) - 1))) % len(hops)
    best = min(hops[first], hops[second], key=lambda hop: open_passages.get(hop, 0))
    rest = sorted((hop for hop in hops if hop != best), key=lambda hop: open_passages.get(hop, 0))
    return (best, *rest)
