"""One HTTP request as it stands, for targets that clients would tidy. It must never be imported by anything but tests."""

from typing import NamedTuple

import trio


class RawAnswer(NamedTuple):
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(port: int, method: str, target: str, body: bytes = b"") -> RawAnswer:
    """Send one request to the loopback port and read until the server closes."""
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    received = b""
    with trio.fail_after(10):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(head.encode() + body)
            while chunk := await stream.receive_some(65536):
                received += chunk
    top, _, rest = received.partition(b"\r\n\r\n")
    line, *fields = top.decode("latin-1").split("\r\n")
    pairs = (field.partition(":") for field in fields)
    return RawAnswer(int(line.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, rest)
