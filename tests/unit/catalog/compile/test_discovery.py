"""The graph of a discovery chain: what overrides change, and what no path leads to. The rest is held by test_chain."""

from typing import Any

import pytest

from catalog.compile.discovery import NO_OVERRIDES, ChainError, Overrides, ResolverNode, compile_discovery
from catalog.compile.entries.duration import Duration
from tests.fakes.config_entries import Entries

ROUTER = {"Kind": "service-router", "Name": "web", "Routes": [{"Destination": {"Service": "api"}}]}
SPLITTER = {"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": 100, "Service": "api"}]}
HTTP = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}


def test_an_override_without_requests_passes_routers_by() -> None:
    """With tcp instead of http: straight to the resolver."""
    entries = Entries(HTTP, {**HTTP, "Name": "api"}, ROUTER, SPLITTER)
    assert compile_discovery(entries, "web", "dc1").start == "router:web.default.default"
    plain = compile_discovery(entries, "web", "dc1", Overrides(protocol="tcp"))
    assert (plain.start, list(plain.targets)) == ("resolver:web.default.default.dc1", ["web.default.default.dc1"])


def test_an_overridden_protocol_is_everyones() -> None:
    """Services that differ are not held against each other."""
    entries = Entries(HTTP, ROUTER)
    with pytest.raises(ChainError, match="mixes protocols"):
        compile_discovery(entries, "web", "dc1")
    assert compile_discovery(entries, "web", "dc1", Overrides(protocol="grpc")).protocol == "grpc"


def test_precedence_of_defaults() -> None:
    """Override, then service-defaults, then proxy-defaults."""
    every: dict[str, Any] = {"Kind": "proxy-defaults", "Name": "global", "MeshGateway": {"Mode": "remote"}}
    own = {**HTTP, "MeshGateway": {"Mode": "local"}}

    def mode(*bodies: dict[str, Any], overrides: Overrides = NO_OVERRIDES) -> str:
        (target,) = compile_discovery(Entries(*bodies), "web", "dc1", overrides).targets.values()
        return target.mesh_gateway

    assert mode() == ""
    assert mode(every) == "remote"
    assert mode(every, own) == "local"
    assert mode(every, own, overrides=Overrides(mesh_gateway="none")) == "none"


def test_override_of_the_connect_timeout() -> None:
    """It beats the resolver's."""
    resolver = {"Kind": "service-resolver", "Name": "web", "ConnectTimeout": "9s"}
    graph = compile_discovery(Entries(resolver), "web", "dc1", Overrides(connect_timeout=Duration(7_000_000_000)))
    (target,) = graph.targets.values()
    assert (str(target.connect_timeout), graph.customised, graph.is_default) == ("7s", True, False)


def test_failover_shows_every_target() -> None:
    """Also those of other datacenters and peers, in order, each once."""
    failover = {"*": {"Datacenters": ["dc2", "dc1", "dc2", "dc3"], "Service": "spare"}}
    graph = compile_discovery(Entries({"Kind": "service-resolver", "Name": "web", "Failover": failover}), "web", "dc1")
    node = graph.nodes[graph.start]
    assert isinstance(node, ResolverNode)
    assert node.failover == tuple(f"spare.default.default.{dc}" for dc in ("dc2", "dc1", "dc3"))


def test_default() -> None:
    assert compile_discovery(Entries(), "web", "dc1").is_default
