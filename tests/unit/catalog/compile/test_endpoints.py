"""Endpoint sets, gateways, exports: what callers dial and gateways forward."""

from typing import Any

import pytest

from catalog.compile.endpoints import compile_endpoints, compile_exports, compile_gateways, compile_networks
from catalog.state.changes import Register
from catalog.state.records import Proxy, ServiceAddress, ServiceInstance, Weights
from mesh.model.endpoint import Endpoint, Export, Health

EXPORT_ALL = {
    "Kind": "exported-services",
    "Name": "default",
    "Services": [{"Name": "*", "Consumers": [{"Network": "*"}]}],
}


def gateway(name: str = "gw", wan: ServiceAddress | None = None, **meta: str) -> ServiceInstance:
    tagged = {"wan": wan} if wan else {}
    return ServiceInstance(
        "mesh-gateway",
        name,
        port=8443,
        kind="mesh-gateway",
        tagged_addresses=tagged,
        meta={key.replace("_", "-"): value for key, value in meta.items()},
    )


def test_sidecar(world: Any) -> None:
    """A service is dialled at its sidecar; an instance without one is not an endpoint."""
    world.node("n1", "10.0.0.7").app("n1", "web", "web-1")
    world.register("n1", ServiceInstance("api", "api", port=80))
    assert compile_endpoints(world.state, world.entries, "web", 5).endpoints == (
        Endpoint("web", "web-1", "n1", "10.0.0.7", 20000, "default"),
    )
    assert compile_endpoints(world.state, world.entries, "web", 5).index == 5
    assert compile_endpoints(world.state, world.entries, "api").endpoints == ()
    assert compile_endpoints(world.state, world.entries, "web-sidecar-proxy").endpoints == ()


def test_native(world: Any) -> None:
    """An instance that speaks mutual TLS on its own is dialled itself, at its own address."""
    world.node("n1").native("n1", "db", address="10.9.9.9")
    (endpoint,) = compile_endpoints(world.state, world.entries, "db").endpoints
    assert (endpoint.address, endpoint.port, endpoint.instance) == ("10.9.9.9", 8443, "db")


@pytest.mark.parametrize("place", ["sidecar", "app", "node"])
@pytest.mark.parametrize("status", [Health.WARNING, Health.CRITICAL])
def test_health_is_the_worst(world: Any, place: str, status: Health) -> None:
    """The checks of the sidecar, of the instance behind it and of the node all count; others' do not."""
    world.node("n1").app("n1", "web").app("n1", "other")
    world.check("n1", "fine", Health.PASSING, "web").check("n1", "else", Health.CRITICAL, "other")
    service_id = {"sidecar": "web-sidecar-proxy", "app": "web", "node": ""}[place]
    world.check("n1", "bad", status, service_id)
    (endpoint,) = compile_endpoints(world.state, world.entries, "web").endpoints
    assert endpoint.health is status


def test_weight(world: Any) -> None:
    """The weight is that of the health; a sidecar without weights has its instance's."""
    world.node("n1").app("n1", "web", weights=Weights(10, 3))
    assert compile_endpoints(world.state, world.entries, "web").endpoints[0].weight == 10
    world.check("n1", "c", Health.WARNING, "web")
    assert compile_endpoints(world.state, world.entries, "web").endpoints[0].weight == 3


@pytest.mark.parametrize(
    ("instance", "node", "network"),
    [("k8s-east", "vm-paris", "k8s-east"), ("", "vm-paris", "vm-paris"), ("", "", "default")],
)
def test_network(world: Any, instance: str, node: str, network: str) -> None:
    """The instance's meta, else the node's, else `default`."""
    world.node("n1", linkspan_network=node).app("n1", "web", meta={"linkspan-network": instance})
    assert compile_endpoints(world.state, world.entries, "web").endpoints[0].network == network


def test_subsets(world: Any) -> None:
    """Filters are asked about the instance behind the sidecar."""
    world.node("n1").app("n1", "web", "web-1", meta={"version": "1"}, tags=("blue",)).app("n1", "web", "web-2")
    world.put(
        {
            "Kind": "service-resolver",
            "Name": "web",
            "Subsets": {
                "v1": {"Filter": "Service.Meta.version == 1"},
                "blue": {"Filter": "blue in Service.Tags and Node.Node == n1"},
                "all": {},
                "odd": {"Filter": "Service.Tags contains red"},
                "plain": {"Filter": "Service.Connect.Native == false and Service.Proxy.LocalServicePort == 0"},
            },
        }
    )
    first, second = compile_endpoints(world.state, world.entries, "web").endpoints
    assert first.subsets == ("all", "blue", "plain", "v1")
    assert second.subsets == ("all", "plain")


def test_sidecar_of_nothing(world: Any) -> None:
    """A sidecar whose instance is not registered, or is another service's, stands for itself alone."""
    world.node("n1").register("n1", ServiceInstance("db", "db", port=1))
    for service_id in ("gone", "db", ""):
        proxy = Proxy(destination_service_name="web", destination_service_id=service_id)
        world.register("n1", ServiceInstance("w", "w", port=20000, kind="connect-proxy", proxy=proxy))
        world.check("n1", "db-check", Health.CRITICAL, "db")
        (endpoint,) = compile_endpoints(world.state, world.entries, "web").endpoints
        assert (endpoint.instance, endpoint.health) == ("w", Health.PASSING)


