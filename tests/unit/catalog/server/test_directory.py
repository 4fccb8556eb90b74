"""The catalog's state as DNS sees it: what is found, with whose rights, and that it is never old."""

from typing import Any

from catalog.access.authorizer import EVERYTHING, Access, Authorizer, Resource
from catalog.dns.answer.directory import Endpoint
from catalog.server.directory import StateDirectory
from catalog.state.changes import AnyChange, Deregister, PutConfig, Register, UpdateCheck
from catalog.state.records import Check, Connect, Node, Proxy, ServiceAddress, ServiceInstance, Weights
from catalog.state.state import State
from mesh.model.endpoint import Health


class Only:
    """May read those names alone."""

    accessor = ""

    def __init__(self, *names: tuple[Resource, str]) -> None:
        self.names = set(names)

    def allows(self, resource: Resource, name: str, access: Access) -> bool:
        return access is Access.READ and (resource, name) in self.names

    def allows_all(self, resource: Resource, prefix: str, access: Access) -> bool:
        return False


class Scene:
    """A state, and a directory over it."""

    def __init__(self) -> None:
        self.state = State()
        self.authorizer: Any = EVERYTHING
        self.directory = StateDirectory(lambda: self.state, self._authorizer)

    def _authorizer(self) -> Authorizer:
        made: Authorizer = self.authorizer
        return made

    def apply(self, *changes: AnyChange) -> None:
        for change in changes:
            self.state.apply(change, self.state.index + 1, 0.0)


def register(name: str, address: str, *services: ServiceInstance, checks: tuple[Check, ...] = ()) -> Register:
    return Register(Node(name, address, datacenter="dc1", meta={"rack": "7"}), services, checks)


def names(endpoints: Any) -> list[str]:
    return [f"{one.host.name}:{one.port}" for one in endpoints]


def test_instances_are_found_in_any_letter_case() -> None:
    """With node, own address, tags in lower case."""
    scene = Scene()
    scene.apply(register("N1", "10.0.0.1", ServiceInstance("Web", port=80, tags=("V1",), address="10.9.9.9")))
    (found,) = scene.directory.service("web")
    assert isinstance(found, Endpoint)
    assert (found.service, found.host.name, found.host.datacenter, found.host.meta) == (
        "Web",
        "N1",
        "dc1",
        {"rack": "7"},
    )
    assert (found.at.text, found.host.place.text, found.tags) == ("10.9.9.9", "10.0.0.1", {"v1"})
    host = scene.directory.node("n1")
    assert host is not None
    assert host.place.packed == b"\x0a\0\0\1"
    assert scene.directory.node("n2") is None
    assert scene.directory.service("x") == []


def test_health_is_the_worst_of_node_and_instance() -> None:
    """And the weight is that of the health."""
    scene = Scene()
    check = Check("c", status=Health.PASSING, service_id="web")
    scene.apply(register("n1", "10.0.0.1", ServiceInstance("web", weights=Weights(5, 2)), checks=(check,)))
    for status, weight in ((Health.PASSING, 5), (Health.WARNING, 2), (Health.CRITICAL, 5)):
        scene.apply(UpdateCheck("n1", "c", status))
        (found,) = scene.directory.service("web")
        assert (found.health, found.weight) == (status, weight)
    scene.apply(UpdateCheck("n1", "c", Health.PASSING))
    scene.apply(
        Register(Node("n1", "10.0.0.1", datacenter="dc1"), checks=(Check("serfHealth", status=Health.CRITICAL),))
    )
    assert scene.directory.service("web")[0].health is Health.CRITICAL


def test_every_change_is_seen() -> None:
    """Of instances, nodes and services that come and go."""
    scene = Scene()
    assert scene.directory.service("web") == []
    scene.apply(register("n1", "10.0.0.1", ServiceInstance("web", port=80)))
    assert names(scene.directory.service("web")) == ["n1:80"]
    scene.apply(register("n2", "10.0.0.2", ServiceInstance("web", port=81)))
    assert names(scene.directory.service("web")) == ["n1:80", "n2:81"]
    scene.apply(register("n1", "10.0.0.7"))
    assert scene.directory.service("web")[0].at.text == "10.0.0.7"
    assert scene.directory.nodes_at(b"\x0a\0\0\7")
    assert not scene.directory.nodes_at(b"\x0a\0\0\1")
    scene.apply(Deregister("n1"), Deregister("n2"))
    assert scene.directory.service("web") == []
    assert scene.directory.node("n1") is None


