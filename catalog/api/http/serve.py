"""Serving an ASGI app over plain and TLS listeners: anycorn's HTTP on our own accept loop.

The accept loop is ours because three things are: how many connections one address may hold, which TLS context a new
connection gets (always the present one, so that certificates are replaced while it runs), and what a stop waits for.
It must never let one connection's failure end the loop, nor run out of descriptors in a spin.
"""

import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any, cast

import anyio
import anyio.abc
import anyio.streams.tls
import msgspec
import trio
from anycorn.app_wrappers import ASGIWrapper
from anycorn.config import Config
from anycorn.tcp_server import tcp_server_handler
from anycorn.typing import ConnectionState
from anycorn.worker_context import WorkerContext

from catalog.api.http.connection import STATE_KEY, Connection, connection_of
from catalog.api.http.disconnect import App, CancelOnDisconnect, Receive, Scope, Send
from mesh.wire.http1.host import HostRule

logger = logging.getLogger(__name__)
protocol_logger = logger.getChild("protocol")
"""Where anycorn says which requests it rejects."""

_STARVED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_STARVED_PAUSE_S = 0.1
_TCP_ESTABLISHED = 1
"""The first byte of Linux's `tcp_info` while neither side has closed (include/net/tcp_states.h)."""
_TOO_MANY = b"Too many connections from this address: close some, or raise the catalog's limit"
_REFUSAL = (
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_TOO_MANY), _TOO_MANY)
)


class NotLoopbackError(ValueError):
    """The operator's fault: the plain port must not leave this machine."""


class Limits(msgspec.Struct, frozen=True):
    """Bounds of a server. A head must come within `idle_s` too: until it is whole, its connection counts as idle.

    A peer that acknowledges nothing, or takes nothing of its answer, for `silent_s` is gone.
    """

    connections: int = 10_000
    connections_per_address: int = 2_000
    head_bytes: int = 60 * 1024
    idle_s: float = 60.0
    handshake_s: float = 10.0
    graceful_s: float = 5.0
    silent_s: float = 60.0
    sweep_s: float = 5.0
    backlog: int = 1024


DEFAULT_LIMITS = Limits()


class Listener(msgspec.Struct, frozen=True):
    """A listening socket; `tls` gives the context for the next connection, None is plain HTTP.

    `hosts` are the names that a plain port answers to; a Unix socket and the mesh port answer to any.
    """

    socket: socket.socket
    tls: Callable[[], ssl.SSLContext] | None = None
    hosts: HostRule = HostRule()

    @property
    def plain_connection(self) -> Connection:
        """What is known of a connection to it, if it is a plain one."""
        return Connection(loopback=True, hosts=None if self.socket.family == socket.AF_UNIX else self.hosts)

    @property
    def address(self) -> str:
        """Where it listens: `host:port`, or the socket's path."""
        name = self.socket.getsockname()
        if isinstance(name, str):
            return name
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"{host}:{name[1]}"


