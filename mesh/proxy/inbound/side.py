"""The serving side of a proxy: accepts mesh peers, identifies them, and judges every stream and request they send.

Identity belongs to the connection, authorisation to each stream. A peer that is denied keeps its trunk and gets refusals; one
whose certificate is not acceptable gets nothing. What cannot be judged is denied.
"""

import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial

from mesh.decide.authorise import Denied, Permit, Policy, compile_policy
from mesh.identity.peer import PeerRefusedError, explain_handshake_failure, inspect_peer, recheck_peer
from mesh.model.snapshot import Snapshot
from mesh.proxy.http.client import ClientConnection
from mesh.proxy.http.form import TrunkForms
from mesh.proxy.http.origin import OriginPool
from mesh.proxy.inbound.admission import Refusal, find_refusal
from mesh.proxy.inbound.caller import Caller, certificate_of
from mesh.proxy.inbound.exchange import InboundExchange
from mesh.proxy.inbound.guest import HttpGuest, TrunkGuest, TurnedAway
from mesh.proxy.inbound.held import Held
from mesh.proxy.link import Link
from mesh.proxy.parts import HTTP_ALPN, HTTP_PROTOCOLS, Parts
from mesh.proxy.pipe import StreamPipe
from mesh.proxy.rarely import Rarely
from mesh.proxy.record import ALLOW, DENY, REVOKED, Brief, Recorder
from mesh.proxy.settings import InboundSettings
from mesh.transport.dial import dial_tcp, notice_dead_peer
from mesh.transport.listen import Acceptor, open_listener
from mesh.transport.relay import Relay, RelayEnd
from mesh.transport.standing import root_digest, trusted_digests
from mesh.transport.tls import HandshakeError, SilentPeerError, handshake
from mesh.wire.http1.memo import Memo
from mesh.wire.http1.request import RequestMemo
from mesh.wire.trunk import Trunk
from mesh.wire.trunk_events import TrunkLimits
from mesh.wire.trunk_frames import ALPN, Code

_EXPIRY_EVERY_S = 1.0
_TURN_AWAY_S = 1.0
"""How long a peer that gets no trunk may take to read why."""
_MOST_TURNED_AWAY = 64

_log = logging.getLogger("linkspan.proxy")


