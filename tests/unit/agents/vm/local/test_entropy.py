"""Anti-entropy under virtual time: at once on a change, whole every minute, patient when the catalog is away."""

import pytest
import trio
import trio.testing

from agents.vm.definition.values import CheckDefinition, ServiceDefinition, TtlProbe
from agents.vm.local.entries import Origin
from agents.vm.local.entropy import AntiEntropy, EntropySettings
from agents.vm.local.forms import Json, NodeFacts
from agents.vm.local.reconcile import Held, Register, Step
from agents.vm.local.registrar import ForbiddenError, RefusedError, RegistrarError
from agents.vm.local.state import LocalState
from mesh.model.endpoint import Health

NODE = NodeFacts("vm1", "10.0.0.1")


class FakeRegistrar:
    """A catalog of one node; it can be away, and can refuse some services."""

    def __init__(self) -> None:
        self.node: Json | None = None
        self.services: dict[str, Json] = {}
        self.checks: dict[str, Json] = {}
        self.away = False
        self.refuses: set[str] = set()
        self.refuses_node: RefusedError | None = None
        self.reads: list[float] = []
        self.writes = 0

    async def held(self, node: str) -> Held:
        assert node == "vm1"
        self.reads.append(trio.current_time())
        self._answer()
        return Held(self.node, dict(self.services), dict(self.checks))

    async def apply(self, step: Step) -> None:
        self._answer()
        if self.refuses_node is not None and not step.service_id:
            raise self.refuses_node
        if step.service_id in self.refuses:
            raise RefusedError(f"no {step.service_id} here")
        self.writes += 1
        body = step.body
        if not isinstance(step, Register):
            self.services.pop(body.get("ServiceID", ""), None)
            self.checks.pop(body.get("CheckID", ""), None)
            return
        self.node = {"Address": body["Address"], "Meta": body["NodeMeta"]}
        if "Service" in body:
            self.services[body["Service"]["ID"]] = body["Service"]
        for check in body.get("Checks", [body["Check"]] if "Check" in body else []):
            self.checks[check["CheckID"]] = check

    def _answer(self) -> None:
        if self.away:
            raise RegistrarError("away")


def build(registrar: FakeRegistrar) -> tuple[LocalState, AntiEntropy]:
    state = LocalState()
    return state, AntiEntropy(state, NODE, registrar, lambda _: 0.0, EntropySettings())


def put(state: LocalState, name: str, *checks: CheckDefinition) -> None:
    state.put_service(ServiceDefinition(name, name, checks=checks), Origin.API, trio.current_time())


