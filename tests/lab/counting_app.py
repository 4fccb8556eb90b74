"""An HTTP/1 application in a thread of the test that keeps every byte it got, and answers whatever it is told to.

It is as naive as applications are: it believes each head that it gets. It must never drop anything that reached it.
"""

import selectors
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_READ_BYTES = 256 * 1024
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """What is written for a request, byte for byte; `closes` ends the connection after it."""

    raw: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    closes: bool = False


SILENCE = Answer(b"")
"""The request is taken and never answered."""


@dataclass(eq=False)
class _Connection:
    sock: socket.socket
    inbox: bytes = b""
    outbox: memoryview = field(default_factory=lambda: memoryview(b""))
    closes: bool = False


class CountingApp:
    """The application. `received` is every byte of every connection, `requests` each whole request's head."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.settimeout(0)
        self.port: int = self._listener.getsockname()[1]
        self.received = bytearray()
        self.requests: list[bytes] = []
        self.connections = 0
        self.answers: dict[bytes, Answer] = {}
        """By request target; others get a plain 200."""
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wake.close()
        self._thread.join(5)

    def _run(self) -> None:
        while True:
            for key, mask in self._selector.select():
                if key.fileobj is self._woken:
                    self._close()
                    return
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._serve(key.data, mask)

    def _close(self) -> None:
        for key in tuple(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        sock.settimeout(0)
        self.connections += 1
        self._selector.register(sock, selectors.EVENT_READ, _Connection(sock))

    def _serve(self, connection: _Connection, mask: int) -> None:
        try:
            if mask & selectors.EVENT_READ and not self._read(connection):
                self._drop(connection)
                return
            while connection.outbox:
                connection.outbox = connection.outbox[connection.sock.send(connection.outbox) :]
        except BlockingIOError:
            self._selector.modify(connection.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
            return
        except OSError:
            self._drop(connection)
            return
        if connection.closes:
            self._drop(connection)
        elif mask & selectors.EVENT_WRITE:
            self._selector.modify(connection.sock, selectors.EVENT_READ, connection)

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.sock)
        connection.sock.close()

    def _read(self, connection: _Connection) -> bool:
        try:
            data = connection.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        self.received += data
        connection.inbox += data
        while not connection.closes:
            head, mark, rest = connection.inbox.partition(_END)
            size = _body_bytes(head, rest) if mark else None
            if size is None:
                break
            connection.inbox = rest[size:]
            self.requests.append(head)
            answer = self.answers.get([*head.split(b" ", 2), b""][1], Answer())
            connection.outbox = memoryview(bytes(connection.outbox) + answer.raw)
            connection.closes = answer.closes
        return True


def _body_bytes(head: bytes, rest: bytes) -> int | None:
    """How long the body is, or None while it is not all here."""
    fields = head.lower().split(b"\r\n")[1:]
    if b"transfer-encoding: chunked" in fields:
        last = 0 if rest.startswith(b"0\r\n") else rest.find(b"\r\n0\r\n") + 2
        end = rest.find(_END, last) if last != 1 else -1
        return end + 4 if end >= 0 else None
    sizes = [int(line.partition(b":")[2]) for line in fields if line.startswith(b"content-length:")]
    size = sizes[0] if sizes else 0
    return size if len(rest) >= size else None
