"""Real proxies for tests, a child process each, composed without a catalog: what they are told is a value of the test.

It must never end a process that it did not start.
"""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.hop import HopPlan
from mesh.identity.context import client_context
from mesh.identity.leaf import Leaf
from mesh.model.chain import Chain, Leg, RetryPolicy, Route, Target
from mesh.model.endpoint import Endpoint, EndpointSet
from mesh.model.intention import Action, Intention, IntentionSet, Permission
from mesh.model.snapshot import Local, Roots, Snapshot
from mesh.proxy.settings import InboundSettings, ProxySettings, Timeouts, Upstream
from tests.fakes.authority import DATACENTER, TRUST_DOMAIN, Authority, service_uri
from tests.lab.process import wait_until

CALLER, CALLEE, STRANGER = "web", "api", "stranger"
"""`web` may call `api`; `stranger` has a valid certificate and may not."""

HTTP_ALPN = "http/1.1"
_ROOT = Path(__file__).resolve().parents[2]
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Ports(msgspec.Struct, frozen=True):
    """What a hop prints once it listens."""

    inbound: int
    upstreams: dict[str, int]


class Hop:
    """One running proxy."""

    def __init__(self, process: subprocess.Popen[bytes], ports: Ports, log: Path, errors: Path) -> None:
        self.pid = process.pid
        self.port = ports.inbound
        self.upstreams = ports.upstreams
        self._process = process
        self._log = log
        self._errors = errors

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def rss_bytes(self) -> int:
        """What it holds in memory now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES

    @property
    def peak_rss_bytes(self) -> int:
        """The most that it ever held, or held since `forget_peak`."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    @property
    def processor_s(self) -> float:
        """Processor time that it has used, in hundredths."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self) -> None:
        """Let `peak_rss_bytes` begin anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def said(self) -> str:
        """Its warnings and errors so far."""
        return self._errors.read_text(errors="replace")

    def wait_said(self, text: str, *, timeout_s: float = 5) -> None:
        """Return once it has said `text`."""
        wait_until(lambda: text in self.said(), f"{text!r} in: {self.said()[-3000:]}", timeout_s=timeout_s)

    def access(self) -> list[dict[str, Any]]:
        """Its access log so far (lines come with up to a quarter of a second's delay)."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]


class Mesh:
    """One authority and the proxies started with its certificates; all end with the block of `mesh`."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.authority = Authority()
        self.roots = self.authority.roots()
        self._folder = folder
        self._stack = stack
        self._count = 0

    def leaf(self, service: str) -> Leaf:
        """A valid certificate of a service."""
        return self.authority.leaf(service_uri(service))

    def callee(
        self,
        app_port: int,
        *,
        protocol: str = "http",
        roots: Roots | None = None,
        timeouts: Timeouts | None = None,
        permissions: tuple[Permission, ...] = (),
    ) -> Hop:
        """The inbound proxy of `api` before an application; only `web` is allowed, to do anything or by `permissions`."""
        intention = Intention(CALLER, CALLEE, 9, None if permissions else Action.ALLOW, permissions)
        snapshot = Snapshot(
            Local(CALLEE, "lab", DATACENTER, TRUST_DOMAIN),
            roots=roots or self.roots,
            intentions=IntentionSet(CALLEE, 1, protocol, intentions=(intention,)),
            chains={},
            endpoints={},
            gateways={},
        )
        settings = ProxySettings(
            InboundSettings(app_port, "127.0.0.1", "127.0.0.1", 0), timeouts=timeouts or Timeouts()
        )
        return self._start(self.leaf(CALLEE), snapshot, settings)

    def caller(self, ports: Mapping[str, int], *, protocol: str = "http", timeouts: Timeouts | None = None) -> Hop:
        """The outbound proxy of `web` with an upstream for each service of `ports` (where its instance listens)."""
        return self._caller({name: (name, port) for name, port in ports.items()}, protocol, timeouts)

    def caller_to(self, service: str, ports: Mapping[str, int]) -> Hop:
        """The same, but every upstream is a name for instances of one service, each subset at a port of its own."""
        return self._caller({name: (service, port) for name, port in ports.items()}, "http", None)

    def _caller(self, ports: Mapping[str, tuple[str, int]], protocol: str, timeouts: Timeouts | None) -> Hop:
        def chain(name: str, service: str) -> Chain:
            target = Target(name, service, subset="" if name == service else name)
            return Chain(name, 1, protocol, (Route((Leg(10_000, name),), retry=RetryPolicy(attempts=0)),), (target,))

        by_service: dict[str, list[Endpoint]] = {}
        for name, (service, port) in ports.items():
            subsets = () if name == service else (name,)
            endpoint = Endpoint(service, f"{name}-1", "lab", "127.0.0.1", port, "lab", subsets=subsets)
            by_service.setdefault(service, []).append(endpoint)
        snapshot = Snapshot(
            Local(CALLER, "lab", DATACENTER, TRUST_DOMAIN),
            roots=self.roots,
            chains={name: chain(name, service) for name, (service, _) in ports.items()},
            endpoints={name: EndpointSet(name, 1, tuple(found)) for name, found in by_service.items()},
            gateways={},
        )
        settings = ProxySettings(upstreams=tuple(Upstream(name, 0) for name in ports), timeouts=timeouts or Timeouts())
        return self._start(self.leaf(CALLER), snapshot, settings)

    def _start(self, leaf: Leaf, snapshot: Snapshot, settings: ProxySettings) -> Hop:
        self._count += 1
        name = f"{snapshot.local.service}-{self._count}"
        log, errors = self._folder / f"{name}.log", self._folder / f"{name}.errors"
        plan = HopPlan(leaf, snapshot, settings, str(log))
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.hop"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=_ROOT,
            )
        self._stack.callback(_end, process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(plan))
        process.stdin.close()
        line = process.stdout.readline()
        assert line, f"the proxy did not start: {errors.read_text()}"
        return Hop(process, msgspec.json.decode(line, type=Ports), log, errors)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def mesh(folder: Path) -> Iterator[Mesh]:
    """An authority, and whatever is started with it until the block ends."""
    with contextlib.ExitStack() as stack:
        yield Mesh(folder, stack)


def dial_mesh(port: int, leaf: Leaf | None, roots: Roots, alpn: str = HTTP_ALPN) -> ssl.SSLSocket:
    """A TLS 1.3 connection to a proxy's mesh port, showing `leaf`. In TLS 1.3 a refusal comes with the first read."""
    context = client_context(leaf, roots, (alpn,))
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        return context.wrap_socket(sock, server_hostname=CALLEE)
    except BaseException:
        sock.close()
        raise


def read_answer(sock: socket.socket, *, timeout_s: float = 10) -> bytes:
    """What comes until the other side closes, or until one whole answer of known length is there; the rest is left."""
    sock.settimeout(timeout_s)
    data = b""
    while not _is_whole(data):
        try:
            piece = sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            break
        if not piece:
            break
        data += piece
    return data


def _is_whole(data: bytes) -> bool:
    head, mark, body = data.partition(b"\r\n\r\n")
    if not mark:
        return False
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return len(body) >= int(value)
        if name == b"transfer-encoding":
            return body.endswith(b"0\r\n\r\n")
    return False


def status_of(answer: bytes) -> int:
    """The status of an answer, 0 when none came."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
