"""What the catalog must be told: full rounds, partial rounds, and what is left alone."""

from typing import Any

from agents.vm.definition.keys import read_struct
from agents.vm.definition.services import service_definition
from agents.vm.definition.shapes import ServiceShape
from agents.vm.local.entries import Origin
from agents.vm.local.forms import NodeFacts, catalog_check, catalog_service, serf_check
from agents.vm.local.reconcile import Deregister, Dirty, Held, Register, Step, full_steps, leave_steps, partial_steps
from agents.vm.local.state import LocalState
from mesh.model.endpoint import Health

NODE = NodeFacts("vm1", "10.0.0.1", meta={"linkspan-network": "vm-paris"})


def scene(*raws: dict[str, Any]) -> LocalState:
    state = LocalState()
    for raw in raws:
        state.put_service(service_definition(read_struct(raw, ServiceShape)), Origin.API, 0)
    return state


def mirror(state: LocalState) -> Held:
    """A catalog that agrees with everything."""
    return Held(
        {"Node": "vm1", "Address": "10.0.0.1", "Meta": dict(NODE.meta)},
        {key: catalog_service(entry.definition) for key, entry in state.services.items()},
        {"serfHealth": serf_check(NODE)} | {key: catalog_check(entry, NODE) for key, entry in state.checks.items()},
    )


def brief(steps: list[Step]) -> list[str]:
    return [
        f"{'+' if isinstance(step, Register) else '-'}"
        f"{step.service_id or getattr(step, 'check_id', '') or ','.join(getattr(step, 'check_ids', ())) or 'node'}"
        for step in steps
    ]


def test_an_empty_catalog_is_told_everything_node_first() -> None:
    """The node with its network and serfHealth, then each service with its checks in one body."""
    state = scene({"name": "web", "port": 80, "check": {"ttl": "1s"}})
    steps = full_steps(state, NODE, Held())
    assert brief(steps) == ["+node", "+web"]
    assert steps[0].body["NodeMeta"] == {"linkspan-network": "vm-paris"}
    assert steps[0].body["Check"]["CheckID"] == "serfHealth"
    assert steps[1].body["Service"]["Port"] == 80
    assert [check["Status"] for check in steps[1].body["Checks"]] == ["critical"]


def test_an_agreeing_catalog_is_told_nothing() -> None:
    """What the catalog adds on its own does not count as a difference."""
    state = scene({"name": "web", "port": 80, "check": {"ttl": "1s"}, "connect": {"sidecar_service": {}}})
    held = mirror(state)
    held.services["web"] |= {"CreateIndex": 4, "TaggedAddresses": {"lan_ipv4": {"Address": "10.0.0.1", "Port": 80}}}
    assert not full_steps(state, NODE, held)


def test_what_the_host_does_not_know_is_removed_but_serf_health() -> None:
    """The agent is right about its own node; a removed service takes its checks along in one step."""
    held = mirror(scene({"name": "old", "check": {"ttl": "1s"}}))
    held.checks["stray"] = {"CheckID": "stray"}
    assert brief(full_steps(LocalState(), NODE, held)) == ["-old", "-stray"]


def test_each_kind_of_difference_is_seen() -> None:
    """A changed field, a changed check state, a missing check, a moved node, a lapsed lease."""
    state = scene({"name": "web", "port": 80, "tags": ["a"], "meta": {"k": "v"}, "check": {"ttl": "1s"}})
    for key, value in (("Port", 81), ("Tags", []), ("Meta", {"k": "v", "more": "x"}), ("Kind", "")):
        held = mirror(state)
        held.services["web"][key] = value
        assert brief(full_steps(state, NODE, held)) == ([] if key == "Kind" else ["+web"])
    held = mirror(state)
    held.checks["service:web"]["Status"] = "passing"
    assert brief(full_steps(state, NODE, held)) == ["+service:web"]
    held = mirror(state)
    held.checks["serfHealth"]["Status"] = "critical"
    assert brief(full_steps(state, NODE, held)) == ["+node"]
    held = mirror(state)
    assert held.node is not None
    held.node["Address"] = "10.9.9.9"
    assert brief(full_steps(state, NODE, held)) == ["+node"]


def test_quiet_checks_may_differ_in_output() -> None:
    """A deferred output is not a difference yet."""
    state = scene({"name": "web", "check": {"ttl": "1s"}})
    held = mirror(state)
    state.beat("service:web", Health.CRITICAL, "new text", 1)
    assert brief(full_steps(state, NODE, held)) == ["+service:web"]
    assert not full_steps(state, NODE, held, {"service:web"})


def test_partial_rounds_tell_only_what_changed() -> None:
    """A service with its checks, a check alone, and what is gone."""
    state = scene({"name": "web", "check": {"ttl": "1s"}}, {"name": "api"})
    steps = partial_steps(state, NODE, Dirty({"web", "gone"}, {"service:web", "service:gone"}))
    assert brief(steps) == ["-gone", "+web", "-service:gone"]
    assert steps[1].body["SkipNodeUpdate"] is True


def test_tags_set_in_the_catalog_stay_if_the_service_allows_it() -> None:
    """EnableTagOverride: others may tag; our next registration does not undo it."""
    state = scene({"name": "web", "tags": ["a"], "enable_tag_override": True})
    held = mirror(state)
    held.services["web"]["Tags"] = ["theirs"]
    assert not full_steps(state, NODE, held)
    held.services["web"]["Port"] = 9
    step = full_steps(state, NODE, held)[0]
    assert step.body["Service"]["Tags"] == ["theirs"]


def test_leaving_takes_the_whole_node_away() -> None:
    """One step without service or check."""
    assert leave_steps(NODE, Held(), frozenset({"consul"})) == [Deregister({"Datacenter": "dc1", "Node": "vm1"})]


def test_leaving_a_shared_node_takes_out_what_is_ours() -> None:
    """Not the node, nor what others keep on it."""
    services = {"consul": {}, "web": {}}
    checks = {"serfHealth": {}, "c": {"ServiceID": "web"}, "d": {}, "e": {"ServiceID": "consul"}}
    steps = leave_steps(NODE, Held({}, services, checks), frozenset({"consul"}))
    assert [(step.service_id, getattr(step, "check_id", "")) for step in steps] == [("web", ""), ("", "d")]
    assert all(isinstance(step, Deregister) for step in steps)


def test_steps_carry_the_token_of_what_they_tell() -> None:
    """So that the catalog judges them by it."""
    state = scene({"name": "web", "token": "t", "check": {"ttl": "1s"}})
    assert [step.token for step in partial_steps(state, NODE, Dirty({"web"}, set()))] == ["t"]
    assert [step.token for step in partial_steps(state, NODE, Dirty(set(), {"service:web"}))] == ["t"]
    state.drop_service("web", 0)
    assert [step.token for step in partial_steps(state, NODE, Dirty({"web"}, {"service:web"}))] == ["t", "t"]
