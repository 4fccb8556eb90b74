"""The JSON forms of the local state: as the agent's API shows it, and as the catalog takes it. Pure."""

import hashlib
import json
from typing import Any

import msgspec

from agents.vm.definition.duration import format_duration
from agents.vm.definition.values import CheckDefinition, HttpProbe, ScriptProbe, ServiceDefinition, TcpProbe, TtlProbe
from agents.vm.local.entries import SERF_CHECK, CheckEntry
from mesh.model.endpoint import Health

Json = dict[str, Any]
NETWORK_META = "linkspan-network"


class NodeFacts(msgspec.Struct, frozen=True):
    """Who this host is to the catalog. `meta` carries its network."""

    name: str
    address: str
    datacenter: str = "dc1"
    id: str = ""
    meta: dict[str, str] = {}


def agent_service(service: ServiceDefinition, node: NodeFacts) -> Json:
    """A service as `/v1/agent/services` shows it."""
    form = {
        "ID": service.id,
        "Service": service.name,
        "Tags": list(service.tags),
        "Meta": dict(service.meta),
        "Port": service.port,
        "Address": service.address,
        "SocketPath": service.socket_path,
        "TaggedAddresses": _tagged(service),
        "Weights": {"Passing": service.weight_passing, "Warning": service.weight_warning},
        "EnableTagOverride": service.enable_tag_override,
        "Datacenter": node.datacenter,
    }
    if not service.socket_path:
        del form["SocketPath"]
    if service.kind:
        form["Kind"] = service.kind
    if service.proxy is not None:
        form["Proxy"] = service.proxy
    if service.native:
        form["Connect"] = {"Native": True}
    return form


def content_hash(form: Json) -> str:
    """What `/v1/agent/service/:id` blocks on: equal hashes mean equal services."""
    return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()[:16]


def agent_check(entry: CheckEntry, node: NodeFacts, service: ServiceDefinition | None) -> Json:
    """A check as `/v1/agent/checks` shows it."""
    check = entry.definition
    return {
        "Node": node.name,
        "CheckID": check.check_id,
        "Name": check.name,
        "Status": str(entry.status),
        "Notes": check.notes,
        "Output": entry.output,
        "ServiceID": check.service_id,
        "ServiceName": service.name if service else "",
        "ServiceTags": list(service.tags) if service else [],
        "Type": check.type,
        "Interval": format_duration(check.interval_s) if check.interval_s else "",
        "Timeout": format_duration(check.timeout_s) if check.timeout_s else "",
        "ExposedPort": 0,
        "Definition": _definition(check),
        "CreateIndex": 0,
        "ModifyIndex": 0,
    }


def _definition(check: CheckDefinition) -> Json:
    probe = check.probe
    form: Json = {}
    if check.interval_s:
        form["Interval"] = format_duration(check.interval_s)
        form["Timeout"] = format_duration(check.timeout_s)
    if isinstance(probe, HttpProbe):
        form |= {"HTTP": probe.url, "Method": probe.method}
    elif isinstance(probe, TcpProbe):
        form["TCP"] = f"{probe.host}:{probe.port}"
    elif isinstance(probe, TtlProbe):
        form["TTL"] = format_duration(probe.ttl_s)
    elif isinstance(probe, ScriptProbe):
        form["ScriptArgs"] = list(probe.args)
    if check.deregister_after_s:
        form["DeregisterCriticalServiceAfter"] = format_duration(check.deregister_after_s)
    return form


def catalog_service(service: ServiceDefinition) -> Json:
    """The `Service` of a `/v1/catalog/register` body."""
    form: Json = {
        "ID": service.id,
        "Service": service.name,
        "Tags": list(service.tags),
        "Meta": dict(service.meta),
        "Address": service.address,
        "Port": service.port,
        "EnableTagOverride": service.enable_tag_override,
        "Weights": {"Passing": service.weight_passing, "Warning": service.weight_warning},
    }
    if service.tagged_addresses:
        form["TaggedAddresses"] = _tagged(service)
    if service.kind:
        form["Kind"] = service.kind
    if service.proxy is not None:
        form["Proxy"] = service.proxy
    if service.native:
        form["Connect"] = {"Native": True}
    if service.socket_path:
        form["SocketPath"] = service.socket_path
    return form


def catalog_check(entry: CheckEntry, node: NodeFacts) -> Json:
    """One of the `Checks` of a `/v1/catalog/register` body."""
    check = entry.definition
    return {
        "Node": node.name,
        "CheckID": check.check_id,
        "Name": check.name,
        "Status": str(entry.status),
        "Notes": check.notes,
        "Output": entry.output,
        "ServiceID": check.service_id,
        "Type": check.type,
    }


def serf_check(node: NodeFacts) -> Json:
    """The node's own check. The catalog owns it from here on: it turns critical when the agent's lease lapses."""
    return {
        "Node": node.name,
        "CheckID": SERF_CHECK,
        "Name": "Serf Health Status",
        "Status": str(Health.PASSING),
        "Output": "Agent alive and reachable",
    }


def node_body(node: NodeFacts) -> Json:
    """The node part of every registration."""
    body: Json = {
        "Datacenter": node.datacenter,
        "Node": node.name,
        "Address": node.address,
        "TaggedAddresses": {"lan": node.address},
        "NodeMeta": dict(node.meta),
    }
    if node.id:
        body["ID"] = node.id
    return body


def _tagged(service: ServiceDefinition) -> Json:
    return {tag: {"Address": one.address, "Port": one.port} for tag, one in service.tagged_addresses.items()}
