"""The check runner under virtual time: when probes run, when TTLs lapse, when services are reaped."""

from collections import deque

import trio
import trio.testing

from agents.vm.checks.remote import RemoteAwayError
from agents.vm.checks.result import Result
from agents.vm.checks.runner import MAX_AT_ONCE, REMOTE_RETRY_S, CheckRunner
from agents.vm.definition.values import AliasProbe, CheckDefinition, RunProbe, ServiceDefinition, TcpProbe, TtlProbe
from agents.vm.local.entries import Origin
from agents.vm.local.state import LocalState
from mesh.model.endpoint import Health


class ScriptedProber:
    """Answers from a script, then passes; may take time; notes how many run at once."""

    def __init__(self, *results: Health, takes_s: float = 0.0) -> None:
        self.results = deque(results)
        self.takes_s = takes_s
        self.times: list[float] = []
        self.now, self.most = 0, 0
        self.breaks = False

    async def run(self, probe: RunProbe, output_max_bytes: int) -> Result:
        assert output_max_bytes == 4096
        self.times.append(trio.current_time())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await trio.sleep(self.takes_s)
        finally:
            self.now -= 1
        if self.breaks:
            raise RuntimeError("a library's surprise")
        return Result(self.results.popleft() if self.results else Health.PASSING, f"probe {probe.interval_s:g}")


def tcp(
    check_id: str, service_id: str = "", interval_s: float = 10.0, deregister_after_s: float = 0
) -> CheckDefinition:
    probe = TcpProbe("h", 1, interval_s, 1)
    return CheckDefinition(check_id, check_id, probe, service_id, deregister_after_s=deregister_after_s)


def start(nursery: trio.Nursery, prober: ScriptedProber, spread: float = 0.0) -> LocalState:
    state = LocalState()
    runner = CheckRunner(state, prober, lambda limit_s: min(spread, limit_s))
    nursery.start_soon(runner.run)
    return state


