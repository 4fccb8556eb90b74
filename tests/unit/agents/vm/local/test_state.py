"""The local state: what each verb changes, and what its listeners hear."""

import pytest

from agents.vm.definition.keys import read_struct
from agents.vm.definition.services import service_definition
from agents.vm.definition.shapes import ServiceShape
from agents.vm.definition.values import AliasProbe, CheckDefinition, ServiceDefinition, TcpProbe, TtlProbe
from agents.vm.local.entries import Change, LocalError, Origin, Topic, UnknownEntryError
from agents.vm.local.state import SIDECAR_PORTS, LocalState, bounded
from agents.vm.thresholds import Thresholds
from mesh.model.endpoint import Health


def service(**raw: object) -> ServiceDefinition:
    return service_definition(read_struct(raw, ServiceShape), node="vm1")


def ttl(check_id: str, service_id: str = "") -> CheckDefinition:
    return CheckDefinition(check_id, check_id, TtlProbe(1.0), service_id)


def listening() -> tuple[LocalState, list[Change]]:
    state, heard = LocalState(), []
    state.subscribe(heard.append)
    return state, heard


def test_registering_twice_changes_nothing() -> None:
    """An identical registration is silent and keeps the state of its checks."""
    state, heard = listening()
    web = service(name="web", check={"ttl": "1s"})
    state.put_service(web, Origin.API, 0)
    state.beat("service:web", Health.PASSING, "fine", 1)
    heard.clear()
    state.put_service(web, Origin.API, 2)
    assert not heard
    assert state.checks["service:web"].status is Health.PASSING


def test_replacing_checks_is_asked_for() -> None:
    """Old checks stay unless the caller says otherwise (Consul: replace-existing-checks)."""
    state = LocalState()
    state.put_service(service(name="web", checks=[{"id": "a", "ttl": "1s"}]), Origin.API, 0)
    state.put_service(service(name="web", checks=[{"id": "b", "ttl": "1s"}]), Origin.API, 0)
    assert sorted(state.checks) == ["a", "b"]
    state.put_service(service(name="web", checks=[{"id": "b", "ttl": "1s"}]), Origin.API, 0, replace_checks=True)
    assert sorted(state.checks) == ["b"]


def test_a_sidecar_comes_and_goes_with_its_service() -> None:
    """The second registration gets a free port, keeps it, and leaves with the first."""
    state = LocalState()
    with_sidecar = service(name="web", port=80, connect={"sidecar_service": {}})
    state.put_service(service(name="squatter", port=21000), Origin.API, 0)
    state.put_service(with_sidecar, Origin.API, 0)
    sidecar = state.services["web-sidecar-proxy"]
    assert (sidecar.definition.port, sidecar.parent) == (21001, "web")
    assert [type(one.definition.probe) for one in state.checks_of("web-sidecar-proxy")] == [TcpProbe, AliasProbe]
    state.put_service(service(name="web", port=81, connect={"sidecar_service": {}}), Origin.API, 0)
    assert state.services["web-sidecar-proxy"].definition.port == 21001
    state.drop_service("web", 0)
    assert list(state.services) == ["squatter"]
    assert not state.checks


def test_a_service_that_gives_up_its_sidecar_loses_it() -> None:
    """Registered again without one, the sidecar is gone."""
    state = LocalState()
    state.put_service(service(name="web", port=80, connect={"sidecar_service": {}}), Origin.API, 0)
    state.put_service(service(name="web", port=80), Origin.API, 0)
    assert list(state.services) == ["web"]


def test_when_no_sidecar_port_is_free_nothing_is_registered() -> None:
    """The caller is told, and half a registration does not stay."""
    state = LocalState()
    for port in SIDECAR_PORTS:
        state.put_service(service(name=f"s{port}", port=port), Origin.API, 0)
    with pytest.raises(LocalError, match="no sidecar port"):
        state.put_service(service(name="web", port=80, connect={"sidecar_service": {}}), Origin.API, 0)
    assert "web" not in state.services


def test_aliases_follow_their_service() -> None:
    """A sidecar's alias shows the worst check of its service, at once; gone means critical."""
    state = LocalState()
    state.put_service(service(name="web", port=80, check={"ttl": "1s"}, connect={"sidecar_service": {}}), Origin.API, 0)
    alias = "service:web-sidecar-proxy:2"
    assert state.checks[alias].status is Health.CRITICAL
    state.beat("service:web", Health.WARNING, "slow", 1)
    assert state.checks[alias].status is Health.WARNING
    state.beat("service:web", Health.PASSING, "", 2)
    assert state.checks[alias].status is Health.PASSING
    state.put_check(CheckDefinition("lone", "lone", AliasProbe("web")), Origin.API, 3)
    state.drop_service("web", 4)
    assert state.checks["lone"].status is Health.CRITICAL
    assert state.checks["lone"].critical_since_s == 4


def test_aliases_of_each_other_come_to_rest() -> None:
    """Two services that alias one another do not spin."""
    state = LocalState()
    for one, other in (("a", "b"), ("b", "a")):
        state.put_service(service(name=one, check={"id": f"alias-{one}", "alias_service": other}), Origin.API, 0)
    assert {entry.status for entry in state.checks.values()} <= {Health.PASSING, Health.CRITICAL}


