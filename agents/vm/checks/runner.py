"""One task a check: run, record, sleep. Follows the local state: a check that goes is cancelled, a changed one restarts.

It must never let one check's trouble reach another, and never run more than a fixed number of probes at once.
"""

import math
from collections.abc import Callable

import msgspec
import trio

from agents.vm.checks.probe import Prober
from agents.vm.checks.remote import NoRemote, RemoteAwayError, RemoteHealth
from agents.vm.checks.result import Result
from agents.vm.definition.values import AliasProbe, CheckDefinition, MaintenanceProbe, RunProbe, TtlProbe
from agents.vm.local.entries import Change, Topic
from agents.vm.local.state import LocalState
from mesh.model.endpoint import Health

MAX_AT_ONCE = 32
FIRST_RUN_WITHIN_S = 2.0
REAP_EVERY_S = 5.0
REMOTE_RETRY_S = 10.0
REMOTE_PAUSE_S = 0.5
"""The least time between two looks at a remote alias, so that a busy node costs little."""

Spread = Callable[[float], float]
"""Something random between 0 and its argument (seconds)."""


class _Running(msgspec.Struct):
    """A check's task. `beaten` is replaced at every beat of a TTL check."""

    definition: CheckDefinition
    scope: trio.CancelScope
    beaten: trio.Event


class CheckRunner:
    """Runs the checks of `local` until cancelled."""

    def __init__(self, local: LocalState, prober: Prober, spread: Spread, remote: RemoteHealth | None = None) -> None:
        self._remote = remote or NoRemote()
        self._local = local
        self._prober = prober
        self._spread = spread
        self._slots = trio.Semaphore(MAX_AT_ONCE)
        self._running: dict[str, _Running] = {}
        self._nursery: trio.Nursery | None = None
        local.subscribe(self._on_change)

    async def run(self) -> None:
        """Run every check, follow the state's changes, and take away services that were critical for too long."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for check_id in list(self._local.checks):
                self._follow(check_id)
            await self._reap()

    def _on_change(self, change: Change) -> None:
        if change.topic is Topic.CHECK and self._nursery is not None:
            self._follow(change.id)

    def _follow(self, check_id: str) -> None:
        """Make the task of `check_id` what the state says it should be."""
        assert self._nursery is not None
        entry = self._local.checks.get(check_id)
        running = self._running.get(check_id)
        if running is not None:
            if entry is not None and entry.definition == running.definition:
                running.beaten.set()
                return
            running.scope.cancel()
            del self._running[check_id]
        if entry is not None and _is_run(entry.definition.probe):
            task = _Running(entry.definition, trio.CancelScope(), trio.Event())
            self._running[check_id] = task
            self._nursery.start_soon(self._one, task, name=f"check {check_id}")

    async def _one(self, task: _Running) -> None:
        with task.scope:
            probe = task.definition.probe
            if isinstance(probe, TtlProbe):
                await self._watch_ttl(task, probe)
            elif isinstance(probe, AliasProbe):
                await self._follow_remote(task.definition, probe)
            elif not isinstance(probe, MaintenanceProbe):
                await self._probe_for_ever(task.definition, probe)

    async def _probe_for_ever(self, check: CheckDefinition, probe: RunProbe) -> None:
        await trio.sleep(self._spread(min(probe.interval_s, FIRST_RUN_WITHIN_S)))
        while True:
            async with self._slots:
                result = await self._run_once(check, probe)
            self._local.observe(check.check_id, result.status, result.output, trio.current_time())
            await trio.sleep(probe.interval_s)

    async def _run_once(self, check: CheckDefinition, probe: RunProbe) -> Result:
        """One run; survives anything a probe's libraries may raise, so that one odd answer cannot end the agent."""
        try:
            return await self._prober.run(probe, check.output_max_bytes)
        except Exception as error:  # noqa: BLE001 - a task root: the check is critical and says why, the agent lives
            return Result(Health.CRITICAL, f"the probe failed: {type(error).__name__}: {error}"[:300])

    async def _follow_remote(self, check: CheckDefinition, probe: AliasProbe) -> None:
        """Show what the catalog knows of another node, as it changes; while it cannot say, the check is critical."""
        index = 0
        while True:
            pause_s = REMOTE_PAUSE_S
            try:
                fresh, result = await self._remote.look(probe, check.token, index)
                index = fresh if fresh >= index else 0
                if not fresh:
                    pause_s = REMOTE_RETRY_S
            except RemoteAwayError as error:
                index, pause_s = 0, REMOTE_RETRY_S + self._spread(REMOTE_RETRY_S)
                result = Result(Health.CRITICAL, f"the catalog cannot say: {error}"[:300])
            self._local.observe(check.check_id, result.status, result.output, trio.current_time())
            await trio.sleep(pause_s)

    async def _watch_ttl(self, task: _Running, probe: TtlProbe) -> None:
        check_id = task.definition.check_id
        while True:
            entry = self._local.checks[check_id]
            left_s = entry.beat_s + probe.ttl_s - trio.current_time()
            if left_s <= 0:
                late = (
                    f"TTL expired (last output before timeout follows): {entry.output}"
                    if entry.output
                    else "TTL expired"
                )
                if not entry.output.startswith("TTL expired"):
                    self._local.observe(check_id, Health.CRITICAL, late, trio.current_time())
                left_s = math.inf
            task.beaten = trio.Event()
            with trio.move_on_after(left_s):
                await task.beaten.wait()

    async def _reap(self) -> None:
        """Deregister services whose check stayed critical longer than its definition allows."""
        while True:
            await trio.sleep(REAP_EVERY_S)
            now_s = trio.current_time()
            for entry in list(self._local.checks.values()):
                after_s, service_id = entry.definition.deregister_after_s, entry.definition.service_id
                if not after_s or entry.critical_since_s is None or now_s - entry.critical_since_s < after_s:
                    continue
                if service_id in self._local.services:
                    self._local.drop_service(service_id, now_s)


def _is_run(probe: object) -> bool:
    """Whether a check has a task: the local state itself keeps aliases on this host and maintenance."""
    return not isinstance(probe, MaintenanceProbe) and not (isinstance(probe, AliasProbe) and not probe.node)
