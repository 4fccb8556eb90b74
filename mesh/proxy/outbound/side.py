"""The calling side of a proxy: one listener for each explicit upstream, and the flows that begin on it.

What the application sends is HTTP or a plain stream as the upstream's chain says, never by guessing from its bytes. It must never call
a service that the snapshot does not hold.
"""

import logging
import random
import socket
from math import inf

from mesh.decide.authorise import Permit, permit_local_app
from mesh.decide.deadline import deadline_s
from mesh.decide.route import RewriteError, pick_leg
from mesh.model.snapshot import Snapshot
from mesh.proxy.http.client import ClientConnection
from mesh.proxy.http.form import TrunkForms, begin_trace, request_form
from mesh.proxy.outbound.directory import Directory, Service
from mesh.proxy.outbound.exchange import OutboundExchange
from mesh.proxy.outbound.stream import OutboundStream
from mesh.proxy.parts import Parts
from mesh.proxy.record import MALFORMED, Brief, Pair, Recorder
from mesh.proxy.settings import Upstream
from mesh.transport.listen import Acceptor, open_listener
from mesh.transport.relay import reset
from mesh.wire.fields import HeadError
from mesh.wire.http1.memo import FIELD_COST_BYTES, Memo
from mesh.wire.http1.request import Request, RequestMemo
from mesh.wire.path import PathError, canonicalise

_EXPIRY_EVERY_S = 1.0

_log = logging.getLogger("linkspan.proxy")


