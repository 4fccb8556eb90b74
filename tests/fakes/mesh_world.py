"""A proxy's surroundings in one process: its parts on a running ring, an application, and peers that answer from a script.

It must never be imported by anything but tests.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from mesh.decide.reach import GatewayMode
from mesh.identity.live import LiveIdentity
from mesh.model.chain import Chain, Leg, RetryPolicy, Route, Target
from mesh.model.endpoint import Endpoint, EndpointSet
from mesh.model.intention import Action, Intention, IntentionSet
from mesh.model.snapshot import Local, Snapshot
from mesh.proxy.inbound.side import InboundSide
from mesh.proxy.link import Link
from mesh.proxy.outbound.directory import Directory
from mesh.proxy.outbound.side import OutboundSide
from mesh.proxy.parts import Parts
from mesh.proxy.record import Recorder
from mesh.proxy.settings import InboundSettings, Limits, Timeouts, Upstream
from mesh.telemetry.metrics import Metrics
from mesh.transport.listen import Acceptor, open_listener
from mesh.transport.ring import Ring
from mesh.transport.sweep import Sweep
from mesh.transport.tls import handshake
from mesh.wire.trunk import Trunk
from mesh.wire.trunk_events import Opened, TrunkLimits
from mesh.wire.trunk_frames import ALPN
from tests.fakes.authority import DATACENTER, TRUST_DOMAIN, Authority, service_uri

AUTHORITY = Authority()
ROOTS = AUTHORITY.roots()
NETWORK = "lab"
HTTP_ALPN = "http/1.1"
_leaves: dict[str, Any] = {}


def identity(service: str) -> LiveIdentity:
    """A valid identity of a service; its key is made once."""
    if service not in _leaves:
        _leaves[service] = AUTHORITY.leaf(service_uri(service))
    return LiveIdentity(_leaves[service], ROOTS)


class PlainTls(socket.socket):
    """A plain socket that says "not now" as TLS sockets do."""

    def recv_into(self, *args: Any) -> int:
        try:
            return super().recv_into(*args)
        except BlockingIOError as error:
            raise ssl.SSLWantReadError from error

    def send(self, *args: Any) -> int:
        try:
            return super().send(*args)
        except BlockingIOError as error:
            raise ssl.SSLWantWriteError from error


def wire() -> tuple[Any, Any]:
    """The two ends of a connection, as links take them."""
    ends = []
    for sock in socket.socketpair():
        end = PlainTls(fileno=sock.detach())
        end.settimeout(0)
        ends.append(end)
    return ends[0], ends[1]


class Keeper:
    """Keeps a link: notes what it hears, and answers streams from `serve`."""

    def __init__(self, serve: Callable[[Link, Opened], None] | None = None) -> None:
        self.serve = serve
        self.opened: list[Opened] = []
        self.owners: list[Any] = []
        self.leaving = 0
        self.idle = 0
        self.closed: list[str] = []

    def on_opened(self, link: Link, event: Opened) -> None:
        self.opened.append(event)
        if self.serve is not None:
            self.serve(link, event)
        self.owners.append(event.stream.owner)

    def on_leaving(self, link: Link) -> None:
        self.leaving += 1

    def on_idle(self, link: Link) -> None:
        self.idle += 1

    def on_closed(self, link: Link, reason: str) -> None:
        self.closed.append(reason)


class Owner:
    """Owns a stream and notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def on_head(self, event: Any) -> None:
        self.heard.append(("head", event.status, bytes(event.body), event.end))

    def on_data(self, data: Any, *, end: bool) -> None:
        self.heard.append(("data", bytes(data), end))

    def on_end(self, block: bytes) -> None:
        self.heard.append(("end", block))

    def on_reset(self, code: int) -> None:
        self.heard.append(("reset", code))

    def on_room(self) -> None:
        self.heard.append(("room",))


def link_pair(ring: Ring, serve: Callable[[Link, Opened], None] | None = None) -> tuple[Link, Link, Keeper, Keeper]:
    """A dialler's link and a server's on one wire, with their keepers."""
    left, right = wire()
    near, far = Keeper(), Keeper(serve)
    dialler = Link(ring, left, Trunk(is_dialler=True), near)
    return dialler, Link(ring, right, Trunk(is_dialler=False), far), near, far


class Lines:
    """An access log that keeps its lines."""

    is_wanted = True

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def stamp_at(self, now_s: float) -> bytes:
        return b"T%d" % now_s

    def add(self, line: bytes) -> None:
        self.lines.append(line)


