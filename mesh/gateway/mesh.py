"""The mesh gateway: accept, read the server name, decide, dial, relay. One coroutine a connection until bytes flow, then the ring.

It never terminates TLS and never dials what `mesh.gateway.forward` did not name.
"""

import logging
import random
import socket
from collections.abc import Callable
from functools import partial

import msgspec
import trio

from mesh.decide.reach import Hop
from mesh.gateway.forward import Dropped, Forward, Side, decide_forward, order_hops
from mesh.gateway.passages import Passage, Passages, Series, log_drop
from mesh.gateway.settings import GatewaySettings
from mesh.proxy.rarely import Rarely
from mesh.sync.holder import SnapshotHolder
from mesh.sync.link.address import HostPort
from mesh.telemetry.access_log import AccessLog
from mesh.telemetry.metrics import Metrics
from mesh.transport.dial import DialError, dial_tcp, notice_dead_peer
from mesh.transport.listen import Acceptor, open_listener
from mesh.transport.relay import reset
from mesh.transport.ring import Ring
from mesh.transport.shares import Shares, source_of
from mesh.wire.client_hello import ClientHelloError, HelloReader

_READ_BYTES = 4096

_log = logging.getLogger("linkspan.gateway")


class GatewayPorts(msgspec.Struct, frozen=True):
    """Where a running gateway listens; 0: not on that side."""

    lan: int
    wan: int