def test_output_alone_is_told_as_such() -> None:
    """A changed text is news of a lesser kind; an equal result is none."""
    state, heard = listening()
    state.put_check(CheckDefinition("c", "c", TcpProbe("h", 1, 1, 1)), Origin.API, 0)
    heard.clear()
    state.observe("c", Health.CRITICAL, "refused", 1)
    state.observe("c", Health.CRITICAL, "refused", 2)
    state.observe("c", Health.PASSING, "ok", 3)
    assert heard == [Change(Topic.CHECK, "c", output_only=True), Change(Topic.CHECK, "c")]


def test_thresholds_are_applied_and_critical_since_is_kept() -> None:
    """The time since a check is critical counts from its first critical state."""
    state = LocalState()
    check = CheckDefinition("c", "c", TcpProbe("h", 1, 1, 1), thresholds=Thresholds(0, 2, 2), initial=Health.PASSING)
    state.put_check(check, Origin.API, 0)
    state.observe("c", Health.CRITICAL, "", 1)
    assert state.checks["c"].critical_since_s is None
    state.observe("c", Health.CRITICAL, "", 2)
    state.observe("c", Health.CRITICAL, "", 9)
    assert state.checks["c"].critical_since_s == 2
    state.observe("gone", Health.CRITICAL, "", 9)


def test_unknown_entries_are_the_callers_error() -> None:
    """404 with the ID in the text."""
    state = LocalState()
    for act in (
        lambda: state.drop_service("x", 0),
        lambda: state.drop_check("x", 0),
        lambda: state.beat("x", Health.PASSING, "", 0),
        lambda: state.put_check(ttl("c", "x"), Origin.API, 0),
        lambda: state.maintain("x", "", 0, enable=True),
    ):
        with pytest.raises(UnknownEntryError, match='"x"') as caught:
            act()
        assert caught.value.status == 404


def test_only_ttl_checks_take_beats_and_serf_health_is_ours() -> None:
    """A beat for a check that is run is refused; so is a check with the agent's own ID."""
    state = LocalState()
    state.put_check(CheckDefinition("c", "c", TcpProbe("h", 1, 1, 1)), Origin.API, 0)
    with pytest.raises(LocalError, match="TTL"):
        state.beat("c", Health.PASSING, "", 0)
    with pytest.raises(LocalError, match="serfHealth"):
        state.put_check(ttl("serfHealth"), Origin.API, 0)


def test_maintenance_is_a_critical_check_that_can_be_ended() -> None:
    """For a service and for the whole node; ending what is not on is no error."""
    state = LocalState()
    state.put_service(service(name="web"), Origin.API, 0)
    state.maintain("web", "disk swap", 0, enable=True)
    state.maintain("", "", 0, enable=True)
    assert state.checks["_service_maintenance:web"].definition.notes == "disk swap"
    assert state.checks["_node_maintenance"].status is Health.CRITICAL
    state.put_service(service(name="web", port=1), Origin.API, 0, replace_checks=True)
    assert "_service_maintenance:web" in state.checks
    for _ in range(2):
        state.maintain("web", "", 0, enable=False)
        state.maintain("", "", 0, enable=False)
    assert not state.checks


def test_output_is_cut_between_characters() -> None:
    """The bound is in bytes and never splits a character."""
    assert bounded("äöü", 3) == "ä"
    assert bounded("abc", 3) == "abc"


def test_an_alias_of_the_node_follows_the_nodes_checks() -> None:
    """Not itself; and one of another node is not this state's to say."""
    state = LocalState()
    state.put_service(service(name="web", check={"alias_node": "vm1"}), Origin.API, 0)
    state.put_check(CheckDefinition("remote", "r", AliasProbe("db", "vm2")), Origin.API, 0)
    assert state.checks["remote"].status is Health.CRITICAL
    state.put_check(CheckDefinition("own", "o", AliasProbe()), Origin.API, 0)
    state.drop_check("remote", 0)
    assert state.checks["own"].status is Health.PASSING
    state.maintain("", "", 1, enable=True)
    assert state.checks["own"].status is Health.CRITICAL
    state.maintain("", "", 1, enable=False)
    assert state.checks["own"].status is Health.PASSING


def test_tokens_outlive_their_registration() -> None:
    """A deregistration is told with the token of the registration; a check has its service's unless it has its own."""
    state = LocalState()
    state.put_service(
        service(name="web", token="t1", checks=[{"ttl": "1s"}, {"ttl": "1s", "token": "t2"}]), Origin.API, 0
    )
    names = ["service:web:1", "service:web:2"]
    assert [state.token_of(check_id=name) for name in names] == ["t1", "t2"]
    state.drop_service("web", 0)
    assert [state.token_of(check_id=name) for name in names] == ["t1", "t2"]
    assert (state.token_of(service_id="web"), state.token_of(service_id="x"), state.token_of(check_id="x")) == (
        "t1",
        "",
        "",
    )
    state.put_service(service(name="web"), Origin.API, 0)
    state.drop_service("web", 0)
    assert state.token_of(service_id="web") == ""
