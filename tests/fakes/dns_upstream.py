"""A DNS server of somebody else's, as badly behaved as a test wants it."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import trio

from catalog.dns.serve.listen import listen_dns
from catalog.dns.serve.recursor import receive_message
from catalog.dns.wire.encode import Answer, Reply, encode_reply
from catalog.dns.wire.query import Query, Type, read_query
from catalog.dns.wire.record import address_record


class Behaviour(Protocol):
    """The datagrams, or the one message, that a query over UDP or TCP is answered with."""

    def __call__(self, query: Query, *, over_tcp: bool) -> Sequence[bytes]: ...


def addresses(*packed: bytes, rcode: int = 0) -> Behaviour:
    """Answers every question with those addresses."""

    def answer(query: Query, *, over_tcp: bool) -> Sequence[bytes]:
        answers = [Answer(address_record(query.name, one, 60)) for one in packed]
        limit = 65535 if over_tcp else max(query.payload_bytes, 512)
        return [encode_reply(query, Reply(rcode, answers, authoritative=False), limit, recursive=True)]

    return answer


class Upstream:
    """Where it is, and what it was asked: type, and whether over TCP."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[tuple[Query, bool]] = []

    @property
    def kinds(self) -> list[tuple[Type, bool]]:
        return [(Type(query.type), over_tcp) for query, over_tcp in self.asked]


@asynccontextmanager
async def upstream(behaviour: Behaviour) -> AsyncIterator[Upstream]:
    """The server, while it runs."""
    with listen_dns("127.0.0.1:0") as listener:
        made = Upstream(listener.address)

        async def serve_udp() -> None:
            sock = trio.socket.from_stdlib_socket(listener.udp.dup())
            with sock:
                while True:
                    data, peer = await sock.recvfrom(4096)
                    query = read_query(data)
                    made.asked.append((query, False))
                    for answer in behaviour(query, over_tcp=False):
                        await sock.sendto(answer, peer)

        async def serve_tcp(stream: trio.SocketStream) -> None:
            data = await receive_message(stream, 4096)
            if data is not None:
                query = read_query(data)
                made.asked.append((query, True))
                for answer in behaviour(query, over_tcp=True):
                    await stream.send_all(len(answer).to_bytes(2, "big") + answer)
            await stream.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_udp)
            accepting = trio.SocketListener(trio.socket.from_stdlib_socket(listener.tcp.dup()))
            nursery.start_soon(trio.serve_listeners, serve_tcp, [accepting])
            yield made
            nursery.cancel_scope.cancel()


def silent_address() -> tuple[socket.socket, str]:
    """A socket that takes datagrams and never answers, and its address."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock, f"127.0.0.1:{sock.getsockname()[1]}"