async def test_a_check_runs_at_its_interval_after_a_spread_start(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """First within two seconds, then every interval; results show in the state."""
    del autojump_clock
    prober = ScriptedProber(Health.PASSING, Health.CRITICAL)
    state = start(nursery, prober, spread=99.0)
    await trio.testing.wait_all_tasks_blocked()
    begin = trio.current_time()
    state.put_check(tcp("c"), Origin.API, begin)
    await trio.sleep(5)
    assert state.checks["c"].status is Health.PASSING
    await trio.sleep(10)
    assert state.checks["c"].status is Health.CRITICAL
    assert [time - begin for time in prober.times] == [2.0, 12.0]


async def test_a_removed_or_changed_check_stops(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    """Its task ends at once, a running probe included; a changed one starts over with its new interval."""
    del autojump_clock
    prober = ScriptedProber(takes_s=5)
    state = start(nursery, prober)
    await trio.testing.wait_all_tasks_blocked()
    state.put_check(tcp("c"), Origin.API, 0)
    await trio.sleep(1)
    assert prober.now == 1
    state.drop_check("c", 0)
    await trio.sleep(0.1)
    assert prober.now == 0
    state.put_check(tcp("c"), Origin.API, 0)
    state.put_check(tcp("c", interval_s=100), Origin.API, 0)
    await trio.sleep(50)
    assert len(prober.times) == 2


async def test_a_surprise_in_a_probe_is_a_critical_result(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """The agent outlives it and goes on probing."""
    del autojump_clock
    prober = ScriptedProber()
    prober.breaks = True
    state = start(nursery, prober)
    state.put_check(tcp("c"), Origin.API, 0)
    await trio.sleep(1)
    assert "a library's surprise" in state.checks["c"].output
    prober.breaks = False
    await trio.sleep(10)
    assert state.checks["c"].status is Health.PASSING


async def test_probes_at_once_are_bounded(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    """A host with many checks does not start them all together."""
    del autojump_clock
    prober = ScriptedProber(takes_s=1)
    state = start(nursery, prober)
    for number in range(100):
        state.put_check(tcp(f"c{number}"), Origin.API, 0)
    await trio.sleep(9)
    assert prober.most == MAX_AT_ONCE
    assert len(prober.times) == 100


async def test_a_ttl_lapses_on_time_and_recovers(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    """100 ms without a beat is critical, with the last word kept; the next beat mends it."""
    del autojump_clock
    state = start(nursery, ScriptedProber())
    await trio.testing.wait_all_tasks_blocked()
    state.put_check(CheckDefinition("t", "t", TtlProbe(0.1)), Origin.API, trio.current_time())
    for _ in range(5):
        state.beat("t", Health.PASSING, "busy", trio.current_time())
        await trio.sleep(0.09)
        assert state.checks["t"].status is Health.PASSING
    await trio.sleep(0.011)
    assert state.checks["t"].status is Health.CRITICAL
    assert state.checks["t"].output == "TTL expired (last output before timeout follows): busy"
    await trio.sleep(1)
    state.beat("t", Health.PASSING, "", trio.current_time())
    await trio.sleep(0.05)
    assert state.checks["t"].status is Health.PASSING
    await trio.sleep(0.06)
    assert state.checks["t"].output == "TTL expired"


async def test_a_service_critical_for_too_long_is_deregistered(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """Not before its time, soon after it; a recovery starts the count again."""
    del autojump_clock
    prober = ScriptedProber(*[Health.CRITICAL] * 5, Health.PASSING, *[Health.CRITICAL] * 100)
    state = start(nursery, prober)
    check = tcp("c", "web", deregister_after_s=60)
    state.put_service(ServiceDefinition("web", "web", checks=(check,)), Origin.API, trio.current_time())
    await trio.sleep(110)
    assert "web" in state.services
    await trio.sleep(20)
    assert "web" not in state.services
    assert not state.checks


class FarNode:
    """Another node: its index moves when its state is set."""

    def __init__(self) -> None:
        self.status, self.index = Health.PASSING, 5
        self.is_away = False
        self.asked: list[int] = []
        self.changed = trio.Event()

    def set(self, status: Health) -> None:
        self.status, self.index = status, self.index + 1
        self.changed.set()
        self.changed = trio.Event()

    async def look(self, probe: AliasProbe, token: str, index: int) -> tuple[int, Result]:
        assert (probe, token) == (AliasProbe("db", "vm2"), "t")
        self.asked.append(index)
        if self.is_away:
            raise RemoteAwayError("gone")
        with trio.move_on_after(60):
            while index >= self.index:
                await self.changed.wait()
        return self.index, Result(self.status, str(self.status))


async def test_an_alias_of_another_node_follows_the_catalog(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """At once, by index; critical while the catalog cannot say, and it is asked again later."""
    del autojump_clock
    far, state = FarNode(), LocalState()
    nursery.start_soon(CheckRunner(state, ScriptedProber(), lambda _: 0.0, far).run)
    await trio.testing.wait_all_tasks_blocked()
    state.put_check(CheckDefinition("c", "c", AliasProbe("db", "vm2"), token="t"), Origin.API, 0)
    await trio.sleep(2)
    assert (state.checks["c"].status, state.checks["c"].output) == (Health.PASSING, "passing")
    began_s = trio.current_time()
    far.set(Health.WARNING)
    await trio.testing.wait_all_tasks_blocked()
    assert (state.checks["c"].status, trio.current_time() - began_s) == (Health.WARNING, 0.0)
    far.is_away = True
    far.set(Health.PASSING)
    await trio.sleep(2)
    assert "the catalog cannot say: gone" in state.checks["c"].output
    far.is_away = False
    await trio.sleep(REMOTE_RETRY_S)
    assert state.checks["c"].status is Health.PASSING
    assert far.asked[:3] == [0, 5, 6]


async def test_without_a_catalog_such_an_alias_is_critical(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """And an alias on this host has no task at all."""
    del autojump_clock
    state = start(nursery, ScriptedProber())
    await trio.testing.wait_all_tasks_blocked()
    state.put_check(CheckDefinition("far", "c", AliasProbe("db", "vm2")), Origin.API, 0)
    state.put_check(CheckDefinition("near", "c", AliasProbe()), Origin.API, 0)
    await trio.sleep(1)
    assert "no catalog to ask" in state.checks["far"].output
    assert state.checks["near"].status is Health.CRITICAL
