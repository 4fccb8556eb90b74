"""Who wakes, and with which index: every row of the blocking rules (reference/consul.md 1.4, 9a.4-6) as an observed index."""

import pytest

from catalog.state.changes import (
    AnyChange,
    DeleteIntention,
    DeleteRecord,
    Deregister,
    PutConfig,
    PutIntention,
    PutRecord,
    Register,
    UpdateCheck,
)
from catalog.state.index import FIRST_INDEX, Topic
from catalog.state.records import Check, Node, Proxy, ServiceInstance
from catalog.state.state import State
from mesh.model.endpoint import Health

NODE = Node("n1", "10.0.0.1")
WEB = ServiceInstance("web", port=80)
CHECK = Check("web-up", service_id="web", status=Health.PASSING)


class Scene:
    """A state with web and its check on n1, and other on n2."""

    def __init__(self) -> None:
        self.state = State()
        self.do(Register(NODE, (WEB,), (CHECK,)))
        self.do(Register(Node("n2", "10.0.0.2"), (ServiceInstance("other"),)))

    def do(self, change: AnyChange) -> None:
        self.state.apply(change, self.state.index + 1, 0.0)

    def moves(self, topic: Topic, change: AnyChange) -> bool:
        """Whether the change moves the topic's index and says that it touched it."""
        before = self.state.index_of(topic)
        outcome = self.state.apply(change, self.state.index + 1, 0.0)
        moved = self.state.index_of(topic) > before
        assert moved == (topic in outcome.touched)
        return moved


def test_the_index_is_never_0() -> None:
    """Emitted index is at least 1, also of an empty catalog and of no topic at all."""
    assert (
        State().index_of() == State().index_of(("service", "web")) == State().index_of(("nodes",)) == FIRST_INDEX == 1
    )


def test_the_first_change_wakes_one_who_waits_after_1() -> None:
    """An answer from the empty catalog can be waited on."""
    state = State()
    state.apply(Register(NODE, (WEB,)), state.index + 1, 0.0)
    assert state.index_of(("service", "web")) > 1


@pytest.mark.parametrize("topic", [("nodes",), ("services",), ("checks",), ("service", "web"), ("node", "n1")])
def test_an_identical_registration_moves_nothing(topic: Topic) -> None:
    """9a.4: an identical registration leaves the index alone."""
    assert not Scene().moves(topic, Register(NODE, (WEB,), (CHECK,)))


def test_an_equal_record_moves_nothing() -> None:
    """9a.4: an equal PUT leaves the index alone."""
    scene = Scene()
    scene.do(PutRecord("kv", "a", b"1"))
    assert not scene.moves(("record", "kv", "a"), PutRecord("kv", "a", b"1"))
    assert scene.moves(("record", "kv", "a"), PutRecord("kv", "a", b"2"))


def test_a_record_is_not_woken_by_its_siblings() -> None:
    """9a.5: a key is not woken by prefix siblings."""
    scene = Scene()
    scene.do(PutRecord("kv", "a", b"1"))
    assert not scene.moves(("record", "kv", "a"), PutRecord("kv", "ab", b"1"))


