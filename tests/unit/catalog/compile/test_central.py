"""The central configuration worked into proxies: the instance's word, then service-defaults, then proxy-defaults."""

from typing import Any

from catalog.compile.central import merge_central
from catalog.state.records import Proxy, ServiceInstance
from tests.fakes.config_entries import Entries

EVERY = {
    "Kind": "proxy-defaults",
    "Name": "global",
    "Config": {"protocol": "http", "a": 1, "b": 1},
    "MeshGateway": {"Mode": "remote"},
    "Mode": "direct",
    "AccessLogs": {"Enabled": True},
    "EnvoyExtensions": [{"Name": "one"}],
}
OWN = {
    "Kind": "service-defaults",
    "Name": "web",
    "Protocol": "grpc",
    "MaxInboundConnections": 7,
    "MeshGateway": {"Mode": "local"},
    "EnvoyExtensions": [{"Name": "two"}],
    "UpstreamConfig": {
        "Defaults": {"ConnectTimeoutMs": 5, "Limits": {"MaxConnections": 3}, "MeshGateway": {"Mode": "none"}},
        "Overrides": [{"Name": "db", "Protocol": "tcp", "ConnectTimeoutMs": 9}],
    },
}


def sidecar(**fields: Any) -> ServiceInstance:
    proxy = Proxy(destination_service_name="web", **fields)
    return ServiceInstance("web-sidecar-proxy", kind="connect-proxy", proxy=proxy)


def test_layers() -> None:
    """Each says what those before it did not."""
    proxy = merge_central(Entries(EVERY, OWN), sidecar(config={"a": 2})).proxy
    assert proxy.config == {"protocol": "grpc", "a": 2, "b": 1, "max_inbound_connections": 7}
    assert (proxy.mesh_gateway, proxy.mode, proxy.access_logs) == ({"Mode": "local"}, "direct", {"Enabled": True})
    assert proxy.envoy_extensions == ({"Name": "one"}, {"Name": "two"})
    own_word = merge_central(Entries(EVERY, OWN), sidecar(mode="transparent", mesh_gateway={"Mode": "none"})).proxy
    assert (own_word.mode, own_word.mesh_gateway) == ("transparent", {"Mode": "none"})


def test_upstreams() -> None:
    """Defaults, then the upstream's override, then its own."""
    upstreams = (
        {"DestinationName": "db", "Config": {"x": 1}},
        {"DestinationName": "other", "MeshGateway": {"Mode": "local"}},
    )
    first, second = merge_central(Entries(OWN), sidecar(upstreams=upstreams)).proxy.upstreams
    assert first["Config"] == {"protocol": "tcp", "connect_timeout_ms": 9, "limits": {"MaxConnections": 3}, "x": 1}
    assert first["MeshGateway"] == {"Mode": "none"}
    assert second["Config"] == {"connect_timeout_ms": 5, "limits": {"MaxConnections": 3}}
    assert second["MeshGateway"] == {"Mode": "local"}


def test_gateways_and_plain_services() -> None:
    """A gateway goes by its own name; a plain service, and a world without entries, stay as they are."""
    gateway = ServiceInstance("web", kind="mesh-gateway")
    assert merge_central(Entries(OWN), gateway).proxy.config["protocol"] == "grpc"
    plain = ServiceInstance("web")
    assert merge_central(Entries(EVERY, OWN), plain) is plain
    alone = sidecar()
    assert merge_central(Entries(), alone) is alone
