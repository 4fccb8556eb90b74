"""Which services gateways lead to: named ones, wildcards, routes."""

from typing import Any

from catalog.compile.gateways import gateway_services, ingress_gateways


def rows(world: Any, gateway: str) -> list[tuple[int, str, bool]]:
    found = gateway_services(world.state, world.entries, gateway)
    return [(row.port, row.service, row.from_wildcard) for row in found]


def test_ingress(world: Any) -> None:
    """A wildcard stands for the services that speak the listener's protocol, without proxies; a name wins over it."""
    world.put({"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
    world.put({"Kind": "service-defaults", "Name": "shop", "Protocol": "http"})
    world.node("n1").app("n1", "web").app("n1", "shop").app("n1", "db")
    listeners = [
        {"Port": 80, "Protocol": "http", "Services": [{"Name": "*"}, {"Name": "web", "Hosts": ["w.example"]}]},
        {"Port": 81, "Services": [{"Name": "db"}]},
    ]
    world.put({"Kind": "ingress-gateway", "Name": "edge", "Listeners": listeners})
    assert rows(world, "edge") == [(80, "shop", True), (80, "web", False), (81, "db", False)]
    assert ingress_gateways(world.state, world.entries, "shop") == ["edge"]
    assert ingress_gateways(world.state, world.entries, "nope") == []
    web = gateway_services(world.state, world.entries, "edge")[1].to_json()
    assert {key: web[key] for key in web if "Index" not in key} == {
        "Gateway": {"Name": "edge"},
        "Service": {"Name": "web"},
        "GatewayKind": "ingress-gateway",
        "Port": 80,
        "Protocol": "http",
        "Hosts": ["w.example"],
    }


def test_terminating(world: Any) -> None:
    """Every plain service behind `*`, with the certificates of its row."""
    world.node("n1").app("n1", "web").app("n1", "db")
    services = [{"Name": "*", "CAFile": "/ca"}, {"Name": "db", "CAFile": "/db-ca", "SNI": "db"}]
    world.put({"Kind": "terminating-gateway", "Name": "exit", "Services": services})
    found = [row.to_json() for row in gateway_services(world.state, world.entries, "exit")]
    assert [(row["Service"]["Name"], row["CAFile"], row.get("FromWildcard", False)) for row in found] == [
        ("db", "/db-ca", False),
        ("web", "/ca", True),
    ]


def test_api_gateway(world: Any) -> None:
    """Through the routes that name it, on the listeners that they name."""
    listeners = [
        {"Name": "a", "Port": 80, "Protocol": "http"},
        {"Name": "b", "Port": 81, "Protocol": "http"},
        {"Name": "c", "Port": 82, "Protocol": "tcp"},
    ]
    world.put(
        {"Kind": "api-gateway", "Name": "api", "Listeners": listeners},
        {
            "Kind": "http-route",
            "Name": "r",
            "Parents": [{"Name": "api", "SectionName": "b"}, {"Name": "other"}],
            "Rules": [{"Services": [{"Name": "web"}]}],
        },
        {"Kind": "tcp-route", "Name": "t", "Parents": [{"Name": "api"}], "Services": [{"Name": "db"}]},
    )
    assert rows(world, "api") == [(81, "web", False), (82, "db", False)]


def test_nobody(world: Any) -> None:
    assert rows(world, "nope") == []
