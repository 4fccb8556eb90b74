"""Listening: loopback TCP for the API, a Unix socket for proxies, and anycorn behind both.

It must refuse every TCP address that is not loopback, and never leave the Unix socket open to others than its group.
"""

import errno
import grp
import ipaddress
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import anycorn.config
import anyio
import trio
from anycorn.app_wrappers import ASGIWrapper
from anycorn.tcp_server import tcp_server_handler
from anycorn.typing import ConnectionState
from anycorn.worker_context import WorkerContext
from anyio.abc import SocketListener, SocketStream

from agents.vm.api.call import TEXT_TYPE, App, Receive, Scope, Send
from catalog.dns.serve.listen import DnsListener, listen_dns
from mesh.sync.link.address import InvalidAddressError, parse_host_port
from mesh.wire.http1.host import HostRule

SOCKET_MODE = 0o660
BACKLOG = 512
MAX_CONNECTIONS = 4096
_IDLE_S = 75.0
_GRACE_S = 0.5
_STARVED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_STARVED_PAUSE_S = 0.5

log = logging.getLogger("linkspan.agent.api")


class ListenError(Exception):
    """An address cannot be listened on; the text says why and what to do."""


def listen_loopback(address: str) -> socket.socket:
    """A listening TCP socket on a loopback address; port 0 picks one.

    Raises:
        ListenError: it is no loopback address, or it is taken.
    """
    try:
        where = parse_host_port(address)
        host = "127.0.0.1" if where.host == "localhost" else where.host
        if not ipaddress.ip_address(host).is_loopback:
            raise ListenError(f"{address!r} is not a loopback address: this API is for programs on this host only")
    except (InvalidAddressError, ValueError) as error:
        raise ListenError(f"{address!r} is no address: write 127.0.0.1:PORT") from error
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, where.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {address}: {error.strerror}: is another agent running?") from error
    return sock


def listen_names(address: str) -> DnsListener:
    """The sockets of DNS; port 0 picks one.

    Raises:
        ListenError: it is no address, or it is taken.
    """
    try:
        return listen_dns(address)
    except OSError as error:
        raise ListenError(f"{error.strerror}: choose another --dns, or 'off'") from error
    except ValueError as error:
        raise ListenError(str(error)) from error


def listen_unix(path: Path, group: str = "") -> socket.socket:
    """A listening Unix socket, 0660, of `group` if one is given; a stale one at `path` is replaced.

    Raises:
        ListenError: something else is there, another agent listens on it, or the group does not exist.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        former = os.umask(0o777 & ~SOCKET_MODE)
        try:
            sock.bind(str(path))
        finally:
            os.umask(former)
        if group:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(SOCKET_MODE)
        sock.listen(BACKLOG)
    except (OSError, KeyError) as error:
        sock.close()
        reason = error.strerror if isinstance(error, OSError) else f"there is no group {group!r}"
        raise ListenError(f"cannot listen on {path}: {reason}") from error
    except ListenError:
        sock.close()
        raise
    return sock


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ListenError(f"cannot listen on {path}: something that is no socket is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ListenError(f"cannot listen on {path}: another agent is listening there")


async def serve(
    app: App,
    sock: socket.socket,
    until: Callable[[], Awaitable[None]],
    *,
    max_connections: int = MAX_CONNECTIONS,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` on `sock` until `until` returns; what runs then has half a second.

    Whoever may connect must not be able to end the agent: beyond `max_connections` they are closed at once, and a process
    without descriptors left waits for some.
    """
    context = WorkerContext(None)
    handler = partial(tcp_server_handler, ASGIWrapper(cast("Any", app)), _config(), context, ConnectionState({}))
    live: set[SocketStream] = set()
    emptied = trio.Event()

    async def connection(stream: SocketStream) -> None:
        """One connection's life. Survives whatever happens in it."""
        try:
            with trio.CancelScope() as scope:
                await handler()(cast("Any", _EndsWithItsPeer(stream, scope)))
        except Exception:  # the connection's root: one that fails unforeseen is logged and closed, the others live
            log.exception("a connection failed")
        finally:
            live.discard(stream)
            if not live:
                emptied.set()
            await _close(stream)

    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:

            async def accept() -> None:
                async with await SocketListener.from_socket(socket.socket(fileno=os.dup(sock.fileno()))) as source:
                    while True:
                        stream = await accept_one(source.accept)
                        if len(live) >= max_connections:
                            await _close(stream)
                        else:
                            live.add(stream)
                            connections.start_soon(connection, stream)

            accepting.start_soon(accept)
            task_status.started()
            await until()
            accepting.cancel_scope.cancel()
        await context.terminated.set()
        emptied = trio.Event()
        with trio.move_on_after(_GRACE_S if live else 0):
            await emptied.wait()
        for stream in tuple(live):  # also those whose peer does not read: the server waits for it without end
            await _close(stream)
        connections.cancel_scope.cancel()


def only_for(hosts: HostRule, app: App) -> App:
    """`app`, for requests that call us by one of our names; others are refused with 403 and the way to allow them."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = hosts.refusal(scope["headers"])
        if not refusal:
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            headers = [(b"content-type", TEXT_TYPE.encode()), (b"content-length", b"%d" % len(refusal))]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": refusal.encode()})

    return answer


async def accept_one(accept: Callable[[], Awaitable[SocketStream]]) -> SocketStream:
    """The next connection, however long it takes; waits while there are no descriptors for one."""
    while True:
        try:
            return await accept()
        except (OSError, anyio.BrokenResourceError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if isinstance(cause, OSError) and cause.errno in _STARVED:
                log.warning("no connection can be taken: %s", cause.strerror)
                await trio.sleep(_STARVED_PAUSE_S)
            else:  # the peer has gone already
                await trio.lowlevel.checkpoint()


class _EndsWithItsPeer:
    """A stream that ends its connection's tasks when the peer hangs up; anycorn would keep them until its idle time is over."""

    def __init__(self, stream: SocketStream, scope: trio.CancelScope) -> None:
        self._stream = stream
        self._scope = scope
        self.send = stream.send
        self.send_eof = stream.send_eof
        self.aclose = stream.aclose
        self.extra = stream.extra

    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            return await self._stream.receive(max_bytes)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._scope.cancel()
            raise


async def _close(stream: SocketStream) -> None:
    with trio.CancelScope(shield=True):
        await anyio.aclose_forcefully(stream)


def _config() -> anycorn.config.Config:
    config = anycorn.config.Config()
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.keep_alive_timeout = _IDLE_S
    config.max_app_queue_size = 4
    return config
