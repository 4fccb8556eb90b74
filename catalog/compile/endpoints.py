"""Endpoint sets, mesh gateways and exports: from registrations to what callers dial and gateways forward.

The rules: an endpoint of a service is a sidecar in front of it, or an instance that speaks mutual TLS on its own. Its
health is the worst of the sidecar's, the instance's and the node's checks. Its network is the instance's meta
`linkspan-network`, else the sidecar's, else the node's, else `default`. Nothing is exported that no entry exports.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from catalog.compile.entries.policy import ExportedServices
from catalog.compile.entries.traffic import ServiceResolver
from catalog.compile.entry_view import Entries, entry_of
from catalog.compile.filter import Filter, FilterError, parse_filter
from catalog.compile.selectors import HEALTH
from catalog.state.records import (
    CONNECT_PROXY,
    DEFAULT_NETWORK,
    MESH_GATEWAY,
    META_NETWORK,
    Check,
    Node,
    ServiceAddress,
    ServiceInstance,
    Weights,
)
from mesh.model.endpoint import Endpoint, EndpointSet, Export, ExportSet, Health, NetworkEntry, NetworkMap
from mesh.model.names import ANY, InvalidNameError, check_label

WAN = "wan"
EVERY_NETWORK = "default"
"""The exported-services entry that speaks for every network."""
_BADNESS = {Health.PASSING: 0, Health.WARNING: 1, Health.CRITICAL: 2}


class Registry(Protocol):
    """The part of the state that holds registrations (`catalog.state.State` is one)."""

    def node(self, name: str) -> Node | None:
        """The node of that name."""
        ...

    def instance(self, node: str, service_id: str) -> ServiceInstance | None:
        """The instance of that id on that node."""
        ...

    def connect(self, name: str) -> list[ServiceInstance]:
        """What mesh callers of a service dial: its sidecars and its native instances, by node and id."""
        ...

    def connect_services(self) -> list[str]:
        """The services that `connect` has an answer for."""
        ...

    def kind(self, kind: str) -> list[ServiceInstance]:
        """The instances of a kind."""
        ...

    def instance_checks(self, instance: ServiceInstance) -> list[Check]:
        """The checks that decide an instance's health: its node's and its own."""
        ...


def compile_endpoints(state: Registry, entries: Entries, service: str, index: int = 0) -> EndpointSet:
    """Where callers dial `service`, by node and instance. One in a network that cannot be named is left out."""
    resolver = entry_of(entries, ServiceResolver, "service-resolver", service)
    subsets = {name: _subset_test(subset.filter) for name, subset in resolver.subsets.items()} if resolver else {}
    found = (_endpoint(state, front, service, subsets) for front in state.connect(service))
    return EndpointSet(service, index, tuple(endpoint for endpoint in found if endpoint is not None))


def compile_gateways(state: Registry, network: str, index: int = 0) -> EndpointSet:
    """The mesh gateways of a network: the WAN address where there is one, and the one that its own network dials."""
    found = []
    for gateway in state.kind(MESH_GATEWAY):
        node = state.node(gateway.node)
        if node is None or network_of(node, gateway) != network:
            continue
        lan = ServiceAddress(gateway.address or node.address, gateway.port)
        wan = _wan_address(gateway) or lan
        if wan.address and wan.port:
            health = _health(state.instance_checks(gateway))
            found.append(
                Endpoint(
                    gateway.service,
                    gateway.id,
                    gateway.node,
                    wan.address,
                    wan.port,
                    network,
                    health,
                    _weight(gateway.weights, health),
                    lan_address=lan.address,
                    lan_port=lan.port,
                )
            )
    return EndpointSet(network, index, tuple(found))


def compile_exports(state: Registry, entries: Entries, network: str, index: int = 0) -> ExportSet:
    """What the mesh gateway of `network` may forward, by service: those exported that have an endpoint there.

    An entry named `default` speaks for every network, one named like the network for it alone. A service of the name
    `*` stands for every service.
    """
    consumers: dict[str, set[str]] = {}
    for entry_name in dict.fromkeys((EVERY_NETWORK, network)):
        entry = entry_of(entries, ExportedServices, "exported-services", entry_name)
        for service in entry.services if entry is not None else ():
            for name in state.connect_services() if service.name == ANY else (service.name,):
                consumers.setdefault(name, set()).update(
                    consumer.network for consumer in service.consumers if consumer.network
                )
    exports = [
        Export(name, tuple(sorted(found)))
        for name, found in sorted(consumers.items())
        if _is_name(name) and network in _networks_of(state, name)
    ]
    return ExportSet(network, index, tuple(exports))


def compile_networks(state: Registry, entries: Entries, index: int = 0) -> NetworkMap:
    """Every network that has a mesh gateway or an export, for the gateways."""
    names = {network_of(node, gateway) for gateway in state.kind(MESH_GATEWAY) if (node := state.node(gateway.node))}
    for entry_name in entries.names("exported-services"):
        entry = entry_of(entries, ExportedServices, "exported-services", entry_name)
        for service in entry.services if entry is not None else ():
            for name in state.connect_services() if service.name == ANY else (service.name,):
                names |= _networks_of(state, name)
    found = (
        NetworkEntry(name, compile_gateways(state, name, index), compile_exports(state, entries, name, index))
        for name in sorted(names)
        if _is_name(name)
    )
    return NetworkMap(index, tuple(entry for entry in found if entry.gateways.endpoints or entry.exports.exports))


def network_of(node: Node, *instances: ServiceInstance | None) -> str:
    """The network that an instance is reached in: the first meta that names one, the node's last, else `default`."""
    for instance in instances:
        if instance is not None and (name := instance.meta.get(META_NETWORK)):
            return name
    return node.meta.get(META_NETWORK) or DEFAULT_NETWORK


