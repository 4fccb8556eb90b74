"""One proxy of the pair: reads its `HopPlan` as JSON on standard input and serves until its parent ends it."""

import os
import sys

import msgspec
import trio

from mesh.identity.leaf import Leaf
from mesh.identity.live import LiveIdentity
from mesh.model.snapshot import Snapshot
from mesh.proxy.runtime import Proxy
from mesh.proxy.settings import ProxySettings
from mesh.sync.holder import SnapshotHolder
from mesh.telemetry.access_log import AccessLog
from mesh.telemetry.metrics import Metrics


class HopPlan(msgspec.Struct, frozen=True):
    """What one proxy is made from. `log` is the access log's path."""

    leaf: Leaf
    snapshot: Snapshot
    settings: ProxySettings
    log: str
    profile: str = ""


async def serve(plan: HopPlan) -> None:
    """Serve; one line on standard output once everything listens."""
    metrics = Metrics()
    fd = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    assert plan.snapshot.roots is not None
    identity = LiveIdentity(plan.leaf, plan.snapshot.roots)
    log = AccessLog(fd, metrics.log_dropped)
    proxy = Proxy(plan.settings, SnapshotHolder(plan.snapshot), identity, metrics, log)
    async with trio.open_nursery() as nursery:
        ports = await nursery.start(proxy.run)
        print(msgspec.json.encode(ports).decode(), flush=True)
        if plan.profile:
            await _profile(plan.profile)


async def _profile(path: str) -> None:
    """Profile for ten seconds whenever SIGUSR1 comes, and write the statistics to `path`."""
    import cProfile
    import signal

    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        async for _ in signals:
            profile = cProfile.Profile()
            profile.enable()
            await trio.sleep(5)
            profile.disable()
            profile.dump_stats(path)


if __name__ == "__main__":
    trio.run(serve, msgspec.json.decode(sys.stdin.buffer.read(), type=HopPlan))
