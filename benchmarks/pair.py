"""Our two hops in front of an application, in the foreground: no catalog, an authority in memory, policy, metrics and log on.

`python -m benchmarks.pair --app 127.0.0.1:9000 --l4 9701 --l7 9702`, then any load tool on the two ports. Three proxies run:
the caller's (both ports), and the callee's twice, once for a TCP service and once for an HTTP service, both before the same application.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.hop import HopPlan
from mesh.identity.leaf import Leaf
from mesh.model.chain import Chain, Leg, Route, Target
from mesh.model.endpoint import Endpoint, EndpointSet
from mesh.model.intention import Action, HttpMatch, Intention, IntentionSet, Permission
from mesh.model.snapshot import Local, Roots, Snapshot
from mesh.proxy.settings import InboundSettings, ProxySettings, Upstream

TRUST_DOMAIN = "bench.mesh"
DATACENTER = "dc1"
CALLER, HTTP, TCP = "web", "api", "db"
_LOG_MOST_BYTES = 64 << 20


class Identities(msgspec.Struct, frozen=True):
    """What `benchmarks.identities` prints."""

    roots: Roots
    leaves: dict[str, Leaf]


def identities() -> Identities:
    """A root and three leaves, made in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.identities", CALLER, HTTP, TCP]
    return msgspec.json.decode(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout, type=Identities)


def callee(service: str, protocol: str, app: tuple[str, int], made: Identities, folder: Path) -> HopPlan:
    """The plan of an inbound proxy. L7 permissions for the HTTP service, an allow for the other; default deny."""
    permissions = (
        Permission(Action.DENY, HttpMatch(path_prefix="/admin")),
        Permission(Action.ALLOW, HttpMatch(methods=("GET",))),
    )
    if protocol == "http":
        intention = Intention(CALLER, service, 9, permissions=permissions)
    else:
        intention = Intention(CALLER, service, 9, action=Action.ALLOW)
    snapshot = Snapshot(
        Local(service, "bench", DATACENTER, TRUST_DOMAIN),
        roots=made.roots,
        intentions=IntentionSet(service, 1, protocol, intentions=(intention,)),
        chains={},
        endpoints={},
        gateways={},
    )
    settings = ProxySettings(InboundSettings(app[1], app[0], "127.0.0.1", 0))
    return HopPlan(made.leaves[service], snapshot, settings, str(folder / f"{service}.log"))


def caller(ports: dict[str, int], l4: int, l7: int, made: Identities, folder: Path) -> HopPlan:
    """The plan of the outbound proxy."""
    chains = {
        name: Chain(name, 1, protocol, (Route((Leg(10_000, name),)),), (Target(name, name),))
        for name, protocol in ((HTTP, "http"), (TCP, "tcp"))
    }
    endpoints = {
        name: EndpointSet(name, 1, (Endpoint(name, f"{name}-1", "bench", "127.0.0.1", ports[name], "bench"),))
        for name in ports
    }
    snapshot = Snapshot(
        Local(CALLER, "bench", DATACENTER, TRUST_DOMAIN),
        roots=made.roots,
        chains=chains,
        endpoints=endpoints,
        gateways={},
    )
    settings = ProxySettings(upstreams=(Upstream(TCP, l4), Upstream(HTTP, l7)))
    return HopPlan(made.leaves[CALLER], snapshot, settings, str(folder / "web.log"))


class Ports(msgspec.Struct, frozen=True):
    """What a hop prints once it listens."""

    inbound: int
    upstreams: dict[str, int]


def start(plan: HopPlan, stack: contextlib.ExitStack) -> Ports:
    """Start one hop and wait until it listens."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.hop"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(plan))
    process.stdin.close()
    line = process.stdout.readline()
    if not line:
        raise SystemExit("a proxy of the pair did not start: see its error above")
    print(f"{plan.snapshot.local.service}: process {process.pid}, {line.decode().strip()}", file=sys.stderr)
    return msgspec.json.decode(line, type=Ports)


def main() -> None:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--app", default="127.0.0.1:9000", help="the application, address:port")
    parser.add_argument("--l4", type=int, default=9701, help="loopback port of the TCP service")
    parser.add_argument("--l7", type=int, default=9702, help="loopback port of the HTTP service")
    parser.add_argument("--profile", default="", help="folder for cProfile statistics (SIGUSR1 to a hop takes them)")
    options = parser.parse_args()
    host, _, port = options.app.rpartition(":")
    app = (host, int(port))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    made = identities()
    with tempfile.TemporaryDirectory(prefix="linkspan-pair-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        plans = [callee(HTTP, "http", app, made, folder), callee(TCP, "tcp", app, made, folder)]
        ports = {plan.snapshot.local.service: start(_profiled(plan, options.profile), stack).inbound for plan in plans}
        start(_profiled(caller(ports, options.l4, options.l7, made, folder), options.profile), stack)
        print(
            f"TCP on 127.0.0.1:{options.l4}, HTTP on 127.0.0.1:{options.l7}, before {options.app}; Ctrl-C ends it",
            file=sys.stderr,
        )
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)
                for log in folder.glob("*.log"):
                    if log.stat().st_size > _LOG_MOST_BYTES:
                        os.truncate(log, 0)


def _profiled(plan: HopPlan, folder: str) -> HopPlan:
    service = plan.snapshot.local.service
    return msgspec.structs.replace(plan, profile=f"{folder}/{service}.prof") if folder else plan


if __name__ == "__main__":
    main()
