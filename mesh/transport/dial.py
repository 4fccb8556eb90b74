"""Dialling TCP: a non-blocking connect with a time-out. Addresses are literals from the catalog, never names to resolve.

It must never hand out a blocking socket, and never leak one when it is cancelled.
"""

import errno
import os
import socket

import trio


class DialError(OSError):
    """The peer could not be reached: refused, unreachable or too slow. The message says which and where."""


def open_socket(address: str) -> socket.socket:
    """A non-blocking TCP socket of the address's family, with Nagle's algorithm off."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def dial_tcp(address: str, port: int, *, timeout_s: float) -> socket.socket:
    """Connect to `address`:`port` within `timeout_s`.

    Raises:
        DialError: it could not be reached in time.
    """
    sock = open_socket(address)
    try:
        with trio.move_on_after(timeout_s) as scope:
            await _connect(sock, address, port)
        if scope.cancelled_caught:
            raise DialError(errno.ETIMEDOUT, f"{address}:{port} did not answer within {timeout_s:g} s")
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect(sock: socket.socket, address: str, port: int) -> None:
    code = sock.connect_ex((address, port))
    if code == errno.EINPROGRESS:
        await trio.lowlevel.wait_writable(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    else:
        await trio.lowlevel.checkpoint()
    if code:
        raise DialError(code, f"{address}:{port} could not be reached: {os.strerror(code)}")
