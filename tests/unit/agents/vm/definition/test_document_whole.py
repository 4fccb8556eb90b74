"""Everything that a service file may carry, in YAML and in JSON, means the same."""

import json

import yaml

from agents.vm.definition.document import parse_document
from agents.vm.definition.values import (
    AliasProbe,
    GrpcProbe,
    H2PingProbe,
    HttpProbe,
    OsServiceProbe,
    ScriptProbe,
    TaggedAddress,
    TcpProbe,
    TtlProbe,
    UdpProbe,
)
from agents.vm.thresholds import Thresholds
from mesh.model.endpoint import Health

WHOLE = """
service:
  name: web
  id: web-1
  tags: [a, b]
  meta: {version: "1"}
  address: 192.0.2.1
  port: 80
  tagged_addresses:
    lan: {address: 192.0.2.1, port: 80}
    wan_ipv4: {address: 198.51.100.1, port: 8080}
  enable_tag_override: true
  weights: {passing: 10, warning: 2}
  token: secret
  locality: {region: r1, zone: z1}
  connect:
    sidecar_service:
      port: 20000
      proxy:
        local_service_address: 127.0.0.2
        mesh_gateway: {mode: local}
        expose: {checks: true, paths: [{listener_port: 1, path: /x, local_path_port: 2, protocol: http}]}
        transparent_proxy: {outbound_listener_port: 15001}
        access_logs: {enabled: true, json_format: "{}"}
        envoy_extensions: [{name: builtin/lua, arguments: {script: x}}]
        config: {protocol: http, snake_key: 1}
        upstreams:
          - {destination_name: db, local_bind_port: 5432, config: {connect_timeout_ms: 5}, mesh_gateway: {mode: remote}}
  checks:
    - {id: h, http: "http://127.0.0.1:80/", method: put, header: {X: [a]}, body: q, interval: 10s, timeout: 2s}
    - {id: t, tcp: "127.0.0.1:80", tcp_use_tls: true, tls_server_name: n, tls_skip_verify: true, interval: 10s}
    - {id: u, udp: "127.0.0.1:80", interval: 10s}
    - {id: g, grpc: "127.0.0.1:80/svc", grpc_use_tls: true, interval: 10s}
    - {id: p, h2ping: "127.0.0.1:80", interval: 10s}
    - {id: o, os_service: web.service, interval: 10s}
    - {id: s, args: [/bin/true, x], interval: 10s, success_before_passing: 2, failures_before_critical: 3}
    - {id: l, ttl: 30s, status: passing, deregister_critical_service_after: 90m, token: other, notes: why}
    - {id: a, alias_node: n2, alias_service: db}
services:
  - {name: native, socket_path: /run/x.sock, connect: {native: true}}
  - name: gateway
    kind: mesh-gateway
    port: 8443
    proxy: {config: {a: 1}}
check: {name: disk, args: [/bin/true], interval: 30s}
checks:
  - {id: mem, name: memory, script_args: [/bin/true], interval: 30s, output_max_size: 100}
"""


def test_a_whole_file() -> None:
    """Every field reaches its value; keys of free maps stay as they were written."""
    document = parse_document(WHOLE.encode(), is_json=False, node="vm1")
    web, native, gateway = document.services
    assert web.tagged_addresses["wan_ipv4"] == TaggedAddress("198.51.100.1", 8080)
    assert (web.weight_passing, web.weight_warning, web.enable_tag_override) == (10, 2, True)
    assert (web.token, web.locality) == ("secret", {"Region": "r1", "Zone": "z1"})
    assert [type(check.probe) for check in web.checks] == [
        HttpProbe, TcpProbe, UdpProbe, GrpcProbe, H2PingProbe, OsServiceProbe, ScriptProbe, TtlProbe, AliasProbe,
    ]  # fmt: skip
    by_id = {check.check_id: check for check in web.checks}
    assert by_id["s"].thresholds == Thresholds(2, 3, 3)
    assert (by_id["l"].initial, by_id["l"].deregister_after_s, by_id["l"].token) == (Health.PASSING, 5400, "other")
    assert (native.native, native.socket_path) == (True, "/run/x.sock")
    assert (gateway.kind, gateway.proxy) == ("mesh-gateway", {"Config": {"a": 1}})
    assert [(check.check_id, check.output_max_bytes) for check in document.checks] == [("disk", 4096), ("mem", 100)]


def test_a_sidecars_proxy() -> None:
    """In Consul's JSON form; token and locality are its service's."""
    sidecar = parse_document(WHOLE.encode(), is_json=False, node="vm1").services[0].sidecar
    assert sidecar is not None
    assert (sidecar.port, sidecar.token, sidecar.locality["Zone"]) == (20000, "secret", "z1")
    assert sidecar.proxy == {
        "DestinationServiceName": "web",
        "DestinationServiceID": "web-1",
        "LocalServiceAddress": "127.0.0.2",
        "LocalServicePort": 80,
        "MeshGateway": {"Mode": "local"},
        "Expose": {
            "Checks": True,
            "Paths": [{"ListenerPort": 1, "Path": "/x", "LocalPathPort": 2, "Protocol": "http"}],
        },
        "TransparentProxy": {"OutboundListenerPort": 15001},
        "AccessLogs": {"Enabled": True, "JSONFormat": "{}"},
        "EnvoyExtensions": [{"Name": "builtin/lua", "Arguments": {"script": "x"}}],
        "Config": {"protocol": "http", "snake_key": 1},
        "Upstreams": [
            {
                "DestinationName": "db",
                "DestinationType": "service",
                "LocalBindPort": 5432,
                "Config": {"connect_timeout_ms": 5},
                "MeshGateway": {"Mode": "remote"},
            }
        ],
    }


def test_json_means_the_same() -> None:
    """Both forms are one schema."""
    as_json = json.dumps(yaml.safe_load(WHOLE)).encode()
    assert parse_document(as_json, is_json=True, node="vm1") == parse_document(
        WHOLE.encode(), is_json=False, node="vm1"
    )