class MeshGateway:
    """One mesh gateway. `run` serves until cancelled or drained; `drain` ends it."""

    def __init__(
        self,
        settings: GatewaySettings,
        snapshots: SnapshotHolder,
        metrics: Metrics,
        access_log: AccessLog,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._snapshots = snapshots
        self._uniform = uniform
        self._access_log = access_log
        self._ring = Ring()
        self._series = Series(metrics)
        self._passages = Passages(
            self._ring,
            self._series,
            access_log,
            idle_s=settings.limits.idle_s,
            has_catalog=bool(settings.catalog),
        )
        metrics.ring_failures.compute = lambda: self._ring.failures
        self._waiting = Shares(settings.limits.waiting_hellos)
        self._places = Shares(settings.limits.passages)
        self._rarely = Rarely()
        self._acceptors: list[Acceptor] = []
        self._stopped = trio.Event()

    async def run(self, task_status: trio.TaskStatus[GatewayPorts] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and serve; `task_status` gets the ports once both sides listen.

        Raises:
            OSError: an address cannot be listened on.
        """
        unsubscribe = self._snapshots.subscribe(self._passages.judge_again)
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._ring.run)
                ports = [self._listen(nursery, side, at) for side, at in self._sides()]
                task_status.started(GatewayPorts(*ports))
                await self._stopped.wait()
                nursery.cancel_scope.cancel()
        finally:
            unsubscribe()
            self._stop_accepting()
            self._passages.cut_all()
            self._ring.close()

    async def drain(self) -> None:
        """Accept no more, let passages end for up to `drain_s`, cut the rest; `run` then returns.

        Passages to the catalog never end by themselves and cost nothing to cut: they get `catalog_drain_s` only.
        """
        limits = self._settings.limits
        self._stop_accepting()
        with trio.move_on_after(limits.drain_s):
            with trio.move_on_after(limits.catalog_drain_s):
                await self._passages.wait_empty()
            self._passages.cut_catalog()
            await self._passages.wait_empty()
        self._stopped.set()

    def count_bytes(self) -> None:
        """Bring the byte counters up to now; called before every scrape."""
        self._passages.count_bytes()

    @property
    def passages_open(self) -> int:
        """How many connections are carried now."""
        return len(self._passages)

    def _sides(self) -> tuple[tuple[Side, HostPort | None], ...]:
        return (Side.LAN, self._settings.lan), (Side.WAN, self._settings.wan)

    def _listen(self, nursery: trio.Nursery, side: Side, address: HostPort | None) -> int:
        if address is None:
            return 0
        try:
            listener = open_listener(address.host, address.port)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from error

        def accepted(sock: socket.socket, peer: tuple[str, int]) -> None:
            source = source_of(peer[0])
            if not self._waiting.take(source):
                self._drop_over(side, sock, source, "hellos")
            elif not self._places.take(source):
                self._waiting.give_back(source)
                self._drop_over(side, sock, source, "connections")
            else:
                notice_dead_peer(sock)
                nursery.start_soon(self._serve, side, sock, source)

        acceptor = Acceptor(self._ring, listener, accepted)
        self._acceptors.append(acceptor)
        return acceptor.port

    def _stop_accepting(self) -> None:
        while self._acceptors:
            self._acceptors.pop().close()

    async def _serve(self, side: Side, sock: socket.socket, source: str) -> None:
        """One connection from its first byte until it rides the ring. Survives what its two peers do."""
        name, carried = "", False
        try:
            with trio.move_on_after(self._settings.limits.hello_s) as scope:
                name, head = await _read_hello(sock)
            if scope.cancelled_caught:
                self._drop(side, sock, "", "slow_hello")
                return
            verdict = self._decide(side, name)
            if isinstance(verdict, Dropped):
                self._drop(side, sock, name, verdict.reason.value)
                return
            carried = await self._pass_on(side, sock, name, verdict, head, source)
        except ClientHelloError:
            self._drop(side, sock, name, "no_hello")
        except OSError:
            self._drop(side, sock, name, "hang_up")
        finally:
            self._waiting.give_back(source)
            if not carried:
                self._places.give_back(source)
                sock.close()

    def _decide(self, side: Side, name: str) -> Forward | Dropped:
        return decide_forward(side, name, self._snapshots.current, has_catalog=bool(self._settings.catalog))

    async def _pass_on(  # noqa: PLR0917 - what a passage is made of
        self, side: Side, sock: socket.socket, name: str, target: Forward, head: bytes, source: str
    ) -> bool:
        """Dial and relay; returns whether the ring has the socket now."""
        began_s = self._ring.time_s()
        hops = await self._catalog_hops() if target.is_catalog else target.hops
        ordered = order_hops(hops, self._passages.open_by_hop, (self._uniform(), self._uniform()))
        for hop in ordered[: self._settings.limits.tries]:
            try:
                right = await dial_tcp(hop.address, hop.port, timeout_s=self._settings.limits.connect_s)
            except DialError as error:
                self._series.failed.child(side.value, target.service).value += 1
                more = self._rarely.let(("no way", target.service), self._ring.time_s())
                if more is not None:
                    _log.warning("no way to %s: %s%s", target.service, error.strerror or error, more)
                continue
            # The snapshot may have changed while the hop was dialled: a name that went must not slip in.
            verdict = self._decide(side, name)
            if isinstance(verdict, Dropped):
                right.close()
                self._drop(side, sock, name, verdict.reason.value)
                return False
            passage = Passage(side, name, target, hop, began_s, partial(self._places.give_back, source))
            self._passages.carry(passage, sock, right, head)
            return True
        self._drop(side, sock, name, "unreachable")
        return False

    async def _catalog_hops(self) -> tuple[Hop, ...]:
        """The configured catalog's addresses, looked up anew: a name's address may move."""
        hops: list[Hop] = []
        for address in self._settings.catalog:
            try:
                found = await trio.socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            except OSError as error:
                _log.warning("the catalog's name %s cannot be looked up: %s", address.host, error)
                continue
            hops.extend(Hop(str(entry[4][0]), address.port) for entry in found)
        return tuple(dict.fromkeys(hops))

    def _drop(self, side: Side, sock: socket.socket, name: str, reason: str) -> None:
        self._series.dropped.child(side.value, reason).value += 1
        # One line for many: whoever reaches the port can bring about as many as it likes.
        now_s = self._ring.time_s()
        more = self._rarely.let((side, reason), now_s)
        if more is not None:
            log_drop(self._access_log, now_s, side, name, reason, more=more.strip())
        reset(sock)

    def _drop_over(self, side: Side, sock: socket.socket, source: str, what: str) -> None:
        """Turn one away that comes over its source's share, or when nothing is left."""
        more = self._rarely.let(("overload", source), self._ring.time_s())
        if more is not None:
            _log.warning("%s was turned away: no more %s for it now%s", source, what, more)
        self._drop(side, sock, "", "overload")


async def _read_hello(sock: socket.socket) -> tuple[str, bytes]:
    """The server name a caller sends, and every byte read so far.

    Raises:
        ClientHelloError: it is no ClientHello, or the caller hung up in it.
        OSError: the connection broke.
    """
    reader = HelloReader()
    while True:
        await trio.lowlevel.wait_readable(sock)
        try:
            data = sock.recv(_READ_BYTES)
        except BlockingIOError:
            continue
        if not data:
            raise ClientHelloError("the caller hung up before its ClientHello was whole")
        hello = reader.feed(data)
        if hello is not None:
            return hello.server_name, bytes(reader.received)
