"""A server in threads whose every connection is a script of the test, on blocking sockets.

It must never outlive its block, nor share code with the proxies under test.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Talk = Callable[[socket.socket], None]


class RawServer:
    """Calls `talk` with each accepted connection, in a thread; `context` makes it a TLS server. Use as a context manager."""

    def __init__(self, talk: Talk, context: ssl.SSLContext | None = None) -> None:
        self._talk = talk
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.errors: list[BaseException] = []
        """What scripts raised besides broken connections."""
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(8)
        try:
            tls = self._context.wrap_socket(sock, server_side=True) if self._context is not None else sock
            with contextlib.closing(tls):
                self._talk(tls)
        except OSError:
            sock.close()
        except Exception as error:  # noqa: BLE001 - a script failed: the test looks at it
            self.errors.append(error)


def read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    """A head, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError(f"the other side closed within a head: {data!r}")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def read_exactly(sock: socket.socket, size: int, begun: bytes = b"") -> bytes:
    """So many bytes, the `begun` ones included."""
    data = bytearray(begun)
    while len(data) < size:
        piece = sock.recv(min(65536, size - len(data)))
        if not piece:
            raise ConnectionError(f"the other side closed after {len(data)} of {size} bytes")
        data += piece
    return bytes(data)


def read_to_end(sock: socket.socket) -> bytes:
    """Everything until the other side ends."""
    data = bytearray()
    while piece := sock.recv(65536):
        data += piece
    return bytes(data)
