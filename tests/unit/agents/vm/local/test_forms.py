"""The JSON forms: what the agent's API shows and what the catalog is told."""

from typing import Any

from agents.vm.definition.keys import read_struct
from agents.vm.definition.services import service_definition
from agents.vm.definition.shapes import ServiceShape
from agents.vm.local.entries import Origin
from agents.vm.local.forms import (
    NodeFacts,
    agent_check,
    agent_service,
    catalog_check,
    catalog_service,
    content_hash,
    node_body,
)
from agents.vm.local.state import LocalState

NODE = NodeFacts("vm1", "10.0.0.1", "dc1", "some-id", {"linkspan-network": "vm-paris"})
RAW: dict[str, Any] = {
    "name": "web",
    "port": 80,
    "tags": ["a"],
    "meta": {"k": "v"},
    "tagged_addresses": {"wan": {"address": "1.2.3.4", "port": 443}},
    "weights": {"passing": 3, "warning": 0},
    "checks": [
        {"http": "http://x/", "interval": "10s", "timeout": "90s", "deregister_critical_service_after": "2h"},
        {"tcp": "h:1", "interval": "1s"},
        {"args": ["/bin/x", "y"], "interval": "1m"},
        {"ttl": "1.5s"},
    ],
    "connect": {"native": True},
}


def scene() -> LocalState:
    state = LocalState()
    state.put_service(service_definition(read_struct(RAW, ServiceShape)), Origin.API, 0)
    return state


def test_a_service_in_both_forms() -> None:
    """The agent names the service `Service` too; only the catalog's form goes without its datacenter."""
    definition = scene().services["web"].definition
    shown, told = agent_service(definition, NODE), catalog_service(definition)
    for form in (shown, told):
        assert (form["ID"], form["Service"], form["Connect"]) == ("web", "web", {"Native": True})
        assert form["TaggedAddresses"] == {"wan": {"Address": "1.2.3.4", "Port": 443}}
        assert form["Weights"] == {"Passing": 3, "Warning": 0}
        assert "Kind" not in form
        assert "SocketPath" not in form
    assert shown["Datacenter"] == "dc1"
    assert content_hash(shown) == content_hash(dict(reversed(shown.items())))
    assert content_hash(shown) != content_hash({**shown, "Port": 81})


def test_a_proxys_form_carries_its_kind_and_destination() -> None:
    """In CamelCase, as it was read."""
    raw = {"name": "p", "kind": "connect-proxy", "socket_path": "/x", "proxy": {"destination_service_name": "web"}}
    told = catalog_service(service_definition(read_struct(raw, ServiceShape)))
    assert (told["Kind"], told["Proxy"]) == ("connect-proxy", {"DestinationServiceName": "web"})
    assert told["SocketPath"] == "/x"


def test_checks_show_how_they_are_run() -> None:
    """Type, times as Go prints them, and the definition."""
    state = scene()
    service = state.services["web"].definition
    shown = [agent_check(entry, NODE, service) for entry in state.checks.values()]
    assert [form["Type"] for form in shown] == ["http", "tcp", "script", "ttl"]
    assert (shown[0]["Interval"], shown[0]["Timeout"]) == ("10s", "1m30s")
    assert shown[0]["Definition"]["DeregisterCriticalServiceAfter"] == "2h0m0s"
    assert (shown[1]["Definition"]["TCP"], shown[2]["Definition"]["ScriptArgs"]) == ("h:1", ["/bin/x", "y"])
    assert (shown[3]["Interval"], shown[3]["Definition"]) == ("", {"TTL": "1.5s"})
    assert shown[0]["ServiceTags"] == ["a"]
    assert agent_check(state.checks["service:web:1"], NODE, None)["ServiceName"] == ""
    told = catalog_check(state.checks["service:web:1"], NODE)
    assert (told["Node"], told["ServiceID"], told["Status"]) == ("vm1", "web", "critical")


def test_the_node_carries_its_id_only_if_it_has_one() -> None:
    """Consul refuses an empty one."""
    assert node_body(NODE)["ID"] == "some-id"
    assert "ID" not in node_body(NodeFacts("vm1", "a"))
