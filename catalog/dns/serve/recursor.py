"""Asks other DNS servers for names that are not ours: in order, each with its time, and only what was asked is believed.

Every question goes out with an id of its own from a port of its own (RFC 5452).
"""

import secrets
import socket
from collections.abc import Sequence
from ipaddress import ip_address

import trio

from catalog.dns.wire.encode import OWN_PAYLOAD_BYTES
from catalog.dns.wire.name import FormatError
from catalog.dns.wire.query import CLASSIC_BYTES, Query, Rcode
from catalog.dns.wire.response import Response, encode_query, matches, read_response

PORT = 53
CONCURRENT = 256
_FINAL = {Rcode.NOERROR, Rcode.NXDOMAIN}
_ENVELOPE = 65535


def parse_recursor(text: str) -> tuple[str, int]:
    """Address and port of `10.0.0.2`, `10.0.0.2:53`, `2001:db8::1` or `[2001:db8::1]:53`.

    Raises:
        ValueError: it is none of them.
    """
    host, port = text, str(PORT)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            host = ""
        port = rest[1:] or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        address = str(ip_address(host))
    except ValueError:
        address = ""
    if not address or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is no DNS server: write an IP address, with :PORT if it is not 53")
    return address, int(port)


class Recursors:
    """The DNS servers behind. `ask` gives None when none of them answered."""

    def __init__(self, servers: Sequence[str], timeout_s: float = 2.0, concurrent: int = CONCURRENT) -> None:
        self._servers = [parse_recursor(server) for server in servers]
        self._timeout_s = timeout_s
        self._free = concurrent

    async def ask(self, query: Query, *, over_tcp: bool) -> bytes | None:
        """The response to the question with the asker's id, or None.

        One that is truncated is asked again over TCP if the asker came by TCP; another asker will come again by TCP itself.
        A server that refuses or fails is passed over, and its answer given only if no other has one.
        """
        if self._free < 1:
            return None
        self._free -= 1
        try:
            return await self._ask(query, over_tcp=over_tcp)
        finally:
            self._free += 1

    async def resolve(self, name: Query) -> Response | None:
        """The response to a question of our own, read."""
        data = await self.ask(name, over_tcp=True)
        try:
            return None if data is None else read_response(data)
        except FormatError:
            return None

    async def _ask(self, query: Query, *, over_tcp: bool) -> bytes | None:
        second_best = None
        for server in self._servers:
            data = None
            with trio.move_on_after(self._timeout_s):
                data = await self._exchange(server, query, over_tcp=over_tcp)
            if data is not None and data[3] & 15 in _FINAL:
                return _with_id(data, query)
            second_best = second_best or data
        return None if second_best is None else _with_id(second_best, query)

    async def _exchange(self, server: tuple[str, int], query: Query, *, over_tcp: bool) -> bytes | None:
        """One server's response, over TCP if that of UDP was cut; None if it cannot be reached."""
        payload = OWN_PAYLOAD_BYTES if over_tcp else min(max(query.payload_bytes, CLASSIC_BYTES), OWN_PAYLOAD_BYTES)
        sent = encode_query(query, secrets.randbelow(0x10000), payload)
        try:
            data = await _by_udp(server, sent)
            if over_tcp and data[2] & 2:
                return await _by_tcp(server, sent) or data
        except OSError:
            return None
        return data


def _with_id(data: bytes, query: Query) -> bytes:
    return query.id.to_bytes(2, "big") + data[2:]


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


async def _by_udp(server: tuple[str, int], sent: bytes) -> bytes:
    """The response from a port of our own; what does not match is let fall, until the caller's time is over."""
    with trio.socket.socket(_family(server[0]), socket.SOCK_DGRAM) as sock:
        await sock.connect(server)
        await sock.send(sent)
        while True:
            data = await sock.recv(_ENVELOPE)
            if matches(data, sent):
                return data


async def _by_tcp(server: tuple[str, int], sent: bytes) -> bytes | None:
    with trio.socket.socket(_family(server[0]), socket.SOCK_STREAM) as sock:
        await sock.connect(server)
        stream = trio.SocketStream(sock)
        await stream.send_all(len(sent).to_bytes(2, "big") + sent)
        data = await receive_message(stream, _ENVELOPE)
        return data if data is not None and matches(data, sent) else None


async def receive_message(stream: trio.abc.ReceiveStream, limit_bytes: int) -> bytes | None:
    """One message with its length in front (RFC 1035 4.2.2); None if the peer ended, or announced more than the limit.

    Raises:
        trio.BrokenResourceError: the connection is gone.
    """
    buffer = b""
    size = 2
    while len(buffer) < size:
        part = await stream.receive_some(size - len(buffer))
        if not part:
            return None
        buffer += part
        if size == 2 and len(buffer) == 2:
            announced = int.from_bytes(buffer, "big")
            if announced > limit_bytes:
                return None
            size = 2 + announced
    return bytes(buffer[2:])