@lru_cache(maxsize=4096)
def _is_name(name: str) -> bool:
    """Whether a service or network can be named in a resource. Registrations may hold any text (Consul's API)."""
    try:
        check_label(name, "name")
    except InvalidNameError:
        return False
    return True


def _networks_of(state: Registry, service: str) -> set[str]:
    """The networks in which a service has endpoints."""
    return {
        network_of(node, _behind(state, front), front)
        for front in state.connect(service)
        if (node := state.node(front.node))
    }


def _behind(state: Registry, front: ServiceInstance) -> ServiceInstance | None:
    """The instance that a front stands for: itself, or the one that a sidecar names on its own node."""
    if front.kind != CONNECT_PROXY:
        return front
    if not front.proxy.destination_service_id:
        return None
    found = state.instance(front.node, front.proxy.destination_service_id)
    return found if found is not None and found.service == front.proxy.destination_service_name else None


def _endpoint(
    state: Registry, front: ServiceInstance, service: str, subsets: Mapping[str, Filter | None]
) -> Endpoint | None:
    node = state.node(front.node)
    address = front.address or (node.address if node is not None else "")
    if node is None or not address or not front.port:
        return None
    behind = _behind(state, front)
    network = network_of(node, behind, front)
    if not _is_name(network):
        return None
    checks = state.instance_checks(front)
    if behind is not None and behind is not front:
        checks = checks + state.instance_checks(behind)
    health = _health(checks)
    weights = behind.weights if behind is not None and front.weights == Weights() else front.weights
    return Endpoint(
        service,
        behind.id if behind is not None else front.id,
        front.node,
        address,
        front.port,
        network,
        health,
        _weight(weights, health),
        _subsets_of(subsets, node, behind or front, checks),
    )


def _wan_address(gateway: ServiceInstance) -> ServiceAddress | None:
    wan = gateway.tagged_addresses.get(WAN)
    return ServiceAddress(wan.address, wan.port or gateway.port) if wan is not None and wan.address else None


def _health(checks: Iterable[Check]) -> Health:
    """The worst status; no check at all is passing, as in Consul."""
    return max((check.status for check in checks), key=_BADNESS.__getitem__, default=Health.PASSING)


def _weight(weights: Weights, health: Health) -> int:
    return weights.warning if health is Health.WARNING else weights.passing


@lru_cache(maxsize=4096)
def _subset_test(text: str) -> Filter | None:
    """The subset's filter; None, which holds for nothing, if it cannot be read."""
    try:
        return parse_filter(text, HEALTH)
    except FilterError:
        return None


def _subsets_of(
    subsets: Mapping[str, Filter | None], node: Node, instance: ServiceInstance, checks: Iterable[Check]
) -> tuple[str, ...]:
    if not subsets:
        return ()
    item = filter_item(node, instance, checks)
    return tuple(sorted(name for name, test in subsets.items() if test is not None and _holds(test, item)))


def _holds(test: Filter, item: Mapping[str, Any]) -> bool:
    try:
        return test(item)
    except FilterError:
        return False


def filter_item(node: Node, instance: ServiceInstance, checks: Iterable[Check]) -> dict[str, Any]:
    """What a subset's filter sees: Consul's health result of one instance, `Node`, `Service` and `Checks`."""
    return {
        "Node": {
            "ID": node.id,
            "Node": node.node,
            "Address": node.address,
            "Datacenter": node.datacenter,
            "TaggedAddresses": node.tagged_addresses,
            "Meta": node.meta,
        },
        "Service": {
            "ID": instance.id,
            "Service": instance.service,
            "Tags": instance.tags,
            "Meta": instance.meta,
            "Port": instance.port,
            "Address": instance.address,
            "Kind": instance.kind,
            "EnableTagOverride": instance.enable_tag_override,
            "Weights": {"Passing": instance.weights.passing, "Warning": instance.weights.warning},
            "Connect": {"Native": instance.connect.native},
            "SocketPath": instance.socket_path,
            "TaggedAddresses": {
                name: {"Address": tagged.address, "Port": tagged.port}
                for name, tagged in instance.tagged_addresses.items()
            },
        },
        "Checks": [
            {
                "Node": check.node,
                "CheckID": check.check_id,
                "Name": check.name,
                "Status": str(check.status),
                "ServiceID": check.service_id,
                "ServiceName": check.service_name,
                "ServiceTags": check.service_tags,
                "Type": check.type,
                "Notes": check.notes,
            }
            for check in checks
        ],
    }