def test_an_identical_config_entry_moves_its_index() -> None:
    """9a.4: an identical config entry PUT bumps it."""
    scene = Scene()
    entry = PutConfig("service-defaults", "web", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
    scene.do(entry)
    assert scene.moves(("config", "service-defaults", "web"), entry)


def test_an_output_only_change_wakes() -> None:
    """9a.4: a check whose output alone changes does wake."""
    scene = Scene()
    assert scene.moves(("service", "web"), UpdateCheck("n1", "web-up", Health.PASSING, "200 OK"))
    assert not scene.moves(("service", "web"), UpdateCheck("n1", "web-up", Health.PASSING, "200 OK"))


def test_health_is_not_woken_by_another_service_on_the_node() -> None:
    """9a.5: neither its instance nor its check nor its leaving."""
    scene = Scene()
    api = ServiceInstance("api", port=90)
    topic = ("service", "web")
    assert not scene.moves(topic, Register(NODE, (api,), (Check("api-up", service_id="api"),)))
    assert not scene.moves(topic, UpdateCheck("n1", "api-up", Health.PASSING))
    assert not scene.moves(topic, Deregister("n1", service_id="api"))


@pytest.mark.parametrize("topic", [("service", "web"), ("instances", "web"), ("nodes",), ("node", "n1")])
def test_a_nodes_address_wakes_its_services(topic: Topic) -> None:
    """9a.5: health/service is woken by its node's address; so is catalog/service, which prints it."""
    assert Scene().moves(topic, Register(Node("n1", "10.9.9.9")))


def test_health_is_woken_by_node_checks() -> None:
    """9a.5: a check of the node itself is part of every instance's health."""
    scene = Scene()
    assert scene.moves(("service", "web"), Register(NODE, checks=(Check("disk", status=Health.PASSING),)))
    assert scene.moves(("service", "web"), UpdateCheck("n1", "disk", Health.CRITICAL))
    assert scene.moves(("service", "web"), Deregister("n1", check_id="disk"))


def test_health_is_not_woken_by_checks_of_another_node() -> None:
    """Only the nodes that the service runs on."""
    assert not Scene().moves(("service", "web"), Register(Node("n2", "10.0.0.2"), checks=(Check("disk"),)))


def test_catalog_service_is_not_woken_by_checks() -> None:
    """9a.5: neither by the instance's nor by the node's."""
    scene = Scene()
    assert not scene.moves(("instances", "web"), UpdateCheck("n1", "web-up", Health.CRITICAL))
    assert not scene.moves(("instances", "web"), Register(NODE, checks=(Check("disk"),)))


def test_catalog_services_is_woken_by_a_port_change() -> None:
    """9a.5: though the list of names stays the same."""
    assert Scene().moves(("services",), Register(NODE, (ServiceInstance("web", port=81),)))


def test_lists_are_woken_by_any_row() -> None:
    """1.4: list-all endpoints use the table's maximum; health/node is woken by other nodes."""
    scene = Scene()
    assert scene.moves(("checks",), Register(Node("n2", "10.0.0.2"), checks=(Check("disk"),)))
    assert scene.moves(("nodes",), Register(Node("n3", "10.0.0.3")))
    assert not scene.moves(("services",), Register(Node("n3", "10.0.0.33")))


def test_a_missing_service_has_the_last_extinction() -> None:
    """1.4: a service that is absent answers with the index at which the last one went."""
    scene = Scene()
    assert scene.state.index_of(("service", "web-v9")) == FIRST_INDEX
    scene.do(Deregister("n2", service_id="other"))
    gone_at = scene.state.index
    assert scene.state.index_of(("service", "other")) == gone_at
    assert scene.state.index_of(("service", "web-v9")) == gone_at


def test_a_missing_service_stays_quiet_when_another_goes() -> None:
    """9a.6: its watcher is not among the touched, nor is it when another comes or changes."""
    scene = Scene()
    for change in (
        Deregister("n2", service_id="other"),
        Register(Node("n2", "10.0.0.2"), (ServiceInstance("new"),)),
        Register(NODE, (ServiceInstance("web", port=99),)),
    ):
        outcome = scene.state.apply(change, scene.state.index + 1, 0.0)
        assert ("service", "missing") not in outcome.touched


def test_a_service_that_comes_back_is_above_what_its_watcher_saw() -> None:
    """An index never goes backwards over leaving, others leaving, and coming back."""
    scene = Scene()
    seen = [scene.state.index_of(("service", "other"))]
    for change in (
        Deregister("n2", service_id="other"),
        Deregister("n1", service_id="web"),
        Register(Node("n2", "10.0.0.2"), (ServiceInstance("other"),)),
    ):
        scene.do(change)
        seen.append(scene.state.index_of(("service", "other")))
    assert seen == sorted(set(seen))


def test_one_instance_less_wakes_the_service() -> None:
    """Removal moves the index of a service that still has instances."""
    scene = Scene()
    scene.do(Register(Node("n2", "10.0.0.2"), (WEB,)))
    assert scene.moves(("service", "web"), Deregister("n2", service_id="web"))
    assert scene.moves(("service", "web"), Deregister("n1"))


def test_a_service_that_is_renamed_wakes_both_names() -> None:
    """The instance leaves one service and joins another; its check follows."""
    scene = Scene()
    renamed = scene.state.apply(Register(NODE, (ServiceInstance("shop", id="web"),)), scene.state.index + 1, 0.0)
    assert {("service", "web"), ("service", "shop"), ("instances", "web"), ("checks",)} <= renamed.touched
    assert [check.service_name for check in scene.state.service_checks("shop")] == ["shop"]


def test_a_sidecar_moves_what_mesh_callers_watch() -> None:
    """health/connect and endpoint sets: the sidecar, its checks and its node; gateways by their kind."""
    scene = Scene()
    sidecar = ServiceInstance("web-proxy", kind="connect-proxy", proxy=Proxy("web", "web"))
    assert scene.moves(("connect", "web"), Register(NODE, (sidecar,), (Check("px", service_id="web-proxy"),)))
    assert scene.moves(("connect", "web"), UpdateCheck("n1", "px", Health.PASSING))
    assert scene.moves(("connect", "web"), Register(Node("n1", "10.7.7.7")))
    assert not scene.moves(("connect", "web"), Register(Node("n2", "10.7.7.8")))
    gateway = ServiceInstance("mesh-gateway", kind="mesh-gateway")
    assert scene.moves(("kind", "mesh-gateway"), Register(Node("n2", "10.7.7.8"), (gateway,)))
    assert scene.moves(("kind", "mesh-gateway"), Register(Node("n2", "10.7.7.9")))


def test_config_topics_are_by_kind_and_name() -> None:
    """1.4: an entry's readers sleep through other entries; a kind's list does not."""
    scene = Scene()
    body = {"Kind": "service-router", "Name": "api"}
    assert scene.moves(("config", "service-router"), PutConfig("service-router", "web", body))
    assert not scene.moves(("config", "service-router", "web"), PutConfig("service-router", "api", body))
    assert not scene.moves(("config", "service-router"), PutConfig("service-defaults", "api", body))


def test_intentions_wake_their_destination_only() -> None:
    """A destination's set is its own entry's and the wildcard's."""
    scene = Scene()
    change = PutIntention("web", {"Name": "api", "Action": "allow"})
    assert scene.moves(("intentions", "web"), change)
    assert not scene.moves(("intentions", "web"), change)
    assert not scene.moves(("intentions", "web"), PutIntention("api", {"Name": "web", "Action": "deny"}))
    assert scene.moves(("intentions", "*"), PutIntention("*", {"Name": "*", "Action": "deny"}))


def test_roots_are_a_table_of_records() -> None:
    """The authority writes to the table `roots` and wakes who waits for the bundle."""
    scene = Scene()
    assert scene.moves(("roots",), PutRecord("roots", "r1", b"pem"))
    assert not scene.moves(("roots",), PutRecord("tokens", "t1", b"hash"))


def test_topics_of_what_is_gone_are_forgotten() -> None:
    """Names that come and go leave nothing behind: the indexes kept are bounded by the rows."""
    state = State()
    sizes = []
    for number in range(1000, 1050):
        node = Node(f"n{number}", "10.0.0.1")
        for change in (
            Register(node, (ServiceInstance(f"s{number}", kind=f"k{number}"),), (Check("up"),), lease_ttl_s=15),
            PutIntention(f"s{number}", {"Name": "x", "Action": "allow"}),
            PutRecord("t", f"k{number}", b"1"),
            DeleteIntention(f"s{number}", {"Name": "x"}),
            DeleteRecord("t", f"k{number}"),
            Deregister(node.node),
        ):
            state.apply(change, state.index + 1000, 0.0)
        sizes.append(len(state.encode()))
    assert sizes[-1] - sizes[0] < 100, "only the indexes' digits may grow"
