"""A chain in Consul's JSON, node by node."""

from typing import Any

from catalog.api.chain.shape import chain_json
from catalog.compile.discovery import NO_OVERRIDES, Overrides, compile_discovery
from catalog.compile.entries.duration import Duration
from tests.fakes.config_entries import Entries

HTTP = {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}, "MeshGateway": {"Mode": "local"}}


TRAFFIC: list[dict[str, Any]] = [
    HTTP,
    {
        "Kind": "service-router",
        "Name": "web",
        "Routes": [{"Match": {"HTTP": {"PathPrefix": "/admin"}}, "Destination": {"Service": "admin"}}],
    },
    {
        "Kind": "service-splitter",
        "Name": "web",
        "Splits": [
            {"Weight": 66.67, "ServiceSubset": "v1", "RequestHeaders": {"Set": {"x": "1"}}},
            {"Weight": 33.33, "Service": "old"},
        ],
    },
    {
        "Kind": "service-resolver",
        "Name": "web",
        "Subsets": {"v1": {"Filter": "Service.Meta.v == 1", "OnlyPassing": True}},
        "ConnectTimeout": "3s",
        "RequestTimeout": "20s",
        "LoadBalancer": {"Policy": "maglev", "HashPolicies": [{"SourceIP": True}]},
        "Failover": {"v1": {"Datacenters": ["dc2"]}, "*": {"Targets": [{"Peer": "east"}]}},
    },
]


def shown(service: str, *bodies: dict[str, Any], overrides: Overrides = NO_OVERRIDES) -> dict[str, Any]:
    return chain_json(compile_discovery(Entries(*bodies), service, "dc1", overrides), "td.consul")


def test_default() -> None:
    """What Consul prints for a service that nobody wrote about."""
    target = "web.default.default.dc1"
    assert shown("web") == {
        "ServiceName": "web",
        "Namespace": "default",
        "Partition": "default",
        "Datacenter": "dc1",
        "Default": True,
        "Protocol": "tcp",
        "StartNode": f"resolver:{target}",
        "Nodes": {
            f"resolver:{target}": {
                "Type": "resolver",
                "Name": target,
                "Resolver": {"Default": True, "ConnectTimeout": "5s", "Target": target},
            }
        },
        "Targets": {
            target: {
                "ID": target,
                "Service": "web",
                "Namespace": "default",
                "Partition": "default",
                "Datacenter": "dc1",
                "MeshGateway": {},
                "Subset": {},
                "TransparentProxy": {},
                "ConnectTimeout": "5s",
                "SNI": "web.default.dc1.internal.td.consul",
                "Name": "web.default.dc1.internal.td.consul",
            }
        },
    }


def test_router_splitter_and_resolver() -> None:
    """Nodes by type, each leading to the next; weights are percent."""
    chain = shown("web", *TRAFFIC)
    assert chain["StartNode"] == "router:web.default.default"
    assert "Default" not in chain
    router = chain["Nodes"]["router:web.default.default"]
    assert [route["NextNode"] for route in router["Routes"]] == [
        "resolver:admin.default.default.dc1",
        "splitter:web.default.default",
    ]
    assert router["Routes"][0]["Definition"]["Match"] == {"HTTP": {"PathPrefix": "/admin"}}
    assert router["Routes"][1]["Definition"]["Match"] == {"HTTP": {"PathPrefix": "/"}}
    splitter = chain["Nodes"]["splitter:web.default.default"]
    assert [(split["Weight"], split["NextNode"]) for split in splitter["Splits"]] == [
        (66.67, "resolver:v1.web.default.default.dc1"),
        (33.33, "resolver:old.default.default.dc1"),
    ]
    assert splitter["Splits"][0]["Definition"]["RequestHeaders"] == {"Set": {"x": "1"}}
    resolver = chain["Nodes"]["resolver:v1.web.default.default.dc1"]
    assert resolver["Resolver"] == {
        "ConnectTimeout": "3s",
        "RequestTimeout": "20s",
        "Target": "v1.web.default.default.dc1",
        "Failover": {"Targets": ["web.default.default.dc2"]},
    }
    assert resolver["LoadBalancer"] == {"Policy": "maglev", "HashPolicies": [{"SourceIP": True}]}
    target = chain["Targets"]["v1.web.default.default.dc1"]
    assert (target["ServiceSubset"], target["MeshGateway"]) == ("v1", {"Mode": "local"})
    assert target["SNI"] == "v1.web.default.dc1.internal.td.consul"
    assert chain["Targets"]["web.default.default.dc2"]["Datacenter"] == "dc2"


def test_a_peer_and_an_external_name() -> None:
    """A peer's target has its own kind of name; ExternalSNI replaces the name that is asked for."""
    chain = shown(
        "web",
        {"Kind": "service-defaults", "Name": "web", "ExternalSNI": "web.example.com"},
        {
            "Kind": "service-resolver",
            "Name": "web",
            "Failover": {"*": {"Targets": [{"Service": "far", "Peer": "east"}]}},
        },
    )
    peer = chain["Targets"]["far.default.default.external.east"]
    assert (peer["Peer"], peer["SNI"]) == ("east", "far.default.default.east.external.td.consul")
    assert "Datacenter" not in peer
    own = chain["Targets"]["web.default.default.dc1"]
    assert (own["External"], own["SNI"]) == (True, "web.example.com")


def test_overrides() -> None:
    """They show, and so does a digest that tells them apart."""
    overrides = Overrides("grpc", Duration(7_000_000_000), "remote")
    chain = shown("web", overrides=overrides)
    (target,) = chain["Targets"].values()
    assert (chain["Protocol"], target["ConnectTimeout"], target["MeshGateway"]) == ("grpc", "7s", {"Mode": "remote"})
    assert len(chain["CustomizationHash"]) == 8
    assert chain["CustomizationHash"] != shown("web", overrides=Overrides("http"))["CustomizationHash"]