def test_without_port(world: Any) -> None:
    """What cannot be dialled is no endpoint."""
    world.node("n1").register(
        "n1", ServiceInstance("w", "w", kind="connect-proxy", proxy=Proxy(destination_service_name="web"))
    )
    assert compile_endpoints(world.state, world.entries, "web").endpoints == ()


def test_gateways(world: Any) -> None:
    """A network's gateways: at their WAN address where there is one for others, at their own for the network itself."""
    world.node("a", "10.0.0.1", linkspan_network="east").node("b", "10.0.0.2")
    world.register("a", gateway("gw-a", ServiceAddress("203.0.113.1", 443)))
    world.register("b", gateway("gw-b", ServiceAddress("203.0.113.2"), linkspan_network="east"))
    world.register("b", gateway("gw-c"))
    world.check("a", "down", Health.CRITICAL, "gw-a")
    east = compile_gateways(world.state, "east", 3)
    assert [(one.address, one.port, one.health, one.network) for one in east.endpoints] == [
        ("203.0.113.1", 443, Health.CRITICAL, "east"),
        ("203.0.113.2", 8443, Health.PASSING, "east"),
    ]
    assert [(one.lan_address, one.lan_port) for one in east.endpoints] == [("10.0.0.1", 8443), ("10.0.0.2", 8443)]
    (other,) = compile_gateways(world.state, "default").endpoints
    assert (other.address, other.port) == (other.lan_address, other.lan_port) == ("10.0.0.2", 8443)
    assert compile_gateways(world.state, "nowhere").endpoints == ()


def test_exports_default_to_none(world: Any) -> None:
    """Without an entry nothing is exported."""
    world.node("n1").app("n1", "web")
    assert compile_exports(world.state, world.entries, "default").exports == ()


def test_exports(world: Any) -> None:
    """`default` speaks for every network, a network's entry for it alone, `*` for every service with endpoints there."""
    world.node("e", linkspan_network="east").app("e", "web").app("e", "db")
    world.node("w", linkspan_network="west").app("w", "web").app("w", "api")
    world.put(
        {
            "Kind": "exported-services",
            "Name": "default",
            "Services": [{"Name": "web", "Consumers": [{"Network": "west"}]}],
        },
        {"Kind": "exported-services", "Name": "east", "Services": [{"Name": "*", "Consumers": [{"Network": "south"}]}]},
    )
    assert compile_exports(world.state, world.entries, "east", 4).exports == (
        Export("db", ("south",)),
        Export("web", ("south", "west")),
    )
    assert compile_exports(world.state, world.entries, "west").exports == (Export("web", ("west",)),)
    assert compile_exports(world.state, world.entries, "south").exports == ()


def test_networks(world: Any) -> None:
    """The map holds every network with a gateway or an export, and no other."""
    world.node("e", linkspan_network="east").app("e", "web").register("e", gateway())
    world.node("w", linkspan_network="west").app("w", "web")
    world.node("s", linkspan_network="south").app("s", "db")
    assert [entry.name for entry in compile_networks(world.state, world.entries).networks] == ["east"]
    world.put(
        {"Kind": "exported-services", "Name": "default", "Services": [{"Name": "web", "Consumers": [{"Network": "*"}]}]}
    )
    found = compile_networks(world.state, world.entries, 9)
    assert [(entry.name, len(entry.gateways.endpoints)) for entry in found.networks] == [("east", 1), ("west", 0)]
    assert found.networks[1].exports.exports == (Export("web", ("*",)),)
    world.put(EXPORT_ALL)
    assert [entry.name for entry in compile_networks(world.state, world.entries).networks] == ["east", "south", "west"]


def test_order_is_stable(world: Any) -> None:
    """The same registrations give the same set, in whatever order they came."""
    world.node("n2").node("n1")
    world.app("n2", "web", "b").app("n1", "web", "z").app("n1", "web", "a")
    found = compile_endpoints(world.state, world.entries, "web").endpoints
    assert [(one.node, one.instance) for one in found] == [("n1", "a"), ("n1", "z"), ("n2", "b")]
    world.apply(Register(world.state.node("n1"), world.state.node_services("n1")[:1]))
    assert compile_endpoints(world.state, world.entries, "web").endpoints == found


def test_names_that_cannot_be_asked_for(world: Any) -> None:
    """A registration with an odd network or service name shows up in nobody's resources: a want of it would be refused."""
    world.node("n1").app("n1", "web", "odd", meta={"linkspan-network": "Bad Net/../x"}).app("n1", "web", "good")
    world.app("n1", "Odd_Name").register("n1", gateway(linkspan_network="Bad Net"))
    world.put(EXPORT_ALL)
    assert [one.instance for one in compile_endpoints(world.state, world.entries, "web").endpoints] == ["good"]
    assert [export.service for export in compile_exports(world.state, world.entries, "default").exports] == ["web"]
    assert [entry.name for entry in compile_networks(world.state, world.entries).networks] == ["default"]
