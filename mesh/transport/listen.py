"""Listening sockets and the accept machine on the ring.

It must survive what the kernel throws at an accept loop: aborted connections are skipped, and when descriptors or memory
run out it backs off for a moment instead of spinning.
"""

import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

from mesh.transport.ring import READ, Ring

_BACKLOG = 4096
_ACCEPTS_A_TURN = 32
_BACK_OFF_S = 0.1
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger("linkspan.transport")

Accepted = Callable[[socket.socket, tuple[str, int]], None]


def open_listener(address: str, port: int) -> socket.socket:
    """A non-blocking TCP listener on `address`:`port` (0 picks a free one).

    Nagle's algorithm is off; accepted sockets inherit that on Linux, which saves a call for each.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


class Acceptor:
    """Accepts on one listener and hands each new non-blocking socket to `accepted`, which takes it over."""

    def __init__(self, ring: Ring, listener: socket.socket, accepted: Accepted) -> None:
        self._ring = ring
        self._listener = listener
        self._fd = listener.fileno()
        self._accepted = accepted
        self._open = True
        self.exhaustions = 0
        ring.add(self._fd, self, READ)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    def on_ready(self, mask: int) -> None:  # noqa: ARG002 - a listener is only ever readable
        """Accept what waits, a bounded number a turn."""
        for _ in range(_ACCEPTS_A_TURN):
            if not self._open:
                return
            try:
                sock, peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._back_off(error)
                    return
                continue  # the peer gave up while it waited in the queue (ECONNABORTED and kin)
            sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
            self._accepted(sock, peer[:2])

    def _back_off(self, error: OSError) -> None:
        self.exhaustions += 1
        if self.exhaustions == 1:
            _log.error("accepting paused: %s; raise the limit of open files (LimitNOFILE)", error)
        self._ring.remove(self._fd)
        self._ring.later(self._ring.time_s() + _BACK_OFF_S, self._resume)

    def _resume(self) -> None:
        if self._open:
            self._ring.add(self._fd, self, READ)

    def on_failure(self, error: Exception) -> None:
        """A handler failed for one connection: that socket is gone, the listener stays."""

    def close(self) -> None:
        """Stop listening. Idempotent."""
        if self._open:
            self._open = False
            self._ring.remove(self._fd)
            self._listener.close()
