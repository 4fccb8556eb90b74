"""The JSON forms of the local state: as the agent's API shows it, and as the catalog takes it. Pure."""

import hashlib
import json
from typing import Any

import msgspec

from agents.vm.definition.duration import format_duration
from agents.vm.definition.values import (
    AliasProbe,
    CheckDefinition,
    GrpcProbe,
    H2PingProbe,
    HttpProbe,
    OsServiceProbe,
    Probe,
    ScriptProbe,
    ServiceDefinition,
    TcpProbe,
    TtlProbe,
    UdpProbe,
)
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
        "Weights": {"Passing": service.weight_passing, "Warning": service.weight_warning},
        "EnableTagOverride": service.enable_tag_override,
        "Datacenter": node.datacenter,
    }
    if not service.socket_path:
        del form["SocketPath"]
    return form | _given(service)


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
    """How a check is run, with the keys of Consul's check definitions."""
    probe = check.probe
    form: Json = {}
    if check.interval_s:
        form["Interval"] = format_duration(check.interval_s)
        form["Timeout"] = format_duration(check.timeout_s)
    match probe:
        case HttpProbe():
            form |= _http(probe)
        case TcpProbe():
            form |= {"TCP": f"{probe.host}:{probe.port}"} | ({"TCPUseTLS": True} if probe.use_tls else {})
        case GrpcProbe():
            form |= {"GRPC": probe.target, "GRPCUseTLS": probe.use_tls}
        case H2PingProbe():
            form |= {"H2PING": f"{probe.host}:{probe.port}", "H2PingUseTLS": probe.use_tls}
        case _:
            form |= _plain(probe)
    return form | _tls(probe) | _threshold_form(check)


def _http(probe: HttpProbe) -> Json:
    form: Json = {"HTTP": probe.url, "Method": probe.method}
    if probe.headers:
        names = dict.fromkeys(name for name, _ in probe.headers)
        form["Header"] = {name: [value for other, value in probe.headers if other == name] for name in names}
    if probe.body:
        form["Body"] = probe.body
    if not probe.follow_redirects:
        form["DisableRedirects"] = True
    return form


def _plain(probe: Probe) -> Json:
    match probe:
        case UdpProbe():
            return {"UDP": f"{probe.host}:{probe.port}"}
        case OsServiceProbe():
            return {"OSService": probe.unit}
        case TtlProbe():
            return {"TTL": format_duration(probe.ttl_s)}
        case ScriptProbe():
            return {"ScriptArgs": list(probe.args)}
        case AliasProbe():
            form = {"AliasNode": probe.node, "AliasService": probe.service_id}
            return {key: value for key, value in form.items() if value}
        case _:
            return {}


def _tls(probe: Probe) -> Json:
    form: Json = {}
    if isinstance(probe, HttpProbe | TcpProbe | GrpcProbe | H2PingProbe):
        if probe.tls_server_name:
            form["TLSServerName"] = probe.tls_server_name
        if probe.tls_skip_verify:
            form["TLSSkipVerify"] = True
    return form


def _threshold_form(check: CheckDefinition) -> Json:
    counts = {
        "SuccessBeforePassing": check.thresholds.success_before_passing,
        "FailuresBeforeWarning": check.thresholds.failures_before_warning,
        "FailuresBeforeCritical": check.thresholds.failures_before_critical,
    }
    form: Json = {name: count for name, count in counts.items() if count}
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
    if service.socket_path:
        form["SocketPath"] = service.socket_path
    return form | _given(service)


def _given(service: ServiceDefinition) -> Json:
    """What both forms hold only if it was given."""
    form: Json = {}
    if service.tagged_addresses:
        form["TaggedAddresses"] = _tagged(service)
    if service.kind:
        form["Kind"] = service.kind
    if service.proxy is not None:
        form["Proxy"] = service.proxy
    if service.native:
        form["Connect"] = {"Native": True}
    if service.locality:
        form["Locality"] = dict(service.locality)
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
