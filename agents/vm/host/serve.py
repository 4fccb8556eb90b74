"""Listening: loopback TCP for the API, a Unix socket for proxies, and anycorn behind both.

It must refuse every TCP address that is not loopback, and never leave the Unix socket open to others than its group.
"""

import grp
import ipaddress
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import anycorn
import anycorn.config
import trio

from agents.vm.api.call import App, Receive, Scope, Send
from mesh.sync.link.address import InvalidAddressError, parse_host_port

SOCKET_MODE = 0o660
BACKLOG = 512
_IDLE_S = 75.0
_GRACE_S = 0.5


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
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` on `sock` until `until` returns; what runs then has half a second."""
    config = anycorn.config.Config()
    config.bind = [f"fd://{os.dup(sock.fileno())}"]
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.keep_alive_timeout = _IDLE_S
    config.graceful_timeout = _GRACE_S
    config.max_app_queue_size = 4
    async with trio.open_nursery() as nursery:
        await nursery.start(_run, app, config, until)
        task_status.started()


async def _run(
    app: App,
    config: anycorn.config.Config,
    until: Callable[[], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED,
) -> None:
    await anycorn.serve(cast("Any", _without_lifespan(app)), config, shutdown_trigger=until, task_status=task_status)


def _without_lifespan(app: App) -> App:
    """`app`, with the server's start and stop messages answered here: nothing of ours depends on them."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    return answer