class App:
    """An application on loopback that answers each request from a function; None lets it wait for ever, b"" closes."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def serve(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        await trio.serve_listeners(self._talk, listeners, task_status=task_status)

    async def _talk(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        held = b""
        try:
            while chunk := await stream.receive_some():
                held += chunk
                if b"\r\n\r\n" not in held:
                    continue
                self.requests.append(held)
                answer, held = self.answer(held), b""
                if answer == b"":
                    return
                if answer is not None:
                    await stream.send_all(answer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            stream.socket.close()


def ok(request: bytes) -> bytes:
    """The plainest answer."""
    del request
    return b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def allow(source: str, protocol: str = "http", action: Action = Action.ALLOW) -> IntentionSet:
    """What `api` allows: one source, and nobody else."""
    return IntentionSet("api", 1, protocol, intentions=(Intention(source, "api", 9, action=action),))


def callee(protocol: str = "http", source: str = "web", action: Action = Action.ALLOW) -> Snapshot:
    """The snapshot of `api`."""
    local = Local("api", NETWORK, DATACENTER, TRUST_DOMAIN)
    return Snapshot(
        local, roots=ROOTS, intentions=allow(source, protocol, action), chains={}, endpoints={}, gateways={}
    )


def caller(*ports: int, protocol: str = "http", retries: int = 1, timeout_s: float = 15.0) -> Snapshot:
    """The snapshot of `web`, whose upstream `api` has an instance at each of `ports`."""
    local = Local("web", NETWORK, DATACENTER, TRUST_DOMAIN)
    route = Route((Leg(10_000, "api"),), request_timeout_s=timeout_s, retry=RetryPolicy(attempts=retries))
    chain = Chain("api", 1, protocol, (route,), (Target("api", "api"),))
    endpoints = tuple(
        Endpoint("api", f"api-{number}", f"n{number}", "127.0.0.1", port, NETWORK) for number, port in enumerate(ports)
    )
    return Snapshot(
        local, roots=ROOTS, chains={"api": chain}, endpoints={"api": EndpointSet("api", 1, endpoints)}, gateways={}
    )


@asynccontextmanager
async def open_parts(
    service: str, *, timeouts: Timeouts | None = None, limits: Limits | None = None
) -> AsyncIterator[Parts]:
    """The parts of one proxy on a running ring."""
    ring = Ring()
    async with trio.open_nursery() as nursery:
        await nursery.start(ring.run)
        yield Parts(
            ring=ring,
            sweep=Sweep(ring),
            nursery=nursery,
            identity=identity(service),
            timeouts=timeouts or Timeouts(),
            limits=limits or Limits(),
        )
        nursery.cancel_scope.cancel()
    ring.close()


class Side:
    """One side with what it told: its metrics and its lines."""

    def __init__(self, parts: Parts, reporter: str) -> None:
        self.parts = parts
        self.metrics = Metrics()
        self.log = Lines()
        self.recorder = Recorder(reporter, parts.ring, self.metrics, self.log)  # type: ignore[arg-type]


@asynccontextmanager
async def open_inbound(
    app_port: int, snapshot: Snapshot | None = None, **bounds: Any
) -> AsyncIterator[tuple[InboundSide, Side]]:
    """The serving side of `api` before an application."""
    async with open_parts("api", **bounds) as parts:
        side = Side(parts, "destination")
        settings = InboundSettings(app_port, address="127.0.0.1", port=0)
        inbound = InboundSide(parts, settings, side.recorder, snapshot or callee())
        try:
            yield inbound, side
        finally:
            inbound.close()


@asynccontextmanager
async def open_outbound(snapshot: Snapshot, **bounds: Any) -> AsyncIterator[tuple[OutboundSide, Side]]:
    """The calling side of `web` with its upstream `api`."""
    async with open_parts("web", **bounds) as parts:
        side = Side(parts, "source")
        directory = Directory(parts, snapshot, GatewayMode.REMOTE, side.metrics)
        outbound = OutboundSide(parts, (Upstream("api", 0),), side.recorder, directory, snapshot)
        try:
            yield outbound, side
        finally:
            outbound.close()


class Instance:
    """An instance on a port of its own: `serve` answers its streams; `links` are its trunks, `keeper` what it heard."""

    def __init__(self, parts: Parts, serve: Callable[[Link, Opened], None], service: str = "api") -> None:
        self._parts = parts
        self._identity = identity(service)
        self.keeper = Keeper(serve)
        self.links: list[Link] = []
        self.limits = TrunkLimits()
        self._acceptor = Acceptor(parts.ring, open_listener("127.0.0.1", 0), self._on_accepted)
        self.port = self._acceptor.port

    def _on_accepted(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        del peer
        self._parts.start(self._welcome, sock)

    async def _welcome(self, sock: socket.socket) -> None:
        tls = await handshake(sock, self._identity.server_context((ALPN,)), timeout_s=5)
        self.links.append(Link(self._parts.ring, tls, Trunk(is_dialler=False, limits=self.limits), self.keeper))

    def close(self) -> None:
        self._acceptor.close()
        for link in self.links:
            link.close("end")


@asynccontextmanager
async def instances(*serves: Callable[[Link, Opened], None], service: str = "api") -> AsyncIterator[list[Instance]]:
    """Instances on a ring of their own."""
    async with open_parts(service) as parts:
        made = [Instance(parts, serve, service) for serve in serves]
        try:
            yield made
        finally:
            for one in made:
                one.close()


@asynccontextmanager
async def foreign(talk: Callable[[trio.SSLStream[Any]], Any], *alpn: str) -> AsyncIterator[int]:
    """A valid instance of `api` that knows no trunks, and its port."""

    async def serve(stream: trio.SocketStream) -> None:
        tls = trio.SSLStream(stream, identity("api").server_context(alpn), server_side=True, https_compatible=True)
        try:
            await talk(tls)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
            pass
        finally:
            stream.socket.close()

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def dead_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def connect(port: int) -> trio.SocketStream:
    """A plain connection."""
    await trio.lowlevel.checkpoint()
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(0)
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


async def connect_tls(port: int, service: str, alpn: str = HTTP_ALPN) -> ssl.SSLSocket:
    """A connection of a mesh service, past its handshake."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(0)
    return await handshake(sock, identity(service).client_context((alpn,)), server_name="api", timeout_s=5)


async def say(tls: ssl.SSLSocket, data: bytes, size: int = 65536) -> bytes:
    """Send and read what comes back at once."""
    tls.send(data)
    return await hear(tls, size)


async def hear(tls: ssl.SSLSocket, size: int = 65536) -> bytes:
    """The next bytes."""
    while True:
        try:
            return tls.recv(size)
        except ssl.SSLWantReadError:
            await trio.lowlevel.wait_readable(tls)
