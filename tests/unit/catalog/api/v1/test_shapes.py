"""What is printed: empty is `[]` and `{}`, what says nothing is left out where Consul leaves it out."""

import msgspec

from catalog.api.v1.shapes import catalog_service_json, check_json, health_json, node_json, proxy_json, service_json
from catalog.state.records import Check, Connect, Locality, Node, Proxy, ServiceAddress, ServiceInstance
from mesh.model.endpoint import Health

BARE = ServiceInstance("web", "web-1", "n1")


def test_nothing_prints_as_null() -> None:
    shown = [node_json(Node("n1")), service_json(BARE), catalog_service_json(Node("n1"), BARE), check_json(Check("c"))]
    assert b"null" not in msgspec.json.encode(shown)


def test_a_node_shows_its_locality_if_it_has_one() -> None:
    assert "Locality" not in node_json(Node("n1"))
    assert node_json(Node("n1", locality=Locality("eu", "a")))["Locality"] == {"Region": "eu", "Zone": "a"}


def test_a_service_shows_what_it_has() -> None:
    assert {"Kind", "TaggedAddresses", "SocketPath", "Locality"}.isdisjoint(service_json(BARE))
    full = ServiceInstance(
        "web",
        kind="mesh-gateway",
        tagged_addresses={"wan": ServiceAddress("192.0.2.1", 1)},
        socket_path="/s",
        locality=Locality("eu"),
        connect=Connect(native=True, sidecar_service={"Port": 1}),
    )
    shown = service_json(full)
    assert (shown["Kind"], shown["SocketPath"]) == ("mesh-gateway", "/s")
    assert shown["TaggedAddresses"] == {"wan": {"Address": "192.0.2.1", "Port": 1}}
    assert shown["Connect"] == {"Native": True, "SidecarService": {"Port": 1}}


def test_a_proxy_shows_what_it_says() -> None:
    assert proxy_json(Proxy()) == {"Mode": "", "MeshGateway": {}, "Expose": {}}
    proxy = Proxy(destination_service_name="web", destination_service_id="web-1", local_service_port=80)
    assert proxy_json(proxy) == {
        "DestinationServiceName": "web",
        "DestinationServiceID": "web-1",
        "LocalServicePort": 80,
        "Mode": "",
        "MeshGateway": {},
        "Expose": {},
    }


def test_an_instance_with_its_checks() -> None:
    shown = health_json(Node("n1"), BARE, [Check("c", status=Health.PASSING)])
    assert shown["Node"]["Node"] == "n1"
    assert shown["Service"]["ID"] == "web-1"
    assert [check["Status"] for check in shown["Checks"]] == ["passing"]
