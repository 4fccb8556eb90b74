"""The process under attack: raw bytes to it, and what it holds: descriptors, memory, whether it still answers."""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.lab.process import wait_until
from tests.system.dns.site import Place

SLACK_DESCRIPTORS = 8
"""What a process may have open more than before without having leaked: a database's file, a kept connection."""


class Reply(NamedTuple):
    """An answer as it came: status 0 if the connection ended without one."""

    status: int
    head: str
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


class Facts(NamedTuple):
    """What a process holds."""

    descriptors: int
    resident_kb: int
    threads: int


class Target:
    """A real process by its place; addressed as bytes, so that anything can be said to it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        host, _, port = place.api.removeprefix("http://").rpartition(":")
        self.address = (host, int(port))

    @property
    def facts(self) -> Facts:
        """What it holds now."""
        root = Path(f"/proc/{self.place.daemon.pid}")
        status = (root / "status").read_text()
        numbers = {name: int(value) for name, value in re.findall(r"^(VmRSS|Threads):\s+(\d+)", status, re.MULTILINE)}
        return Facts(len(os.listdir(root / "fd")), numbers["VmRSS"], numbers["Threads"])  # noqa: PTH208 - names suffice

    @contextmanager
    def line(self, timeout_s: float = 20.0, source: str = "") -> Iterator[socket.socket]:
        """A connection to it, from the address `source` of this machine if it matters."""
        with closing(socket.create_connection(self.address, timeout_s, (source, 0) if source else None)) as made:
            yield made

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        *,
        token: str | None = None,
        source: str = "",
    ) -> Reply:
        """One request on a connection of its own, sent as it stands; with the operator's token unless another is given."""
        token = self.place.token if token is None else token
        fields = [("Host", "localhost"), ("Connection", "close"), ("Content-Length", str(len(body))), *headers]
        if token:
            fields.append(("X-Consul-Token", token))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
        return self.say(head.encode("latin-1") + body, source=source)

    def say(self, raw: bytes, *, source: str = "", timeout_s: float = 20.0) -> Reply:
        """Send bytes and read what comes until the end, or until the answer's stated length is there."""
        begun_s = time.monotonic()
        with self.line(timeout_s, source) as line:
            with suppress(ConnectionResetError, BrokenPipeError):  # it may answer before all of it is sent
                line.sendall(raw)
            return read_reply(line, begun_s)

    @contextmanager
    def keeps_its_own(self, *, within_s: float = 15.0, growth_kb: int = 32 * 1024) -> Iterator[None]:
        """After the block the process is back, in some seconds, at the descriptors, threads and about the memory it had."""
        before = self.facts
        yield

        def back() -> bool:
            now = self.facts
            return now.descriptors <= before.descriptors + SLACK_DESCRIPTORS

        self.place.daemon.wait_until(back, f"descriptors as before: {before}, now {self.facts}", timeout_s=within_s)
        after = self.facts
        assert after.resident_kb <= before.resident_kb + growth_kb, (before, after)
        self.is_well()

    def is_well(self) -> None:
        """It lives, answers at once, and has logged no traceback."""
        assert self.place.daemon.alive, self.place.daemon.tail()
        reply = self.ask("GET", "/v1/status/leader")
        assert reply.status == 200, reply
        assert reply.seconds < 5, reply
        log = self.place.daemon.log.read_text(errors="replace")
        assert "Traceback" not in log, log[log.index("Traceback") :][:3000]


def read_reply(line: socket.socket, begun_s: float) -> Reply:
    """What comes back until the end, or until the stated length is there; status 0 if nothing came."""
    data = b""
    with suppress(ConnectionResetError, TimeoutError):
        while chunk := line.recv(65536):
            data += chunk
            head, separator, body = data.partition(b"\r\n\r\n")
            stated = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            if separator and stated and len(body) >= int(stated[1]):
                break
    head, _, body = data.partition(b"\r\n\r\n")
    status = int(head[9:12]) if head.startswith(b"HTTP/1.") else 0
    return Reply(status, head.decode("latin-1"), body, time.monotonic() - begun_s)


def soon(condition: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
    """Wait until something is so."""
    wait_until(condition, what, timeout_s=timeout_s)
