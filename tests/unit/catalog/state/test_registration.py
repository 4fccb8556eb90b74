"""Registration as Consul's: nodes, instances, checks, and what goes with them."""

from catalog.state.changes import Deregister, Register, UpdateCheck
from catalog.state.errors import UnknownSubjectError
from catalog.state.records import Check, Node, ServiceInstance
from catalog.state.state import State
from mesh.model.endpoint import Health
from tests.fakes.app.state_changes import do, refused

NODE = Node("n1", "10.0.0.1", meta={"rack": "a"})


def test_registration_fills_in_what_consul_fills_in() -> None:
    """The instance's ID is its service's name, the check's ID its name; a check carries its service's name and tags."""
    state = State()
    assert (
        do(state, Register(NODE, (ServiceInstance("web", tags=("v1",)),), (Check("", "up", service_id="web"),))) is True
    )
    instance, check = state.instance("n1", "web"), state.check("n1", "up")
    assert instance is not None
    assert check is not None
    assert (instance.node, instance.id, instance.create_index, instance.modify_index) == ("n1", "web", 2, 2)
    assert (check.service_name, check.service_tags, check.status) == ("web", ("v1",), Health.CRITICAL)


def test_a_check_follows_its_instances_tags() -> None:
    """Lists of checks print the service's tags: they stay true when only the instance is registered again."""
    state = State()
    do(state, Register(NODE, (ServiceInstance("web"),), (Check("up", service_id="web"),)))
    do(state, Register(NODE, (ServiceInstance("web", tags=("v2",)),)))
    assert state.service_checks("web")[0].service_tags == ("v2",)


def test_an_instance_that_changes_keeps_its_create_index() -> None:
    """CreateIndex is of the first registration, ModifyIndex of the last that changed it."""
    state = State()
    do(state, Register(NODE, (ServiceInstance("web"),)))
    do(state, Register(NODE, (ServiceInstance("web", port=81),)))
    do(state, Register(NODE, (ServiceInstance("web", port=81),)))
    instance = state.instance("n1", "web")
    assert instance is not None
    assert (instance.create_index, instance.modify_index) == (2, 3)


def test_skip_node_update_leaves_a_known_node_alone() -> None:
    """SkipNodeUpdate: address and meta of a known node stay; an unknown node needs an address all the same."""
    state = State()
    do(state, Register(NODE))
    do(state, Register(Node("n1"), (ServiceInstance("web"),), skip_node_update=True))
    known = state.node("n1")
    assert known is not None
    assert (known.address, known.meta) == ("10.0.0.1", {"rack": "a"})
    assert refused(state, Register(Node("n2"), skip_node_update=True)).field == "Address"
    assert refused(state, Register(Node("n1"))).field == "Address"


def test_a_rebuilt_host_takes_its_old_name() -> None:
    """DESIGN 4: another ID under a known name is the same node, rebuilt; nothing is reserved."""
    state = State()
    do(state, Register(Node("n1", "10.0.0.1", id="old"), (ServiceInstance("web"),)))
    do(state, Register(Node("n1", "10.0.0.9", id="new")))
    node = state.node("n1")
    assert node is not None
    assert (node.id, node.address) == ("new", "10.0.0.9")
    do(state, Register(Node("n2", "10.0.0.8", id="new")))
    assert [row.node for row in state.nodes()] == ["n1", "n2"], "an ID cannot be used to remove another's node"


def test_a_check_of_an_unknown_instance_is_refused_and_nothing_is_kept() -> None:
    """A registration happens whole or not at all."""
    state = State()
    error = refused(state, Register(NODE, (ServiceInstance("web"),), (Check("up", service_id="api"),)))
    assert isinstance(error, UnknownSubjectError)
    assert error.field == "Check.ServiceID"
    assert state.nodes() == []


def test_rows_of_another_node_are_refused() -> None:
    """An instance or check that names another node would land where its sender may not write."""
    state = State()
    assert refused(state, Register(NODE, (ServiceInstance("web", node="n2"),))).field == "Service.Node"
    assert refused(state, Register(NODE, checks=(Check("up", node="n2"),))).field == "Check.Node"


def test_deregister_takes_what_hangs_on_it() -> None:
    """An instance goes with its checks, a node with everything; what is not there is no error."""
    state = State()
    services = (ServiceInstance("web"), ServiceInstance("api"))
    checks = (Check("w", service_id="web"), Check("a", service_id="api"), Check("disk"))
    do(state, Register(NODE, services, checks, lease_ttl_s=15))
    assert do(state, Deregister("n1", service_id="web")) is True
    assert [check.check_id for check in state.node_checks("n1")] == ["a", "disk", "serfHealth"]
    assert do(state, Deregister("n1", check_id="disk")) is True
    assert do(state, Deregister("n1", check_id="disk")) is True
    assert do(state, Deregister("n1")) is True
    assert do(state, Deregister("n1", service_id="api")) is True
    assert (state.nodes(), state.checks(), state.services(), state.leases()) == ([], [], {}, [])


def test_update_check_sets_status_and_output_only() -> None:
    """The rest of the check stays; an unknown check is refused."""
    state = State()
    do(state, Register(NODE, checks=(Check("disk", "Disk", notes="df"),)))
    do(state, UpdateCheck("n1", "disk", Health.WARNING, "91 %"))
    check = state.check("n1", "disk")
    assert check is not None
    assert (check.status, check.output, check.notes, check.name) == (Health.WARNING, "91 %", "df", "Disk")
    assert isinstance(refused(state, UpdateCheck("n1", "nope", Health.PASSING)), UnknownSubjectError)
