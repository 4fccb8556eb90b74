"""What the catalog prints: nodes, instances and checks as Consul spells them.

Lists and maps that hold nothing print as `[]` and `{}`, never as null, so that clients may iterate them. Printing
only: what is in an answer is decided before.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from catalog.api.v1.naming import consul_name
from catalog.state.records import Check, Node, Proxy, ServiceInstance

Json = dict[str, Any]


def node_json(node: Node) -> Json:
    """A node as `catalog/nodes` lists it."""
    shown: Json = {
        "ID": node.id,
        "Node": node.node,
        "Address": node.address,
        "Datacenter": node.datacenter,
        "TaggedAddresses": node.tagged_addresses,
        "Meta": node.meta,
    }
    if node.locality is not None:
        shown["Locality"] = {"Region": node.locality.region, "Zone": node.locality.zone}
    shown["CreateIndex"] = node.create_index
    shown["ModifyIndex"] = node.modify_index
    return shown


def service_json(instance: ServiceInstance) -> Json:
    """An instance as `health/service` and `catalog/node` show it."""
    shown: Json = {"Kind": instance.kind} if instance.kind else {}
    shown |= {
        "ID": instance.id,
        "Service": instance.service,
        "Tags": instance.tags,
        "Address": instance.address,
    }
    if instance.tagged_addresses:
        shown["TaggedAddresses"] = tagged_json(instance)
    shown |= {
        "Meta": instance.meta,
        "Port": instance.port,
        "Weights": {"Passing": instance.weights.passing, "Warning": instance.weights.warning},
        "EnableTagOverride": instance.enable_tag_override,
        "Proxy": proxy_json(instance.proxy),
        "Connect": connect_json(instance),
    }
    if instance.socket_path:
        shown["SocketPath"] = instance.socket_path
    if instance.locality is not None:
        shown["Locality"] = {"Region": instance.locality.region, "Zone": instance.locality.zone}
    shown["CreateIndex"] = instance.create_index
    shown["ModifyIndex"] = instance.modify_index
    return shown


def catalog_service_json(node: Node, instance: ServiceInstance) -> Json:
    """An instance as `catalog/service` shows it: flat, with its node's fields."""
    return {
        "ID": node.id,
        "Node": node.node,
        "Address": node.address,
        "Datacenter": node.datacenter,
        "TaggedAddresses": node.tagged_addresses,
        "NodeMeta": node.meta,
        "ServiceKind": instance.kind,
        "ServiceID": instance.id,
        "ServiceName": instance.service,
        "ServiceTags": instance.tags,
        "ServiceAddress": instance.address,
        "ServiceTaggedAddresses": tagged_json(instance),
        "ServiceWeights": {"Passing": instance.weights.passing, "Warning": instance.weights.warning},
        "ServiceMeta": instance.meta,
        "ServicePort": instance.port,
        "ServiceSocketPath": instance.socket_path,
        "ServiceEnableTagOverride": instance.enable_tag_override,
        "ServiceProxy": proxy_json(instance.proxy),
        "ServiceConnect": connect_json(instance),
        "CreateIndex": instance.create_index,
        "ModifyIndex": instance.modify_index,
    }


def check_json(check: Check) -> Json:
    """A check as the health endpoints show it."""
    return {
        "Node": check.node,
        "CheckID": check.check_id,
        "Name": check.name,
        "Status": check.status,
        "Notes": check.notes,
        "Output": check.output,
        "ServiceID": check.service_id,
        "ServiceName": check.service_name,
        "ServiceTags": check.service_tags,
        "Type": check.type,
        "Interval": check.interval,
        "Timeout": check.timeout,
        "ExposedPort": check.exposed_port,
        "Definition": check.definition,
        "CreateIndex": check.create_index,
        "ModifyIndex": check.modify_index,
    }


def health_json(node: Node, instance: ServiceInstance, checks: Sequence[Check]) -> Json:
    """An instance with its node and all checks that decide its health."""
    return {
        "Node": node_json(node),
        "Service": service_json(instance),
        "Checks": [check_json(check) for check in checks],
    }


def tagged_json(instance: ServiceInstance) -> Json:
    """An instance's tagged addresses."""
    return {
        name: {"Address": tagged.address, "Port": tagged.port} for name, tagged in instance.tagged_addresses.items()
    }


def connect_json(instance: ServiceInstance) -> Json:
    """The `Connect` part; empty for an instance that is not native."""
    shown: Json = {}
    if instance.connect.native:
        shown["Native"] = True
    if instance.connect.sidecar_service is not None:
        shown["SidecarService"] = instance.connect.sidecar_service
    return shown


_NO_PROXY = Proxy()


def proxy_json(proxy: Proxy) -> Json:
    """The `Proxy` part: `Mode`, `MeshGateway` and `Expose` always, the rest where it says something (as Consul does)."""
    if proxy == _NO_PROXY:
        return {"Mode": "", "MeshGateway": {}, "Expose": {}}
    shown: Json = {}
    for field in msgspec.structs.fields(proxy):
        value = getattr(proxy, field.name)
        if value or field.name in {"mode", "mesh_gateway", "expose"}:
            shown[consul_name(field.name)] = value
    return shown