class InboundSide:
    """One mesh listener with the application behind it."""

    def __init__(self, parts: Parts, settings: InboundSettings, recorder: Recorder, snapshot: Snapshot) -> None:
        self._parts = parts
        self._settings = settings
        self.ring = parts.ring
        self.timeouts = parts.timeouts
        self.recorder = recorder
        self.forms = TrunkForms()
        self.memo: RequestMemo = Memo()
        self.live: dict[InboundExchange, None] = {}
        self.pipes: dict[StreamPipe, Caller] = {}
        self.links: dict[Link, TrunkGuest] = {}
        self.clients: dict[ClientConnection, HttpGuest] = {}
        self.relays: dict[Relay, Caller] = {}
        self._joining: dict[ssl.SSLSocket, Caller] = {}
        self._turned_away: dict[Link, None] = {}
        self._rarely = Rarely()
        self.is_draining = False
        self._snapshot = snapshot
        self.policy: Policy = _policy_of(snapshot)
        self.paths: Memo[bytes, tuple[bytes, bytes]] = Memo()
        self._greeting = 0
        self._next_expiry_s = 0.0
        self.pool = OriginPool(
            parts.ring,
            parts.start,
            self._dial_app,
            max_idle=parts.limits.app_idle_connections,
            max_pending=parts.limits.pending,
        )
        listener = open_listener(settings.address, settings.port)
        self._acceptor = Acceptor(parts.ring, listener, self._on_accepted)
        self.port = self._acceptor.port
        metrics = recorder.metrics
        self._open = metrics.connections_open.child("inbound")
        self._total = metrics.connections.child("inbound")
        self._silent = metrics.silent.child("inbound")
        self._trunks = metrics.trunks_open.child("inbound")
        limits = TrunkLimits(max_streams=parts.limits.streams_a_trunk)
        self._held = Held(self.links, parts.limits.held_bytes, limits, metrics)
        parts.sweep.add(self)

    # -- judgement --

    def judge_stream(self, caller: Caller) -> Permit | Denied:
        """The verdict on bytes that are not parsed."""
        return self.policy.opaque(caller.spiffe_id)

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Decide from `snapshot` from now on, and cut at once what it forbids."""
        old, self._snapshot = self._snapshot, snapshot
        if (snapshot.intentions, snapshot.local) != (old.intentions, old.local):
            self.policy = _policy_of(snapshot)
            self._recheck()
        if snapshot.roots != old.roots:
            self._recheck_peers()

    def _recheck(self) -> None:
        for exchange in tuple(self.live):
            denied = exchange.recheck()
            if denied is not None:
                self._log_revoked(exchange.caller, denied)
                exchange.revoke(denied)
        for pipe, caller in tuple(self.pipes.items()):
            verdict = self.judge_stream(caller)
            if isinstance(verdict, Denied):
                self._log_revoked(caller, verdict)
                self.recorder.revoked(caller.pair)
                pipe.about = verdict
                pipe.cut(Code.DENIED, f"revoked: {verdict.reason}")
        for relay, caller in tuple(self.relays.items()):
            verdict = self.judge_stream(caller)
            if isinstance(verdict, Denied):
                self._log_revoked(caller, verdict)
                self.recorder.revoked(caller.pair)
                relay.cut(f"revoked: {verdict.reason}")

    def _log_revoked(self, caller: Caller, denied: Denied) -> None:
        _log.warning("cut a live stream of %s: %s (%s)", caller.spiffe_id, denied.reason, denied.rule)

    def _recheck_peers(self) -> None:
        """Close the connections whose certificate is not acceptable any more."""
        roots, now_s = self._snapshot.roots or self._parts.identity.roots, self._parts.wall_clock()
        holders: list[tuple[Caller, Callable[[str], None]]] = [
            *((guest.caller, link.close) for link, guest in self.links.items()),
            *((guest.caller, client.cut) for client, guest in self.clients.items()),
            *((caller, relay.cut) for relay, caller in self.relays.items()),
        ]
        # By the roots that handshakes use: a bundle that cannot be used is not in force.
        trusted = trusted_digests(self._parts.identity.roots)
        for caller, cut in holders:
            try:
                recheck_peer(caller.peer, roots, now_s)
                if caller.root not in trusted:
                    raise PeerRefusedError(f"the root of {caller.spiffe_id}'s certificate is trusted no more")  # noqa: TRY301 - one place says what a refusal brings
            except PeerRefusedError as error:
                _log.warning("cut a connection: %s", error.reason)
                self.recorder.revoked(caller.pair)
                cut(f"revoked: {error.reason}")

    # -- accepting --

    async def _dial_app(self) -> socket.socket:
        settings = self._settings
        return await dial_tcp(settings.app_address, settings.app_port, timeout_s=self.timeouts.connect_s)

    def _on_accepted(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        standing = self._standing + self._greeting
        if standing >= self._parts.limits.connections:
            self._turn_away("limit", peer[0], f"{peer[0]} was turned away: {standing} connections are open")
            sock.close()
            return
        notice_dead_peer(sock)
        self._greeting += 1
        self._parts.start(self._welcome, sock, peer)

    async def _welcome(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        """Shake hands, identify, and hand the connection to the ring."""
        try:
            context = self._parts.identity.server_context((ALPN, HTTP_ALPN))
            tls = await handshake(sock, context, timeout_s=self.timeouts.handshake_s)
        except SilentPeerError as error:
            # What a TCP health check does, several times a minute: no fault of anybody's.
            self._silent.value += 1
            _log.debug("%s: %s", peer[0], error)
            return
        except HandshakeError as error:
            cause = error.__cause__
            text = explain_handshake_failure(cause) if isinstance(cause, OSError) else str(error)
            self._refuse("handshake", f"{peer[0]} was refused: {text}")
            return
        finally:
            self._greeting -= 1
        try:
            caller = self._identify(tls)
        except PeerRefusedError as error:
            self._refuse("identity", f"{peer[0]} was refused: {error.reason}")
            tls.close()
            return
        if self.is_draining:
            tls.close()
            return
        refusal = self._find_refusal(tls, caller)
        if refusal is None:
            self._seat(tls, caller)
            return
        text = f"{peer[0]} was turned away: {caller.spiffe_id}: {refusal.text}"
        self._turn_away(refusal.reason, caller.peer.serial, text)
        self._say_goodbye(tls, refusal)

    @property
    def _standing(self) -> int:
        return len(self.links) + len(self.clients) + len(self.relays) + len(self._joining)

    def _find_refusal(self, tls: ssl.SSLSocket, caller: Caller) -> Refusal | None:
        trunks = [guest.caller.peer for guest in self.links.values()]
        others = [guest.caller.peer for guest in self.clients.values()]
        others += [one.peer for one in (*self.relays.values(), *self._joining.values())]
        is_trunk = tls.selected_alpn_protocol() == ALPN
        return find_refusal(caller.peer, trunks, others, self._parts.limits, is_trunk=is_trunk)

    def _say_goodbye(self, tls: ssl.SSLSocket, refusal: Refusal) -> None:
        """Close what may not come in: a trunk gets a GOAWAY and a moment to read it, so that its streams are known as not begun."""
        if tls.selected_alpn_protocol() != ALPN or len(self._turned_away) >= _MOST_TURNED_AWAY:
            tls.close()
            return
        link = Link(self.ring, tls, Trunk(is_dialler=False), TurnedAway(self._turned_away))
        self._turned_away[link] = None
        link.leave(Code.REFUSED, refusal.text)
        self.ring.later(self.ring.time_s() + _TURN_AWAY_S, partial(link.close, "turned away"))

    def _turn_away(self, reason: str, subject: str, text: str) -> None:
        """Count a connection that comes over a limit; one line for many."""
        self.recorder.metrics.refused.child("inbound", reason).value += 1
        more = self._rarely.let((reason, subject), self.ring.time_s())
        if more is not None:
            _log.warning("%s%s", text, more)

    def _identify(self, tls: ssl.SSLSocket) -> Caller:
        parts = self._parts
        roots = self._snapshot.roots or parts.identity.roots
        known = inspect_peer(tls, roots, parts.wall_clock())
        destination = self._snapshot.local.service
        caller = Caller(known, str(parts.identity.spiffe_id), certificate_of(tls), self.recorder, destination)
        caller.root = root_digest(tls)
        if caller.root not in trusted_digests(parts.identity.roots):
            # The bundle has changed while hands were shaken.
            raise PeerRefusedError(f"the root of {caller.spiffe_id}'s certificate is trusted no more")
        return caller

    def _seat(self, tls: ssl.SSLSocket, caller: Caller) -> None:
        self._total.value += 1
        chosen = tls.selected_alpn_protocol()
        if chosen == ALPN:
            guest = TrunkGuest(self, caller)
            trunk = Trunk(is_dialler=False, limits=self._held.limits)
            self.links[Link(self.ring, tls, trunk, guest, self._held.meter)] = guest
        elif chosen == HTTP_ALPN or self.policy.protocol in HTTP_PROTOCOLS:
            keeper = HttpGuest(self, caller)
            client = ClientConnection(self.ring, tls, self.memo, keeper)
            self.clients[client] = keeper
        else:
            verdict = self.judge_stream(caller)
            if isinstance(verdict, Denied):
                self._record_denied(caller, verdict)
                tls.close()
            else:
                self._parts.start(self._relay, tls, caller, verdict)

    async def _relay(self, tls: ssl.SSLSocket, caller: Caller, permit: Permit) -> None:
        """A TCP stream of a peer that is not Linkspan: one TLS connection each."""
        self._joining[tls] = caller
        try:
            sock = await self._dial_app()
        except OSError as error:
            _log.warning("the application could not be reached: %s", error.strerror)
            tls.close()
            return
        except BaseException:
            tls.close()
            raise
        finally:
            del self._joining[tls]
        started_s = self.ring.time_s()

        def ended(end: RelayEnd) -> None:
            self.relays.pop(relay, None)
            series.open.value -= 1
            self.recorder.stream(
                Brief(
                    caller.pair,
                    started_s,
                    received_bytes=end.bytes_to_right,
                    sent_bytes=end.bytes_to_left,
                    decision=REVOKED if end.reason.startswith("revoked") else ALLOW,
                    rule=permit.rule,
                    error="" if end.reason == "closed" else end.reason,
                )
            )

        series = caller.pair.streams
        series.total.value += 1
        series.open.value += 1
        relay = Relay(self.ring, tls, sock, idle_timeout_s=self.timeouts.tcp_idle_s, on_end=ended)
        self.relays[relay] = caller

    def _record_denied(self, caller: Caller, denied: Denied) -> None:
        self.recorder.denied(caller.pair)
        self.recorder.stream(Brief(caller.pair, self.ring.now_s, decision=DENY, rule=denied.rule))

    def _refuse(self, reason: str, text: str) -> None:
        self.recorder.metrics.refused.child("inbound", reason).value += 1
        _log.warning("%s", text)

    # -- streams --

    def connect_app(self, pipe: StreamPipe) -> None:
        """Dial the application for a TCP stream."""
        self._parts.start(self._connect_app, pipe)

    async def _connect_app(self, pipe: StreamPipe) -> None:
        try:
            sock = await self._dial_app()
        except OSError as error:
            pipe.cut(Code.UNREACHABLE, f"the application could not be reached: {error.strerror}")
        else:
            pipe.attach(sock)

    def stream_ended(self, pipe: StreamPipe, reason: str) -> None:
        """Record a TCP stream."""
        caller = self.pipes.pop(pipe)
        caller.pair.streams.open.value -= 1
        is_revoked = isinstance(pipe.about, Denied)
        self.recorder.stream(
            Brief(
                caller.pair,
                pipe.started_s,
                received_bytes=pipe.sent_bytes,
                sent_bytes=pipe.received_bytes,
                decision=REVOKED if is_revoked else ALLOW,
                rule=pipe.about.rule if isinstance(pipe.about, Denied) else str(pipe.about),
                error=reason,
            )
        )

    # -- time --

    def on_sweep(self, now_s: float) -> None:
        """Look at every deadline of this side."""
        for exchange in tuple(self.live):
            if exchange.deadline_s <= now_s:
                exchange.on_deadline()
        for client in tuple(self.clients):
            client.on_sweep(now_s)
        for pipe in tuple(self.pipes):
            pipe.on_sweep(now_s)
        for link in tuple(self.links):
            if link.is_stuck(now_s, self.timeouts.frame_s):
                self._cut_stuck(link)
        self.pool.on_sweep(now_s)
        self._open.value = self._standing
        self._trunks.value = len(self.links)
        self._held.weigh()
        if now_s >= self._next_expiry_s:
            self._next_expiry_s = now_s + _EXPIRY_EVERY_S
            self._recheck_peers()

    def _cut_stuck(self, link: Link) -> None:
        self.recorder.metrics.trunks_cut.child("inbound", "frame").value += 1
        text = f"a frame was begun and not ended within {self.timeouts.frame_s:g} s"
        _log.warning("cut a trunk of %s: %s", self.links[link].caller.spiffe_id, text)
        link.fail(Code.TIMEOUT, text)

    def on_failure(self, error: Exception) -> None:
        """A sweep failed; the ring has logged it."""

    # -- going --

    def rotate(self) -> None:
        """Our certificate changed: callers are asked to come again; what stands is finished on the old trunks."""
        for link in tuple(self.links):
            link.leave(Code.DONE, "certificate rotation")
            if not link.trunk.streams:
                link.close_after_flush("certificate rotation")

    def drain(self) -> None:
        """Accept nothing more, say goodbye, finish what stands."""
        self.is_draining = True
        self._acceptor.close()
        for link in tuple(self.links):
            link.leave(Code.DONE, "draining")
        for client in tuple(self.clients):
            client.drain()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not (self.live or self.pipes or self.relays or self.clients)

    def close(self) -> None:
        """Cut everything that is left."""
        self._acceptor.close()
        self._parts.sweep.discard(self)
        for link in (*self.links, *self._turned_away):
            link.close("this proxy stops")
        for client in tuple(self.clients):
            client.close()
        for relay in tuple(self.relays):
            relay.cut("this proxy stops")
        self.pool.close()


def _policy_of(snapshot: Snapshot) -> Policy:
    return compile_policy(snapshot.intentions, snapshot.local.trust_domain)
