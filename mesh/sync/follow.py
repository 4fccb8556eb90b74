"""Which resources a process follows, and the snapshot made from what it holds. Pure.

The wants of a proxy grow as answers come: its upstreams' chains name services, their endpoints name networks, and those need
gateways. Nothing else is ever asked for.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

import msgspec

from mesh.decide.reach import GatewayMode, networks_needed
from mesh.model.chain import Chain
from mesh.model.endpoint import EndpointSet, ExportSet, NetworkMap
from mesh.model.intention import IntentionSet
from mesh.model.names import InvalidNameError, check_label
from mesh.model.snapshot import Local, MeshSettings, Roots, Snapshot
from mesh.wire.sync import Resource

Value: TypeAlias = Chain | EndpointSet | IntentionSet | ExportSet | Roots | MeshSettings | NetworkMap
Held: TypeAlias = Mapping[str, Value]

ROOTS: Final = "roots"
MESH: Final = "mesh"
NETWORKS: Final = "networks"
_SINGLES: Final[dict[str, type[Value]]] = {ROOTS: Roots, MESH: MeshSettings, NETWORKS: NetworkMap}
_NAMED: Final[dict[str, tuple[type[Value], str]]] = {
    "chain": (Chain, "service"),
    "endpoints": (EndpointSet, "name"),
    "intentions": (IntentionSet, "service"),
    "gateways": (EndpointSet, "name"),
    "exports": (ExportSet, "network"),
}


class UnusableResourceError(ValueError):
    """A resource from the catalog cannot be used; the text says why and goes back to it."""


class Plan(Protocol):
    """What kind of process follows."""

    def wants(self, held: Held) -> tuple[str, ...]:
        """The resources to follow, given what is held; those that security hangs on come first."""

    @property
    def local(self) -> Local:
        """Who this process is; the datacenter and trust domain come from the `mesh` resource."""


class ProxyPlan(msgspec.Struct, frozen=True):
    """A sidecar of `service`: its own intentions, and the way to each upstream."""

    service: str
    network: str
    upstreams: tuple[str, ...] = ()
    gateway_mode: GatewayMode = GatewayMode.REMOTE
    instance: str = ""

    @property
    def local(self) -> Local:
        return Local(self.service, self.network, "", "", self.instance)

    def wants(self, held: Held) -> tuple[str, ...]:
        names = [ROOTS, MESH, f"intentions/{self.service}"]
        names += [f"chain/{upstream}" for upstream in self.upstreams]
        chains = (held.get(f"chain/{upstream}") for upstream in self.upstreams)
        services = sorted({name for chain in chains if isinstance(chain, Chain) for name in target_services(chain)})
        names += [f"endpoints/{service}" for service in services]
        sets = (held.get(f"endpoints/{service}") for service in services)
        networks = {
            network
            for endpoints in sets
            if isinstance(endpoints, EndpointSet)
            for network in networks_needed(endpoints, self.network, self.gateway_mode)
        }
        names += [f"gateways/{network}" for network in sorted(networks)]
        return _unique(names)


class GatewayPlan(msgspec.Struct, frozen=True):
    """A mesh gateway of `network`: every network's gateways and exports, and the endpoints of what its own exports."""

    network: str

    @property
    def local(self) -> Local:
        return Local("", self.network, "", "")

    def wants(self, held: Held) -> tuple[str, ...]:
        names = [ROOTS, MESH, NETWORKS]
        networks = held.get(NETWORKS)
        if isinstance(networks, NetworkMap):
            own = next((entry for entry in networks.networks if entry.name == self.network), None)
            names += sorted({f"endpoints/{export.service}" for export in own.exports.exports} if own else ())
        return _unique(names)


def target_services(chain: Chain) -> frozenset[str]:
    """The services whose endpoints a chain may lead to, fail-over included."""
    return frozenset(target.service for target in chain.targets)


def decode_resource(resource: Resource) -> Value:
    """The model value in a resource's body.

    Raises:
        UnusableResourceError: an unknown kind, a body of another shape, or one that carries another name than its resource.
    """
    kind, _, name = resource.name.partition("/")
    try:
        if not name and kind in _SINGLES:
            return msgspec.json.decode(resource.body, type=_SINGLES[kind])
        if name and kind in _NAMED:
            model, field = _NAMED[kind]
            value = msgspec.json.decode(resource.body, type=model)
            if getattr(value, field) != name:
                raise UnusableResourceError(f"{resource.name} holds a value of {getattr(value, field)!r}")
            return value
    except msgspec.DecodeError as error:
        raise UnusableResourceError(f"{resource.name}: {error}") from error
    raise UnusableResourceError(f"{resource.name[:120]!r} is of no known kind")


def is_resource_name(name: str) -> bool:
    """Whether the catalog can have a resource of that name; a call that wants another is refused whole."""
    kind, slash, key = name.partition("/")
    if not slash:
        return kind in _SINGLES
    try:
        return kind in _NAMED and bool(check_label(key, kind))
    except InvalidNameError:
        return False


def assemble(local: Local, held: Held) -> Snapshot:
    """The snapshot of what is held. What is missing stays missing."""
    mesh = held.get(MESH)
    if isinstance(mesh, MeshSettings):
        local = msgspec.structs.replace(local, datacenter=mesh.datacenter, trust_domain=mesh.trust_domain)
    roots, networks = held.get(ROOTS), held.get(NETWORKS)
    intentions, exports = held.get(f"intentions/{local.service}"), held.get(f"exports/{local.network}")
    return Snapshot(
        local=local,
        mesh=mesh if isinstance(mesh, MeshSettings) else None,
        roots=roots if isinstance(roots, Roots) else None,
        intentions=intentions if isinstance(intentions, IntentionSet) else None,
        chains=MappingProxyType({value.service: value for value in held.values() if isinstance(value, Chain)}),
        endpoints=_by_name(held, "endpoints/"),
        gateways=_by_name(held, "gateways/"),
        exports=exports if isinstance(exports, ExportSet) else None,
        networks=networks if isinstance(networks, NetworkMap) else None,
    )


def _by_name(held: Held, prefix: str) -> Mapping[str, EndpointSet]:
    found = {
        name.removeprefix(prefix): value
        for name, value in held.items()
        if name.startswith(prefix) and isinstance(value, EndpointSet)
    }
    return MappingProxyType(found)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