async def test_changes_are_told_at_once(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    """A registration is in the catalog without any time passing."""
    registrar = FakeRegistrar()
    state, sync = build(registrar)
    nursery.start_soon(sync.run)
    await sync.wait_told(1)
    put(state, "web", CheckDefinition("c", "c", TtlProbe(1), "web"))
    assert await sync.wait_told(1)
    state.beat("c", Health.PASSING, "", 0)
    assert await sync.wait_told(1)
    assert registrar.checks["c"]["Status"] == "passing"
    state.drop_service("web", 0)
    assert await sync.wait_told(1)
    assert not registrar.services
    assert set(registrar.checks) == {"serfHealth"}
    assert autojump_clock.current_time() == trio.current_time()
    assert len(registrar.reads) == 1


async def test_a_full_round_every_minute_mends_the_catalog(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """What someone else did to our node in the catalog is undone within a minute."""
    del autojump_clock
    registrar = FakeRegistrar()
    state, sync = build(registrar)
    put(state, "web")
    nursery.start_soon(sync.run)
    await sync.wait_told(1)
    registrar.services = {"stranger": {"Service": "stranger"}}
    await trio.sleep(61)
    assert list(registrar.services) == ["web"]


async def test_an_outage_loses_nothing_and_is_retried_with_back_off(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """Changes made while the catalog is away are there soon after it is back; tries grow apart up to 15 s."""
    del autojump_clock
    registrar = FakeRegistrar()
    state, sync = build(registrar)
    nursery.start_soon(sync.run)
    await sync.wait_told(1)
    registrar.away = True
    put(state, "web")
    assert not await sync.wait_told(5)
    assert sync.problem == "away"
    await trio.sleep(120)
    gaps = [round(b - a, 1) for a, b in zip(registrar.reads[1:], registrar.reads[2:], strict=False)]
    assert gaps[:5] == [1.0, 2.0, 4.0, 8.0, 15.0]
    registrar.away = False
    await trio.sleep(15)
    assert list(registrar.services) == ["web"]
    assert sync.is_settled


async def test_a_refused_service_does_not_hold_up_the_others(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """One bad name leaves the rest registered, and is tried again by the next full round."""
    del autojump_clock
    registrar = FakeRegistrar()
    registrar.refuses = {"api"}
    state, sync = build(registrar)
    for name in ("api", "web"):
        put(state, name)
    nursery.start_soon(sync.run)
    await sync.wait_told(1)
    assert list(registrar.services) == ["web"]
    assert sync.refused == {"service 'api'": "no api here"}
    registrar.refuses = set()
    await trio.sleep(61)
    assert sorted(registrar.services) == ["api", "web"]
    assert not sync.refused


async def test_a_node_that_may_not_be_told_does_not_hold_up_its_services(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """The rules refuse its network, say: that is reported as the node's own, and each service is judged by itself."""
    del autojump_clock
    registrar = FakeRegistrar()
    registrar.refuses_node = ForbiddenError("403 was not granted the network 'lyon'")
    state, sync = build(registrar)
    put(state, "web")
    nursery.start_soon(sync.run)
    assert await sync.wait_told(1)
    assert list(registrar.services) == ["web"]
    assert sync.refused == {"node 'vm1' itself": "403 was not granted the network 'lyon'"}
    assert "the catalog refuses node 'vm1' itself: 403 was not granted the network 'lyon'" in caplog.text
    registrar.refuses_node = None
    registrar.node = None
    await trio.sleep(61)
    assert not sync.refused


async def test_trouble_with_the_node_itself_is_tried_again_soon(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """A refusal that is not the rules' stops the round: nothing else can work before it does."""
    del autojump_clock
    registrar = FakeRegistrar()
    registrar.refuses_node = RefusedError("500 odd")
    state, sync = build(registrar)
    put(state, "web")
    nursery.start_soon(sync.run)
    assert not await sync.wait_told(1)
    assert (sync.problem, registrar.services) == ("500 odd", {})


async def test_output_alone_waits_five_minutes(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    """A check that only talks does not churn the catalog; a change of state takes its text along at once."""
    del autojump_clock
    registrar = FakeRegistrar()
    state, sync = build(registrar)
    put(state, "web", CheckDefinition("c", "c", TtlProbe(1000), "web"))
    nursery.start_soon(sync.run)
    await sync.wait_told(1)
    writes = registrar.writes
    for second in range(290):
        state.beat("c", Health.CRITICAL, f"text {second}", trio.current_time())
        await trio.sleep(1)
    assert registrar.writes == writes
    await trio.sleep(15)
    assert registrar.checks["c"]["Output"] == "text 289"
    state.beat("c", Health.PASSING, "well", trio.current_time())
    await sync.wait_told(1)
    assert registrar.checks["c"]["Output"] == "well"


async def test_others_on_the_node_are_left_alone(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    """A catalog on the same machine keeps its own service under the same node: no round and no leaving takes it out."""
    del autojump_clock
    registrar = FakeRegistrar()
    registrar.services = {"consul": {"Service": "consul"}, "old": {"Service": "old"}}
    state = LocalState()
    sync = AntiEntropy(state, NODE, registrar, lambda _: 0.0, foreign=frozenset({"consul"}))
    put(state, "web")
    nursery.start_soon(sync.run)
    await sync.wait_told(1)
    assert sorted(registrar.services) == ["consul", "web"]
    await sync.leave()
    assert sorted(registrar.services) == ["consul"]


async def test_leaving_deregisters_the_node(autojump_clock: trio.testing.MockClock) -> None:
    """One call, and its failure is told to the caller."""
    del autojump_clock
    registrar = FakeRegistrar()
    _, sync = build(registrar)
    await sync.leave()
    assert registrar.writes == 1