class OutboundSide:
    """All upstreams of one proxy."""

    def __init__(
        self,
        parts: Parts,
        upstreams: tuple[Upstream, ...],
        recorder: Recorder,
        directory: Directory,
        snapshot: Snapshot,
    ) -> None:
        self._parts = parts
        self.ring = parts.ring
        self.timeouts = parts.timeouts
        self.limits = parts.limits
        self.recorder = recorder
        self.directory = directory
        self.forms = TrunkForms()
        self.memo: RequestMemo = Memo()
        self.paths: Memo[bytes, tuple[bytes, bytes]] = Memo()
        self.permit: Permit = permit_local_app(snapshot.local)
        self.live: dict[OutboundExchange, None] = {}
        self.streams: dict[OutboundStream, None] = {}
        self.clients: dict[ClientConnection, None] = {}
        self.is_draining = False
        self._snapshot = snapshot
        self._next_expiry_s = 0.0
        metrics = recorder.metrics
        self.open_connections = metrics.connections_open.child("app")
        self.total_connections = metrics.connections.child("app")
        self._ports = [UpstreamPort(self, parts, upstream, snapshot.local.service) for upstream in upstreams]
        parts.sweep.add(self)

    @property
    def ports(self) -> dict[str, int]:
        """The port of each upstream service."""
        return {port.service_name: port.number for port in self._ports}

    def canonical(self, target: bytes) -> tuple[bytes, bytes]:
        """The canonical path and the query of a target, remembered.

        Raises:
            PathError: it has none.
        """
        line = self.paths.get(target)
        if line is None:
            line = canonicalise(target)
            self.paths.put(target, line, FIELD_COST_BYTES + 3 * len(target))
        return line

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Decide from `snapshot` from now on."""
        old, self._snapshot = self._snapshot, snapshot
        self.permit = permit_local_app(snapshot.local)
        self.directory.on_snapshot(snapshot)
        if (snapshot.roots, snapshot.local) != (old.roots, old.local):
            self.recheck()

    def recheck(self) -> None:
        """Cut what stands to peers that are not acceptable any more: revoked, expired, or not who is meant."""
        self.directory.recheck()
        for stream in tuple(self.streams):
            stream.recheck()

    def on_sweep(self, now_s: float) -> None:
        """Look at every deadline of this side."""
        for client in tuple(self.clients):
            client.on_sweep(now_s)
        for stream in tuple(self.streams):
            stream.on_sweep(now_s)
        self.directory.on_sweep(now_s)
        if now_s >= self._next_expiry_s:
            self._next_expiry_s = now_s + _EXPIRY_EVERY_S
            self.recheck()
        self.open_connections.value = len(self.clients) + len(self.streams)

    def on_failure(self, error: Exception) -> None:
        """A sweep failed; the ring has logged it."""

    @property
    def is_full(self) -> bool:
        """Whether no further connection of the application is taken."""
        return len(self.clients) + len(self.streams) >= self.limits.connections

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not (self.live or self.streams or self.clients)

    def drain(self) -> None:
        """Accept nothing more; finish what stands."""
        self.is_draining = True
        for port in self._ports:
            port.close()
        for client in tuple(self.clients):
            client.drain()

    def close(self) -> None:
        """Cut everything that is left."""
        self._parts.sweep.discard(self)
        for port in self._ports:
            port.close()
        for client in tuple(self.clients):
            client.cut("this proxy stops")
        for stream in tuple(self.streams):
            stream.cut("this proxy stops")
        self.directory.close()


class UpstreamPort:
    """The listener of one upstream, and the keeper of the application's HTTP connections to it."""

    def __init__(self, side: OutboundSide, parts: Parts, upstream: Upstream, source: str) -> None:
        self._side = side
        self._parts = parts
        self.timeouts = parts.timeouts
        self.service_name = upstream.service
        self._pair = Pair(side.recorder, source, upstream.service)
        self._service: Service = side.directory.service(upstream.service)
        self._acceptor = Acceptor(parts.ring, open_listener(upstream.address, upstream.port), self._on_accepted)
        self.number = self._acceptor.port

    @property
    def is_draining(self) -> bool:
        """Whether connections are to be closed after their answer."""
        return self._side.is_draining

    def close(self) -> None:
        """Stop listening."""
        self._acceptor.close()

    def _on_accepted(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        del peer
        side, router = self._side, self._service.router
        if router is None or side.is_full:
            reason = "limit" if router is not None else "no chain"
            side.recorder.metrics.refused.child("app", reason).value += 1
            _log.warning("a connection to %s was refused: %s", self.service_name, reason)
            reset(sock)
            return
        side.total_connections.value += 1
        if router.is_http:
            side.clients[ClientConnection(self._parts.ring, sock, side.memo, self)] = None
            return
        plan = router.route_stream(side.permit)
        leg = pick_leg(plan, random.random())  # noqa: S311 - spreads load, keeps no secret
        OutboundStream(side, sock, leg, plan.route.retry, self._service.budget, self._pair).attempt()

    # -- from the application's connections --

    def begin(self, client: ClientConnection, request: Request) -> None:
        """Route a request and start its exchange."""
        side, router = self._side, self._service.router
        form, target = request_form(request.known), request.target
        if router is None:
            client.answer_plain(503, f"no chain of {self.service_name} is known")
            brief = Brief(self._pair, side.ring.now_s, form.method, target, 503, error="no chain")
            side.recorder.refused(brief)
            return
        try:
            path, query = side.paths.recent.get(target) or side.canonical(target)
            plan = router.route(side.permit, form.method, path, query, form.fields)
            target = (plan.rewrite(path) if plan.route.prefix_rewrite else path) + query
        except (PathError, RewriteError) as error:
            client.answer_plain(400, str(error))
            self._malformed((form.method, target), HeadError(400, str(error)))
            return
        if form.expect_continue:
            client.answer_continue()
        legs = plan.legs
        leg = legs[0] if len(legs) == 1 else pick_leg(plan, random.random())  # noqa: S311 - spreads load, keeps no secret
        now_s, route = side.ring.now_s, plan.route
        idle_s, at_s = 0.0, deadline_s(now_s, route.request_timeout_s, form.left_s)
        if at_s == inf:
            idle_s = route.idle_timeout_s or self.timeouts.stream_idle_s
            at_s = now_s + idle_s
        end = request.end and not form.upgrade
        exchange = client.exchange = OutboundExchange(
            side,
            client,
            self._service,
            self._pair,
            form,
            form.method,
            side.permit.rule,
            form.trace or begin_trace(),
            now_s,
            path,
            target,
            plan,
            leg,
            end,
            end,
            at_s,
            idle_s,
        )
        side.live[exchange] = None
        self._service.budget.request(now_s)
        exchange.attempt()

    def on_malformed(self, client: ClientConnection, error: HeadError) -> None:
        """Count and record it."""
        del client
        self._malformed((b"", b""), error)

    def _malformed(self, line: tuple[bytes, bytes], error: HeadError) -> None:
        recorder = self._side.recorder
        recorder.metrics.malformed.child(recorder.reporter).value += 1
        now_s = self._parts.ring.now_s
        recorder.refused(
            Brief(self._pair, now_s, line[0], line[1], error.status, decision=MALFORMED, error=error.reason)
        )

    def on_closed(self, client: ClientConnection) -> None:
        """Forget it."""
        self._side.clients.pop(client, None)