def split_bind(text: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`.

    Raises:
        ValueError: it is neither.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is no address to listen on: write host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def listen(bind: str, *, backlog: int = DEFAULT_LIMITS.backlog) -> socket.socket:
    """A TCP socket that listens on `host:port`; port 0 picks a free one.

    Raises:
        ValueError: `bind` is no address.
        OSError: it cannot be bound.
    """
    host, port = split_bind(bind)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(backlog)
        sock.setblocking(False)  # noqa: FBT003 - its only argument
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {bind}: {error.strerror or error}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def listen_plain(bind: str, hosts: HostRule = HostRule()) -> Listener:  # noqa: B008 - a frozen value
    """The plain port, which answers to the names of `hosts`.

    Raises:
        NotLoopbackError: `bind` is not an address of the loopback interface.
        OSError: it cannot be bound.
    """
    host, _ = split_bind(bind)
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise NotLoopbackError(
            f"{bind!r}: plain HTTP is served on loopback only (127.0.0.1 or ::1); others reach the catalog by mutual TLS"
        )
    return Listener(listen(bind.replace("localhost", "127.0.0.1")), hosts=hosts)


class Server:
    """Serves one app on several listeners until `stop` is set."""

    def __init__(self, app: App, listeners: Sequence[Listener], limits: Limits = DEFAULT_LIMITS) -> None:
        self._listeners = listeners
        self._limits = limits
        self._config = _anycorn_config(limits)
        self._context = WorkerContext(None)
        self._app = ASGIWrapper(cast("Any", CancelOnDisconnect(_only_http_1(_only_our_names(app)))))
        self._lines: set[_EndsWithItsPeer] = set()
        self._open: Counter[str] = Counter()
        self._streams: set[anyio.abc.SocketStream] = set()
        self._refusals = 0

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._open.total()

    @property
    def refused(self) -> int:
        """How many connections were refused for being too many."""
        return self._refusals

    async def run(
        self,
        stop: trio.Event,
        *,
        on_stop: Callable[[], None] = lambda: None,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept and serve until `stop`; then accept no more, call `on_stop`, and give what runs `graceful_s` to end."""
        async with trio.open_nursery() as closing:
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting:
                    for listener in self._listeners:
                        accepting.start_soon(self._accept, listener, connections)
                    accepting.start_soon(self._sweep)
                    task_status.started()
                    await stop.wait()
                    accepting.cancel_scope.cancel()
                await self._context.terminated.set()
                on_stop()
                connections.cancel_scope.deadline = trio.current_time() + self._limits.graceful_s
                closing.start_soon(self._close_late)
            closing.cancel_scope.cancel()

    async def _close_late(self) -> None:
        """Close what is open after `graceful_s`: anycorn shields its sending, so that a peer that does not read holds up the end."""
        await trio.sleep(self._limits.graceful_s)
        for stream in tuple(self._streams):
            await anyio.aclose_forcefully(stream)

    async def _accept(self, listener: Listener, connections: trio.Nursery) -> None:
        async with await anyio.abc.SocketListener.from_socket(listener.socket) as source:
            while True:
                try:
                    stream = await source.accept()
                except (OSError, anyio.BrokenResourceError) as error:
                    cause = error if isinstance(error, OSError) else error.__cause__
                    if isinstance(cause, OSError) and cause.errno in _STARVED:
                        logger.warning("cannot accept on %s: %s", listener.address, cause)
                        await trio.sleep(_STARVED_PAUSE_S)
                    continue  # the peer that was accepted has gone already
                connections.start_soon(self._connection, listener, stream)

    async def _connection(self, listener: Listener, stream: anyio.abc.SocketStream) -> None:
        """One connection's life. Survives whatever happens in it: the others must not notice."""
        peer = _peer(stream)
        self._open[peer] += 1
        self._streams.add(stream)
        try:
            _notice_silence(stream, self._limits.silent_s)
            if self._open[peer] > self._limits.connections_per_address or self.connections > self._limits.connections:
                await self._refuse(listener, stream, peer)
            elif listener.tls is None:
                await self._handle(stream, listener.plain_connection)
            else:
                await self._secure(listener.tls, stream, peer)
        except Exception:  # the connection's root: one that fails unforeseen is logged and closed, the others live
            logger.exception("connection of %s failed", peer)
        finally:
            self._streams.discard(stream)
            self._open[peer] -= 1
            if not self._open[peer]:
                del self._open[peer]
            with trio.CancelScope(shield=True):
                await anyio.aclose_forcefully(stream)

    async def _refuse(self, listener: Listener, stream: anyio.abc.SocketStream, peer: str) -> None:
        self._refusals += 1
        if self._refusals == 1 or not self._refusals % 1000:
            logger.warning("%s has too many connections: refused, %d so far", peer or "a socket", self._refusals)
        if listener.tls is None:
            with trio.move_on_after(1):
                await stream.send(_REFUSAL)

    async def _secure(self, tls: Callable[[], ssl.SSLContext], stream: anyio.abc.SocketStream, peer: str) -> None:
        wrap = partial(anyio.streams.tls.TLSStream.wrap, stream, server_side=True, standard_compatible=False)
        try:
            with trio.fail_after(self._limits.handshake_s):
                if not await _says_something(stream):
                    logger.debug("%s connected and said nothing", peer)  # as a kubelet's TCP probe does, for ever
                    return
                secured = await wrap(ssl_context=tls())
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream, trio.TooSlowError) as error:
            # OSError includes ssl.SSLError: a peer without TLS 1.3, or with a certificate we do not trust.
            logger.info("handshake with %s failed: %s", peer, error or type(error).__name__)
            return
        certificate = secured.extra(anyio.streams.tls.TLSAttribute.ssl_object).getpeercert()  # noqa: S610 - anyio's
        await self._handle(secured, Connection(certificate=certificate or None))

    async def _handle(self, stream: Any, connection: Connection) -> None:
        state = ConnectionState({STATE_KEY: connection})
        serve_stream = tcp_server_handler(self._app, self._config, self._context, state)
        with trio.CancelScope() as scope:
            line = _EndsWithItsPeer(stream, scope)
            self._lines.add(line)
            try:
                await serve_stream(line)
            finally:
                self._lines.discard(line)

    async def _sweep(self) -> None:
        """End the connections whose peer went while nobody read from them: a request behind one that blocks hides its end."""
        while True:
            await trio.sleep(self._limits.sweep_s)
            for line in tuple(self._lines):
                line.end_if_gone()


def _only_http_1(app: App) -> App:
    """`app`, without HTTP/2, which anycorn takes up unasked (prior knowledge, `Upgrade: h2c`): a connection holds one request."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("http_version", "1.1") not in {"1.0", "1.1"}:
            await send({"type": "http.response.start", "status": 505, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await app(scope, receive, send)

    return answer


def _only_our_names(app: App) -> App:
    """`app`, for requests that call a plain port by one of its names: others come from a page in a browser here."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        hosts = connection_of(scope).hosts
        refusal = hosts.refusal(scope["headers"]) if hosts is not None else ""
        if not refusal:
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(refusal))]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": refusal.encode()})

    return answer


class _EndsWithItsPeer:
    """A stream that ends its connection's tasks when the peer hangs up.

    Without it anycorn keeps a connection whose peer has gone until its keep-alive time is over, descriptor and all.
    """

    def __init__(self, stream: Any, scope: trio.CancelScope) -> None:
        self._stream = stream
        self._scope = scope
        self._reading = False
        self.send = stream.send
        self.send_eof = stream.send_eof
        self.aclose = stream.aclose

    def extra(self, attribute: Any, *default: Any) -> Any:
        """The stream's attributes but for its TLS object, which the server would only take the peer's chain from again.

        Who the peer is was read before; and Python 3.13.0 cannot tell the chain of a peer that showed none.
        """
        if attribute is anyio.streams.tls.TLSAttribute.ssl_object:
            raise anyio.TypedAttributeLookupError(repr(attribute))
        return self._stream.extra(attribute, *default)  # noqa: S610 - anyio's, not Django's

    async def receive(self, max_bytes: int = 65536) -> bytes:
        self._reading = True
        try:
            data: bytes = await self._stream.receive(max_bytes)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._scope.cancel()
            raise
        finally:
            self._reading = False
        return data

    def end_if_gone(self) -> None:
        """End the connection if nobody reads from it and the kernel knows that its peer has closed or reset it (Linux)."""
        if self._reading:
            return
        sock = self._stream.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
        if sock.family == socket.AF_UNIX or sock.fileno() < 0:
            return
        if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _TCP_ESTABLISHED:
            self._scope.cancel()


async def _says_something(stream: anyio.abc.SocketStream) -> bool:
    """Whether the peer sends a first byte, which stays unread; it may also just go."""
    sock: socket.socket = stream.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
    await trio.lowlevel.wait_readable(sock)
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except ConnectionResetError:
        return False


def _notice_silence(stream: anyio.abc.SocketStream, silent_s: float) -> None:
    """Let the kernel break the connection when its peer has vanished without a word, or leaves its answer lying (Linux).

    An answer that nobody takes is memory, and a long poll of a host that lost its power a task, for as long as they stay.
    """
    sock: socket.socket = stream.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 - anyio's, not Django's
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(silent_s / 2)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(silent_s / 6)))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silent_s * 1000))


def _peer(stream: anyio.abc.SocketStream) -> str:
    try:
        address: Any = stream.extra(anyio.abc.SocketAttribute.remote_address)  # noqa: S610 - anyio's, not Django's
    except (OSError, anyio.TypedAttributeLookupError):
        return ""
    return address if isinstance(address, str) else str(address[0])


def _without_its_words(record: logging.LogRecord) -> bool:
    """Let no line quote a request that was rejected: a token may stand in it (`?token=`), however malformed it is."""
    if isinstance(record.args, tuple):
        record.args = tuple("it is no HTTP" if isinstance(arg, Exception) else arg for arg in record.args)
    return True


def _anycorn_config(limits: Limits) -> Config:
    config = Config()
    config.accesslog = None
    protocol_logger.addFilter(_without_its_words)
    config.errorlog = protocol_logger
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.head_bytes
    config.h2_max_header_list_size = limits.head_bytes
    config.h2_max_concurrent_streams = 1
    config.keep_alive_timeout = limits.idle_s
    config.keep_alive_max_requests = 1_000_000_000
    config.max_app_queue_size = 4
    return config