def test_sidecars_and_native_instances() -> None:
    scene = Scene()
    scene.apply(
        register(
            "n1",
            "10.0.0.1",
            ServiceInstance("web", port=80),
            ServiceInstance("web-sidecar-proxy", port=21000, kind="connect-proxy", proxy=Proxy("web")),
            ServiceInstance("api", port=81, connect=Connect(native=True)),
        )
    )
    assert names(scene.directory.connect("web")) == ["n1:21000"]
    assert names(scene.directory.connect("api")) == ["n1:81"]
    assert scene.directory.connect("x") == []


def test_ingress_gateways_that_expose_a_service() -> None:
    """By its name or `*`, each gateway once."""
    scene = Scene()
    body = {
        "Kind": "ingress-gateway",
        "Name": "edge",
        "Listeners": [{"Port": 80, "Services": [{"Name": "Web"}, {"Name": "*"}]}, {"Port": 81}],
    }
    scene.apply(
        register("n1", "10.0.0.1", ServiceInstance("edge", port=8080, kind="ingress-gateway")),
        PutConfig("ingress-gateway", "edge", body),
        PutConfig("ingress-gateway", "none", {"Kind": "ingress-gateway", "Name": "none"}),
    )
    assert names(scene.directory.ingress("web")) == ["n1:8080"]
    assert names(scene.directory.ingress("other")) == ["n1:8080"]


def test_virtual_addresses() -> None:
    """As the instance or its sidecar was registered with."""
    scene = Scene()
    virtual = {"virtual": ServiceAddress("10.96.0.7", 80), "consul-virtual": ServiceAddress("240.0.0.1")}
    scene.apply(register("n1", "10.0.0.1", ServiceInstance("web", port=80, tagged_addresses=virtual)))
    assert [place.text for place in scene.directory.virtual("web")] == ["240.0.0.1", "10.96.0.7"]
    assert scene.directory.virtual("x") == []


def test_addresses_lead_to_names() -> None:
    scene = Scene()
    scene.apply(
        register("n1", "10.0.0.1", ServiceInstance("web", address="10.9.9.9")),
        register("n2", "10.0.0.1", ServiceInstance("web", address="10.9.9.9")),
        register("n3", "host.example"),
    )
    assert list(scene.directory.nodes_at(b"\x0a\0\0\1")) == ["n1", "n2"]
    assert list(scene.directory.services_at(b"\x0a\x09\x09\x09")) == ["web"]
    assert list(scene.directory.services_at(bytes(4))) == []


def test_what_may_not_be_read_is_not_there() -> None:
    """An instance needs the right to its service and its node; the name of neither leaks by reverse lookup or virtual address."""
    scene = Scene()
    virtual = {"virtual": ServiceAddress("10.96.0.7")}
    sidecar = ServiceInstance("web-sidecar-proxy", kind="connect-proxy", proxy=Proxy("web"), port=2)
    web = ServiceInstance("web", address="10.9.9.9", tagged_addresses=virtual, port=1)
    scene.apply(register("n1", "10.0.0.1", web, sidecar), register("n2", "10.0.0.2", web))
    node, service = (Resource.NODE, "n1"), (Resource.SERVICE, "web")
    directory = scene.directory
    assert names(directory.service("web")) == ["n1:1", "n2:1"]
    for rights in ((), (node,), (service,)):
        scene.authorizer = Only(*rights)
        assert directory.service("web") == directory.connect("web") == []
    assert list(directory.services_at(b"\x0a\x09\x09\x09")) == ["web"]
    scene.authorizer = Only()
    assert list(directory.services_at(b"\x0a\x09\x09\x09")) == list(directory.nodes_at(b"\x0a\0\0\1")) == []
    assert directory.node("n1") is None
    assert directory.virtual("web") == directory.ingress("web") == []
    scene.authorizer = Only(node, service)
    assert names(directory.service("web")) == ["n1:1"]
    assert directory.connect("web") == []
    scene.authorizer = Only(node, service, (Resource.SERVICE, "web-sidecar-proxy"))
    assert names(directory.connect("web")) == ["n1:2"]


def test_the_name_servers_are_the_catalogs_own() -> None:
    scene = Scene()
    scene.apply(register("s1", "10.0.0.9", ServiceInstance("consul", port=8300)))
    assert [host.name for host in scene.directory.name_servers()] == ["s1"]
    scene.authorizer = Only((Resource.NODE, "s1"))
    assert scene.directory.name_servers() == []
