"""Serves DNS on one address over UDP and TCP.

UDP takes a batch of datagrams a turn and answers them on the spot; what must wait (recursors, an agent's catalog) goes to a
task of its own, of which there are a bounded number: beyond it datagrams are let fall, as UDP may. On a TCP connection one
query is answered at a time. A connection that says nothing, or reads nothing, is closed.
"""

import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import trio

from catalog.dns.answer.directory import NotHeldError
from catalog.dns.answer.responder import Forward, Responder, size_limit
from catalog.dns.serve.listen import DnsListener
from catalog.dns.serve.recursor import Recursors, receive_message
from catalog.dns.wire.encode import OWN_PAYLOAD_BYTES, Answer, Reply
from catalog.dns.wire.name import FormatError
from catalog.dns.wire.query import Query, Rcode, Type
from catalog.dns.wire.response import cut_to, question_of

logger = logging.getLogger(__name__)

BATCH = 16
FILL_ROUNDS = 16
CHASED_RECORDS = 64
_FEW_DESCRIPTORS_PAUSE_S = 0.2

Fill = Callable[[str], Awaitable[bool]]
"""Makes a directory hold what it did not; False if it cannot be had now."""


class DnsLimits(msgspec.Struct, frozen=True):
    """What askers may use."""

    waiting: int = 512
    connections: int = 512
    connections_per_address: int = 128
    idle_s: float = 10.0
    write_s: float = 5.0
    message_bytes: int = OWN_PAYLOAD_BYTES


class DnsServer:
    """Answers on sockets that `listen_dns` made."""

    def __init__(
        self,
        responder: Responder,
        recursors: Recursors | None = None,
        fill: Fill | None = None,
        limits: DnsLimits = DnsLimits(),  # noqa: B008 - a frozen value
    ) -> None:
        self._responder = responder
        self._recursors = recursors
        self._fill = fill
        self._limits = limits
        self._waiting = 0
        self._open: Counter[str] = Counter()

    async def run(self, listener: DnsListener, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. The listener is the caller's to close."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve_udp, listener.udp, nursery)
            nursery.start_soon(self._serve_tcp, listener.tcp, nursery)
            task_status.started()

    async def answer(self, data: bytes, *, over_tcp: bool) -> bytes | None:
        """The response to a message, however long it takes to know it; None is silence. Survives every fault of its making."""
        try:
            return await self._answer(data, over_tcp=over_tcp)
        except Exception:  # the root of one question: a fault nobody foresaw costs this answer, not the server
            logger.exception("a DNS question could not be answered")
            return self._responder.failure(data)

    async def _answer(self, data: bytes, *, over_tcp: bool) -> bytes | None:
        for _ in range(FILL_ROUNDS):
            try:
                result = self._responder.respond(data, over_tcp=over_tcp)
            except NotHeldError as missing:
                if self._fill is None or not await self._fill(missing.what):
                    break
                continue
            if isinstance(result, Forward):
                return await self._forward(result, over_tcp=over_tcp)
            return result
        return self._responder.failure(data)

    async def _forward(self, forward: Forward, *, over_tcp: bool) -> bytes:
        query, reply = forward.query, forward.reply
        assert self._recursors is not None
        if reply is not None:
            return self._responder.encode(query, await self._chased(query, reply, forward.name), over_tcp=over_tcp)
        data = await self._recursors.ask(query, over_tcp=over_tcp)
        try:
            if data is not None:
                return cut_to(data, size_limit(query, over_tcp=over_tcp))
        except FormatError:
            logger.debug("a recursor's response could not be read")
        return self._responder.encode(query, Reply(Rcode.SERVFAIL, authoritative=False), over_tcp=over_tcp)

    async def _chased(self, query: Query, reply: Reply, name: bytes) -> Reply:
        """The reply with what its CNAME leads to outside; without it if the recursors do not know."""
        assert self._recursors is not None
        kind = Type.A if query.type == Type.ANY else query.type
        response = await self._recursors.resolve(question_of(name, kind))
        if response is None:
            return reply
        found = [record for record in response.answers if record.type in {kind, Type.CNAME}]
        return reply._replace(answers=[*reply.answers, *(Answer(record) for record in found[:CHASED_RECORDS])])

    # UDP.

    async def _serve_udp(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(sock)
            for _ in range(BATCH):
                try:
                    data, ancillary, _, peer = sock.recvmsg(OWN_PAYLOAD_BYTES, 64)
                except BlockingIOError:
                    break
                except OSError:  # what the network says of a datagram sent before, e.g. that nobody listens there
                    continue
                self._datagram(sock, data, (ancillary, peer), nursery)

    def _datagram(self, sock: socket.socket, data: bytes, back: tuple[list[Any], Any], nursery: trio.Nursery) -> None:
        """Answer now if that is possible. Survives every fault of an answer's making."""
        try:
            result = self._responder.respond(data, over_tcp=False)
        except NotHeldError:
            self._later(sock, data, back, nursery)
            return
        except Exception:  # the root of one datagram: a fault nobody foresaw costs this answer, not the server
            logger.exception("a DNS question could not be answered")
            result = self._responder.failure(data)
        if isinstance(result, Forward):
            self._later(sock, data, back, nursery)
        elif result is not None:
            _send(sock, result, back)

    def _later(self, sock: socket.socket, data: bytes, back: tuple[list[Any], Any], nursery: trio.Nursery) -> None:
        if self._waiting < self._limits.waiting:
            self._waiting += 1
            nursery.start_soon(self._answer_later, sock, data, back)

    async def _answer_later(self, sock: socket.socket, data: bytes, back: tuple[list[Any], Any]) -> None:
        try:
            result = await self.answer(data, over_tcp=False)
            if result is not None:
                _send(sock, result, back)
        finally:
            self._waiting -= 1

    # TCP.

    async def _serve_tcp(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock.dup()))
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    logger.warning("no DNS connection can be taken: %s", error)
                    await trio.sleep(_FEW_DESCRIPTORS_PAUSE_S)
                    continue
                address = _address_of(stream)
                if (
                    self._open.total() >= self._limits.connections
                    or self._open[address] >= self._limits.connections_per_address
                ):
                    await trio.aclose_forcefully(stream)
                    continue
                self._open[address] += 1
                nursery.start_soon(self._connection, stream, address)

    async def _connection(self, stream: trio.SocketStream, address: str) -> None:
        try:
            while await self._serve_one(stream):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass  # the peer is gone, or as good as gone
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _serve_one(self, stream: trio.SocketStream) -> bool:
        """Take one query of a connection and answer it; False ends the connection."""
        with trio.fail_after(self._limits.idle_s):
            data = await receive_message(stream, self._limits.message_bytes)
        if data is None:
            return False
        result = await self.answer(data, over_tcp=True)
        if result is None:
            return False
        with trio.fail_after(self._limits.write_s):
            await stream.send_all(len(result).to_bytes(2, "big") + result)
        return True


def _address_of(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return ""


def _send(sock: socket.socket, data: bytes, back: tuple[list[Any], Any]) -> None:
    """Send a datagram to where one came from, from the address that it came to. Lost if the network takes none now."""
    ancillary, peer = back
    try:
        if ancillary:
            sock.sendmsg([data], ancillary, 0, peer)
        else:
            sock.sendto(data, peer)
    except OSError as error:
        logger.debug("a DNS answer was lost: %s", error)
