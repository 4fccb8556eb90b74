"""The proxy as a whole: composition of its two sides over one ring, its life from start to drained.

It wires, it never decides.
"""

import msgspec
import trio

from mesh.identity.live import LiveIdentity
from mesh.proxy.settings import ProxySettings
from mesh.sync.holder import SnapshotHolder
from mesh.telemetry.access_log import AccessLog
from mesh.telemetry.metrics import Metrics


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

    async def run(self, task_status: trio.TaskStatus[BoundPorts] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and serve; `task_status` gets the ports once everything listens."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Stop accepting, say goodbye (GOAWAY, `Connection: close`), wait up to `timeouts.drain_s`, cut the rest; `run` then returns."""
        raise NotImplementedError
