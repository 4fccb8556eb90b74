"""Every resource: its value from the state, and the topics that it depends on."""

import pytest

from catalog.compile.config_entries import decode_entry, entry_body, entry_kind
from catalog.compile.entry_view import StoredEntries
from catalog.state.changes import AnyChange, PutConfig, PutIntention, PutRecord, Register
from catalog.state.records import Connect, Node, Proxy, ServiceAddress, ServiceInstance
from catalog.state.state import State
from catalog.sync.compiled import Compiled, Facts, UnknownResourceError, check_resource_name, compile_resource
from mesh.model.chain import Chain
from mesh.model.endpoint import EndpointSet, ExportSet, NetworkMap
from mesh.model.intention import Action, IntentionSet
from mesh.model.snapshot import MeshSettings, Roots

FACTS = Facts("dc1", "td.test", lambda records: Roots("td.test", 99, revoked_serials=tuple(r.key for r in records)))


class Scene:
    """A state and what is compiled from it."""

    def __init__(self) -> None:
        self.state = State()
        self.entries = StoredEntries(self.state)

    def apply(self, *changes: AnyChange) -> None:
        for change in changes:
            self.state.apply(change, self.state.index + 1, 0.0)

    def put(self, body: dict[str, object]) -> None:
        entry = decode_entry(body)
        self.apply(PutConfig(entry_kind(entry), entry.name, entry_body(entry)))

    def compiled(self, name: str, facts: Facts = FACTS) -> Compiled:
        return compile_resource(name, self.state, self.entries, facts)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def native(service: str, network: str = "default") -> Register:
    instance = ServiceInstance(service, port=1, connect=Connect(native=True), meta={"linkspan-network": network})
    return Register(Node("n1", "10.0.0.1"), (instance,))


def test_what_is_not_registered_has_values(scene: Scene) -> None:
    """A missing service has a default chain, no endpoint, and rules that deny."""
    chain = scene.compiled("chain/web").value
    assert isinstance(chain, Chain)
    assert chain.routes[0].legs[0].target == chain.targets[0].id
    assert scene.compiled("endpoints/web").value == EndpointSet("web", 0)
    assert scene.compiled("intentions/web").value == IntentionSet("web", 0)
    assert scene.compiled("gateways/east").value == EndpointSet("east", 0)
    assert scene.compiled("exports/east").value == ExportSet("east", 0)
    assert scene.compiled("networks").value == NetworkMap(0)
    assert scene.compiled("mesh").value == MeshSettings("dc1", "td.test")
    assert scene.compiled("roots").value == Roots("td.test", 0)


def test_default_action(scene: Scene) -> None:
    """The default policy is the catalog's."""
    allow = Facts("dc1", "td.test", FACTS.roots, Action.ALLOW)
    assert scene.compiled("intentions/web", allow).value == IntentionSet("web", 0, default_action=Action.ALLOW)


def test_broken_chain_has_no_route(scene: Scene) -> None:
    """Entries that contradict each other (which no write lets in) send nothing anywhere."""
    scene.put({"Kind": "service-resolver", "Name": "web", "Redirect": {"Service": "web"}})
    assert scene.compiled("chain/web").value == Chain("web", 0, "tcp", (), ())


def test_mesh_entry(scene: Scene) -> None:
    """The mesh entry shows in the settings; only a plain false switches the sanitising off."""
    scene.put({"Kind": "mesh", "HTTP": {"SanitizeXForwardedClientCert": False}})
    assert scene.compiled("mesh").value == MeshSettings("dc1", "td.test", sanitize_xfcc=False)
    scene.put({"Kind": "mesh", "HTTP": {}})
    assert scene.compiled("mesh").value == MeshSettings("dc1", "td.test")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("chain/web", {"Kind": "proxy-defaults", "Config": {"protocol": "http"}}),
        ("chain/web", {"Kind": "service-resolver", "Name": "web", "Redirect": {"Service": "api"}}),
        ("intentions/web", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}),
        ("intentions/web", PutIntention("web", {"Name": "api", "Action": "allow"})),
        ("intentions/web", PutIntention("*", {"Name": "api", "Action": "allow"})),
        ("endpoints/web", native("web")),
        ("exports/east", {"Kind": "exported-services", "Name": "east", "Services": []}),
        ("exports/east", {"Kind": "exported-services", "Name": "default", "Services": []}),
        ("networks", {"Kind": "exported-services", "Name": "south", "Services": []}),
        ("mesh", {"Kind": "mesh"}),
        ("roots", PutRecord("roots", "revoked/1", b"{}")),
        (
            "gateways/east",
            Register(
                Node("n1", "10.0.0.1"),
                (
                    ServiceInstance(
                        "mesh-gateway", port=1, kind="mesh-gateway", tagged_addresses={"wan": ServiceAddress("x")}
                    ),
                ),
            ),
        ),
    ],
)
def test_topics_move(scene: Scene, name: str, change: AnyChange | dict[str, object]) -> None:
    """Every change that could matter to a resource moves one of its topics, known before the change."""
    topics = scene.compiled(name).topics
    before = scene.state.index_of(*topics)
    if isinstance(change, dict):
        scene.put(change)
    else:
        scene.apply(change)
    assert scene.state.index_of(*topics) == scene.state.index > before


def test_behind_a_sidecar(scene: Scene) -> None:
    """The endpoints of a service depend on the instances behind its sidecars as well."""
    proxy = Proxy(destination_service_name="web", destination_service_id="web")
    sidecar = ServiceInstance("web-sidecar-proxy", "s", port=20000, kind="connect-proxy", proxy=proxy)
    scene.apply(Register(Node("n1", "10.0.0.1"), (sidecar,)))
    topics = scene.compiled("endpoints/web").topics
    scene.apply(Register(Node("n1", "10.0.0.1"), (ServiceInstance("web", port=80, meta={"linkspan-network": "east"}),)))
    assert scene.state.index_of(*topics) == scene.state.index
    value = scene.compiled("endpoints/web").value
    assert isinstance(value, EndpointSet)
    assert value.endpoints[0].network == "east"


def test_exports_follow_endpoints(scene: Scene) -> None:
    """An export appears when its service gets an endpoint there: named services by name, all by any registration."""
    for name in ("web", "*"):
        scene.put(
            {
                "Kind": "exported-services",
                "Name": "default",
                "Services": [{"Name": name, "Consumers": [{"Network": "*"}]}],
            }
        )
        topics = scene.compiled("exports/east").topics
        scene.apply(native("web", f"not-{name.strip('*')}east"), native("web", "east"))
        assert scene.state.index_of(*topics) == scene.state.index
        value = scene.compiled("exports/east").value
        assert isinstance(value, ExportSet)
        assert [export.service for export in value.exports] == ["web"]
    assert {topic for topic in topics if topic[0] != "config"} == {("services",), ("nodes",)}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "chain",
        "chain/",
        "chain/We b",
        "chain/a/b",
        "roots/",
        "roots/x",
        "networks/a",
        "gateways/",
        "leaf",
        "endpoints/../x",
        "Chain/web",
    ],
)
def test_unknown(scene: Scene, name: str) -> None:
    """What cannot be a resource is refused by name."""
    with pytest.raises(UnknownResourceError, match="resource"):
        check_resource_name(name)
    with pytest.raises(UnknownResourceError):
        scene.compiled(name)
