"""What a node may register: what its grant says, and nothing else. Pure; what is not granted is denied.

A sidecar is covered by its service's grant, under the name `<service>-sidecar-proxy` too: Consul's service identities
give the same two names. A mesh gateway is covered by its own grant, under the name `mesh-gateway` or a granted service's.
"""

from catalog.access.callers import Caller, CallerKind, Grant
from catalog.access.rights import ALLOWED, Verdict
from catalog.state.changes import Register
from catalog.state.records import DEFAULT_NETWORK, MESH_GATEWAY, META_NETWORK, Node, ServiceInstance

SIDECAR_SUFFIX = "-sidecar-proxy"
OWN_SERVICE = "consul"
SHOWN = 80
"""How much of a name from a caller's bytes a refusal repeats."""


def may_register(caller: Caller, change: Register, known: Node | None) -> Verdict:
    """Whether what `change` says is the caller's to say; that the node is its own was asked before (`Verb.REGISTER`).

    `known` is the node as the catalog has it: with `skip_node_update` it stays as it is.
    """
    if caller.kind is not CallerKind.NODE:
        return ALLOWED
    lacks = _lacks(caller.grant, change, known)
    if lacks is None:
        return ALLOWED
    what, how = lacks
    return Verdict(
        allowed=False,
        reason=f"Permission denied: {caller} was not granted {what}: "
        f"join it anew with a token that grants this too: `linkspan token create --node {caller.name} {how}`",
    )


def may_keep(grant: Grant, node: Node, instance: ServiceInstance) -> bool:
    """Whether a node with `grant` could register the instance that stands under its name already.

    The catalog's own `consul` is no agent's, and stays.
    """
    return instance.id == OWN_SERVICE == instance.service or _lacks_for(grant, instance, (_network(node),)) is None


_Lack = tuple[str, str]
"""What is not granted, and the words of `linkspan token create` that would grant it."""


def _lacks(grant: Grant, change: Register, known: Node | None) -> _Lack | None:
    stated, networks = change.node.meta.get(META_NETWORK, ""), [_network(change.node)]
    if change.skip_node_update:  # the node may be there when this is applied, or not: both must be right
        networks += [_network(known)] if known is not None else []
    if stated or not change.skip_node_update:
        lack = _lacks_network(grant, networks[0], f"by its NodeMeta {META_NETWORK!r}")
        if lack is not None:
            return lack
    return next((lack for one in change.services if (lack := _lacks_for(grant, one, networks)) is not None), None)


def _lacks_for(grant: Grant, instance: ServiceInstance, node_networks: tuple[str, ...] | list[str]) -> _Lack | None:
    own = instance.meta.get(META_NETWORK, "")
    networks = [own] if own else node_networks
    lack = _lacks_name(grant, instance, networks[0])
    if lack is not None:
        return lack
    where = f"for service {instance.service[:SHOWN]!r} by Meta {META_NETWORK!r} of the service or its node"
    return next((lack for one in networks if (lack := _lacks_network(grant, one, where)) is not None), None)


def _lacks_name(grant: Grant, instance: ServiceInstance, network: str) -> _Lack | None:
    if grant.any_service:
        return None
    destination = instance.proxy.destination_service_name
    if destination and not grant.allows_service(destination):
        return _service(destination)
    if instance.kind == MESH_GATEWAY:
        if not (grant.gateway and grant.network):
            return f"the mesh gateway of network {network[:SHOWN]!r}", f"--network {network[:SHOWN]} --gateway"
        if instance.service == MESH_GATEWAY:
            return None
    fronted = instance.service.removesuffix(SIDECAR_SUFFIX)
    if grant.allows_service(instance.service) or grant.allows_service(fronted):
        return None
    return _service(fronted)


def _service(name: str) -> _Lack:
    return f"the service {name[:SHOWN]!r}", f"--service {name[:SHOWN]}"


def _lacks_network(grant: Grant, network: str, where: str) -> _Lack | None:
    if not grant.network or network == grant.network:
        return None
    return (
        f"the network {network[:SHOWN]!r}, asked for {where}, but {grant.network!r}",
        f"--network {network[:SHOWN]}",
    )


def _network(node: Node) -> str:
    return node.meta.get(META_NETWORK) or DEFAULT_NETWORK
