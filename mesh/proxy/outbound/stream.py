"""One TCP connection of the application to another service: find an instance, then join the two."""

import random
import socket
import ssl
from typing import Protocol

from mesh.decide.authorise import Permit
from mesh.decide.balance import Candidate, choose_target
from mesh.decide.retry import RetryBudget
from mesh.decide.route import LegPlan
from mesh.model.chain import RetryPolicy
from mesh.proxy.http.origin import OriginPool
from mesh.proxy.link import Link
from mesh.proxy.outbound.directory import Directory
from mesh.proxy.pipe import StreamPipe
from mesh.proxy.record import DENY, REVOKED, Brief, Pair, Recorder
from mesh.proxy.settings import Timeouts
from mesh.transport.relay import Relay, RelayEnd, reset
from mesh.transport.ring import Ring


class Carrying(Protocol):
    """The parts of the outbound side that streams use."""

    ring: Ring
    directory: Directory
    recorder: Recorder
    timeouts: Timeouts
    permit: Permit
    streams: "dict[OutboundStream, None]"


class OutboundStream:
    """One stream: its attempts to reach an instance, then its bytes. Owns the application's socket until it is joined."""

    is_http = False

    __slots__ = (
        "_brief",
        "_budget",
        "_candidate",
        "_carrying",
        "_leg",
        "_made",
        "_pair",
        "_pipe",
        "_policy",
        "_relay",
        "_sock",
        "_started_s",
        "_tls",
        "_tried",
    )

    def __init__(  # noqa: PLR0917 - what a stream joins
        self,
        carrying: Carrying,
        sock: socket.socket,
        leg: LegPlan,
        policy: RetryPolicy,
        budget: RetryBudget,
        pair: Pair,
    ) -> None:
        self._carrying = carrying
        self._sock: socket.socket | None = sock
        self._leg = leg
        self._policy = policy
        self._budget = budget
        self._pair = pair
        self._candidate: Candidate | None = None
        self._tried: tuple[Candidate, ...] = ()
        self._made = 0
        self._pipe: StreamPipe | None = None
        self._relay: Relay | None = None
        self._tls: ssl.SSLSocket | None = None
        self._brief = Brief(pair, carrying.ring.now_s, rule=carrying.permit.rule)
        self._started_s = carrying.ring.now_s
        carrying.streams[self] = None
        pair.streams.total.value += 1
        pair.streams.open.value += 1
        budget.request(self._started_s)

    def attempt(self) -> None:
        """Try the best instance now."""
        carrying, leg = self._carrying, self._leg
        if self not in carrying.streams:
            return
        directory, now_s = carrying.directory, carrying.ring.now_s
        target = choose_target(leg.target, leg.failover, directory.is_available) if leg.failover else leg.target
        draws = (random.random(), random.random())  # noqa: S311 - spreads load, keeps no secret
        aim = directory.aim(target)
        candidate = aim.pool.pick_other(carrying.permit, draws, now_s, self._tried)
        if candidate is None:
            self._end(f"no healthy instance of {target.service} is known")
            return
        self._candidate = candidate
        self._made += 1
        self._brief.endpoint = candidate.endpoint.instance
        candidate.load.started(now_s)
        directory.peer(aim, candidate).acquire(self)

    # -- from the peer --

    def on_link(self, link: Link) -> None:
        sock = self._take_socket()
        if sock is None:
            return
        stream = link.trunk.open_tcp()
        link.touch()
        self._pipe = StreamPipe(self._carrying.ring, link, stream, self._carrying.timeouts.tcp_idle_s, self._on_ended)
        self._pipe.attach(sock)

    def on_foreign(self, pool: OriginPool) -> None:
        """Cannot come: only requests share connections."""
        del pool

    def on_foreign_stream(self, tls: ssl.SSLSocket) -> None:
        sock = self._take_socket()
        if sock is None:
            tls.close()
            return
        timeouts = self._carrying.timeouts
        self._tls = tls
        self._relay = Relay(self._carrying.ring, sock, tls, idle_timeout_s=timeouts.tcp_idle_s, on_end=self._on_relayed)

    def on_unreachable(self, reason: str) -> None:
        carrying, candidate = self._carrying, self._candidate
        if self not in carrying.streams:
            return
        now_s = carrying.ring.now_s
        self._settle()
        if candidate is not None:
            carrying.directory.failed(candidate, self._leg.target.service, now_s, failed=True)
            self._tried = (*self._tried, candidate)
        if self._made <= self._policy.attempts and self._policy.on_connect_failure and self._budget.withdraw(now_s):
            carrying.recorder.metrics.retries.child(self._leg.target.service).value += 1
            self.attempt()
        else:
            self._end(f"the instance could not be reached: {reason}")

    def _take_socket(self) -> socket.socket | None:
        """The application's socket, unless the stream was cut meanwhile."""
        candidate = self._candidate
        if candidate is not None and candidate.consecutive:
            directory = self._carrying.directory
            directory.failed(candidate, self._leg.target.service, self._carrying.ring.now_s, failed=False)
        sock, self._sock = self._sock, None
        return sock

    # -- ends --

    def recheck(self) -> None:
        """Cut it when its peer, who has no trunk, is not acceptable any more."""
        directory = self._carrying.directory
        reason = directory.dialler.find_fault(self._tls) if self._tls is not None else ""
        if reason and self._relay is not None:
            self._brief.decision = REVOKED
            directory.tell_revoked(self._pair.source, self._pair.destination, reason)
            self._relay.cut(f"revoked: {reason}")

    def on_sweep(self, now_s: float) -> None:
        """Look at the idle time-out."""
        if self._pipe is not None:
            self._pipe.on_sweep(now_s)

    def cut(self, reason: str) -> None:
        """End it now."""
        if self._relay is not None:
            self._relay.cut(reason)
        elif self._pipe is not None:
            self._pipe.on_failure(ConnectionAbortedError(reason))
        else:
            self._end(reason)

    def _on_ended(self, pipe: StreamPipe, reason: str) -> None:
        self._brief.received_bytes, self._brief.sent_bytes = pipe.received_bytes, pipe.sent_bytes
        if reason == "denied by policy":
            self._brief.decision = DENY
        self._end(reason)

    def _on_relayed(self, end: RelayEnd) -> None:
        self._brief.received_bytes, self._brief.sent_bytes = end.bytes_to_right, end.bytes_to_left
        self._end("" if end.reason == "closed" else end.reason)

    def _settle(self) -> None:
        candidate, self._candidate = self._candidate, None
        if candidate is not None:
            candidate.load.finished(self._carrying.ring.now_s, None)

    def _end(self, error: str) -> None:
        carrying = self._carrying
        if carrying.streams.pop(self, self) is self:
            return
        self._settle()
        sock, self._sock = self._sock, None
        if sock is not None:
            reset(sock)
        self._brief.error = error
        self._pair.streams.open.value -= 1
        carrying.recorder.stream(self._brief)
