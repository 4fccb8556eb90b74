"""A compiled discovery chain in Consul's JSON. Printing only: what is in it was decided by `catalog.compile.discovery`."""

import hashlib
from typing import Any

import msgspec

from catalog.compile.discovery import Discovery, DiscoveryTarget, Node, ResolverNode, RouterNode, SplitterNode
from catalog.compile.entries.reader import EntryValue, write_value
from mesh.model.identity import DEFAULT_NAMESPACE

Json = dict[str, Any]

_SCOPE = {"Namespace": DEFAULT_NAMESPACE, "Partition": "default"}


def chain_json(graph: Discovery, trust_domain: str) -> Json:
    """The whole chain: `Chain` of `GET /v1/discovery-chain/:service`."""
    shown: Json = {"ServiceName": graph.service, **_SCOPE, "Datacenter": graph.datacenter}
    if graph.customised:
        shown["CustomizationHash"] = _digest(graph)
    if graph.is_default:
        shown["Default"] = True
    return shown | {
        "Protocol": graph.protocol,
        "StartNode": graph.start,
        "Nodes": {key: _node_json(node) for key, node in graph.nodes.items()},
        "Targets": {key: _target_json(target, trust_domain) for key, target in graph.targets.items()},
    }


def _digest(graph: Discovery) -> str:
    """Eight digits that tell one set of overrides from another."""
    modes = sorted({target.mesh_gateway for target in graph.targets.values()})
    times = sorted({target.connect_timeout.nanoseconds for target in graph.targets.values()})
    return hashlib.blake2b(repr((graph.protocol, modes, times)).encode(), digest_size=4).hexdigest()


def _node_json(node: Node) -> Json:
    if isinstance(node, RouterNode):
        routes = [{"Definition": write_value(route), "NextNode": following} for route, following in node.routes]
        return {"Type": "router", "Name": node.name, "Routes": routes}
    if isinstance(node, SplitterNode):
        return _splitter_json(node)
    return _resolver_json(node)


def _splitter_json(node: SplitterNode) -> Json:
    splits = []
    for share in node.shares:
        definition = msgspec.structs.replace(
            share.definition, request_headers=share.request_headers, response_headers=share.response_headers
        )
        weight = round(float(share.part * 100), 2)
        splits.append({"Definition": write_value(definition), "Weight": weight, "NextNode": share.node})
    shown: Json = {"Type": "splitter", "Name": node.name, "Splits": splits}
    return _with_balancer(shown, node.balancer)


def _resolver_json(node: ResolverNode) -> Json:
    resolver: Json = {"Default": True} if node.is_default else {}
    resolver["ConnectTimeout"] = str(node.connect_timeout)
    if node.request_timeout is not None:
        resolver["RequestTimeout"] = str(node.request_timeout)
    resolver["Target"] = node.target
    if node.failover:
        resolver["Failover"] = {"Targets": list(node.failover)}
        if node.policy:
            resolver["Failover"]["Policy"] = {"Mode": node.policy}
    return _with_balancer({"Type": "resolver", "Name": node.target, "Resolver": resolver}, node.balancer)


def _with_balancer(shown: Json, balancer: EntryValue | None) -> Json:
    if balancer is not None:
        shown["LoadBalancer"] = write_value(balancer)
    return shown


def _target_json(target: DiscoveryTarget, trust_domain: str) -> Json:
    shown: Json = {"ID": target.id, "Service": target.service}
    if target.subset_name:
        shown["ServiceSubset"] = target.subset_name
    shown |= _SCOPE
    if target.peer:
        shown["Peer"] = target.peer
    else:
        shown["Datacenter"] = target.datacenter
    name = _server_name(target, trust_domain)
    shown |= {
        "MeshGateway": {"Mode": target.mesh_gateway} if target.mesh_gateway else {},
        "Subset": write_value(target.subset),
        "TransparentProxy": {},
        "ConnectTimeout": str(target.connect_timeout),
    }
    if target.external_sni:
        shown["External"] = True
    return shown | {"SNI": target.external_sni or name, "Name": name}


def _server_name(target: DiscoveryTarget, trust_domain: str) -> str:
    """The name that a caller asks for in its TLS hello (reference 5: SNI)."""
    if target.peer:
        return f"{target.service}.default.default.{target.peer}.external.{trust_domain}"
    head = f"{target.subset_name}." if target.subset_name else ""
    return f"{head}{target.service}.{DEFAULT_NAMESPACE}.{target.datacenter}.internal.{trust_domain}"
