"""The proxy as a whole: its two sides over one ring, its life from start to drained.

It wires, it never decides.
"""

import contextlib

import msgspec
import trio

from mesh.identity.live import LiveIdentity
from mesh.model.snapshot import Snapshot
from mesh.proxy.inbound.side import InboundSide
from mesh.proxy.outbound.directory import Directory
from mesh.proxy.outbound.side import OutboundSide
from mesh.proxy.parts import Parts
from mesh.proxy.record import Recorder
from mesh.proxy.settings import ProxySettings
from mesh.sync.holder import SnapshotHolder
from mesh.telemetry.access_log import AccessLog
from mesh.telemetry.metrics import Metrics
from mesh.transport.ring import Ring
from mesh.transport.sweep import Sweep

_DRAIN_LOOK_S = 0.1
_LINGER_S = 0.001
"""How long the ring waits for more before trio's other tasks get their turn; they may be as much late."""


class BoundPorts(msgspec.Struct, frozen=True):
    """Where a running proxy listens: the mesh port (0: no inbound side) and one port for each upstream service."""

    inbound: int
    upstreams: dict[str, int]


class Proxy:
    """One sidecar. `run` serves until cancelled or drained; `drain` ends it without breaking what is under way."""

    def __init__(
        self,
        settings: ProxySettings,
        snapshots: SnapshotHolder,
        identity: LiveIdentity,
        metrics: Metrics,
        access_log: AccessLog,
    ) -> None:
        self._settings = settings
        self._snapshots = snapshots
        self._identity = identity
        self._metrics = metrics
        self._access_log = access_log
        self._inbound: InboundSide | None = None
        self._outbound: OutboundSide | None = None
        self._scope: trio.CancelScope | None = None

    async def run(self, task_status: trio.TaskStatus[BoundPorts] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and serve; `task_status` gets the ports once everything listens."""
        ring = Ring(linger_s=_LINGER_S)
        unsubscribe = self._snapshots.subscribe(self._on_snapshot)
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                await nursery.start(ring.run)
                nursery.start_soon(self._access_log.run)
                ports = self._open(ring, nursery)
                nursery.start_soon(self._follow_identity)
                task_status.started(ports)
        finally:
            unsubscribe()
            for side in (self._inbound, self._outbound):
                if side is not None:
                    side.close()
            ring.close()

    def _open(self, ring: Ring, nursery: trio.Nursery) -> BoundPorts:
        settings, snapshot, metrics = self._settings, self._snapshots.current, self._metrics
        parts = Parts(
            ring=ring,
            sweep=Sweep(ring),
            nursery=nursery,
            identity=self._identity,
            timeouts=settings.timeouts,
            limits=settings.limits,
        )
        self._compute(ring)
        if settings.inbound is not None:
            recorder = Recorder("destination", ring, metrics, self._access_log)
            self._inbound = InboundSide(parts, settings.inbound, recorder, snapshot)
        recorder = Recorder("source", ring, metrics, self._access_log)
        directory = Directory(parts, snapshot, settings.gateway_mode, metrics)
        self._outbound = OutboundSide(parts, settings.upstreams, recorder, directory, snapshot)
        return BoundPorts(self._inbound.port if self._inbound is not None else 0, self._outbound.ports)

    def _compute(self, ring: Ring) -> None:
        """The gauges that are worked out at scrape."""
        metrics, snapshots, identity = self._metrics, self._snapshots, self._identity
        metrics.ring_failures.compute = lambda: ring.failures
        metrics.catalog_index.compute = lambda: _index(snapshots.current)
        metrics.certificate_expiry.compute = lambda: identity.leaf.not_after_s

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        if self._inbound is not None:
            self._inbound.on_snapshot(snapshot)
        if self._outbound is not None:
            self._outbound.on_snapshot(snapshot)

    async def _follow_identity(self) -> None:
        version = self._identity.version
        while True:
            version = await self._identity.wait_newer(version)
            if self._outbound is not None:
                self._outbound.directory.refresh()
            if self._inbound is not None:
                self._inbound.rotate()

    async def drain(self) -> None:
        """Stop accepting, say goodbye (GOAWAY, `Connection: close`), wait up to `timeouts.drain_s`, cut the rest; `run` then returns."""
        sides = [side for side in (self._inbound, self._outbound) if side is not None]
        for side in sides:
            side.drain()
        with trio.move_on_after(self._settings.timeouts.drain_s):
            while not all(side.is_idle for side in sides):  # noqa: ASYNC110 - many things end it; looking is cheap and rare
                await trio.sleep(_DRAIN_LOOK_S)
        with contextlib.suppress(AttributeError):
            self._scope.cancel()  # type: ignore[union-attr]


def _index(snapshot: Snapshot) -> float:
    """The newest catalog index of anything in the snapshot."""
    parts = [
        snapshot.roots,
        snapshot.intentions,
        snapshot.exports,
        *snapshot.chains.values(),
        *snapshot.endpoints.values(),
    ]
    return max((part.index for part in parts if part is not None), default=0)
