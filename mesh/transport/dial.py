"""Dialling TCP: a non-blocking connect with a time-out.

Addresses are literals from the catalog; a name is refused, for resolving it would block everything.

It must never hand out a blocking socket, and never leak one when it is cancelled.
"""

import errno
import os
import socket

import trio


class DialError(OSError):
    """The peer could not be reached: refused, unreachable or too slow. The message says which and where."""


_USER_TIMEOUT_MS = 20_000
_KEEP_ALIVE = (
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
)


def notice_dead_peer(sock: socket.socket, *, must_read: bool = False) -> None:
    """Let the kernel break the connection about 20 s after its peer has vanished without a word (host lost, network cut).

    `must_read`: also when what was sent is not taken for as long; not for peers that may stop reading as they like.
    """
    for option in _KEEP_ALIVE:
        sock.setsockopt(*option)
    if must_read:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)


def open_socket(address: str) -> socket.socket:
    """A non-blocking TCP socket of the address's family, with Nagle's algorithm off.

    Raises:
        OSError: no descriptor is left, or the kernel lacks the family.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


async def dial_tcp(address: str, port: int, *, timeout_s: float) -> socket.socket:
    """Connect to `address`:`port` within `timeout_s`.

    Raises:
        DialError: it could not be reached in time, is no address, or no descriptor is left.
    """
    try:
        place = _place(address, port)
        sock = open_socket(address)
    except OSError as error:
        raise DialError(error.errno, f"{address[:80]}:{port} cannot be dialled: {error.strerror}") from error
    try:
        with trio.move_on_after(timeout_s) as scope:
            await _connect(sock, place, f"{address}:{port}")
        if scope.cancelled_caught:
            raise DialError(errno.ETIMEDOUT, f"{address}:{port} did not answer within {timeout_s:g} s")  # noqa: TRY301 - closes the socket below, as every way out does
    except BaseException:
        sock.close()
        raise
    return sock


def _place(address: str, port: int) -> tuple[str, int]:
    """What `connect` takes, checked: the standard library would look a name up, and wrap or raise on a wrong port."""
    if not 0 < port < 65536:
        raise OSError(errno.EINVAL, "the port is not 1 to 65535")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.inet_pton(family, address.partition("%")[0])
    except (OSError, ValueError) as error:
        raise OSError(errno.EINVAL, "the address is no IP address (names are not resolved)") from error
    return address, port


async def _connect(sock: socket.socket, place: tuple[str, int], name: str) -> None:
    code = sock.connect_ex(place)
    if code == errno.EINPROGRESS:
        await trio.lowlevel.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    else:
        await trio.lowlevel.checkpoint()
    if code:
        raise DialError(code, f"{name} could not be reached: {os.strerror(code)}")
