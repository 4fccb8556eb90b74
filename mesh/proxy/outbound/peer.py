"""One endpoint as we call it: its trunks, those who wait for one, and what it turned out to speak.

New streams go to the trunk with the fewest; a trunk on which a stream moves megabytes is left to it. A trunk that leaves
(GOAWAY, rotation, endpoint gone) finishes its streams and is closed.
"""

import logging
import random
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Protocol

from mesh.decide.balance import Candidate
from mesh.model.chain import Target
from mesh.proxy.http.origin import OriginPool
from mesh.proxy.link import Link
from mesh.proxy.outbound.dialler import Dialler, UnreachableError
from mesh.proxy.parts import HTTP_ALPN
from mesh.telemetry.metrics import Metrics
from mesh.wire.trunk import Trunk
from mesh.wire.trunk_events import Opened, TrunkLimits
from mesh.wire.trunk_frames import ALPN, Code

_MOST_LINKS = 4
_ACROSS_NETWORKS = 2
_IDLE_S = 300.0
_FULL_S = (2.0, 6.0)
"""For how long an instance that turned a trunk away is taken for full; drawn, so that its callers do not come back together."""

OnFull = Callable[[Candidate, float], None]
"""Told of an instance that takes no further trunk of ours, and until when it is left alone on the ring's clock."""

_log = logging.getLogger("linkspan.proxy")


class PeerUser(Protocol):
    """Who wants to reach an endpoint. Exactly one of these is called for each `acquire`."""

    @property
    def is_http(self) -> bool:
        """Whether requests are sent, or plain bytes."""

    def on_link(self, link: Link) -> None:
        """A trunk is there and takes a stream now."""

    def on_foreign(self, pool: OriginPool) -> None:
        """The peer is not Linkspan and speaks HTTP/1 (only for `is_http`)."""

    def on_foreign_stream(self, tls: ssl.SSLSocket) -> None:
        """The peer is not Linkspan: a TLS connection of one's own (only without `is_http`)."""

    def on_unreachable(self, reason: str) -> None:
        """It could not be reached; nothing was sent."""


class Peer:
    """One endpoint under one target."""

    def __init__(
        self, dialler: Dialler, candidate: Candidate, target: Target, metrics: Metrics, on_full: OnFull
    ) -> None:
        self._dialler = dialler
        self._on_full = on_full
        self.candidate = candidate
        self._target = target
        self._links: list[Link] = []
        self._leaving: set[Link] = set()
        self._stale: set[Link] = set()
        self._waiting: deque[PeerUser] = deque()
        self._dialling = 0
        self._foreign: OriginPool | None = None
        self._is_gone = False
        self._full_until_s = -inf
        self._wanted_links = 1 if dialler.is_local(candidate.endpoint) else _ACROSS_NETWORKS
        self._trunks = metrics.trunks_open.child("outbound")
        self._total = metrics.connections.child("outbound")
        self._cut = metrics.trunks_cut.child("outbound", "frame")

    @property
    def is_unused(self) -> bool:
        """Whether nothing of it is left."""
        return not (self._links or self._leaving or self._waiting or self._dialling)

    @property
    def is_full(self) -> bool:
        """Whether the instance has just turned a trunk of ours away, so that none is dialled for a moment."""
        return self._full_until_s > self._dialler.parts.ring.now_s

    def acquire(self, user: PeerUser) -> None:
        """Get `user` to the endpoint, at once when a trunk stands."""
        links = self._links
        if links:
            link = links[0] if len(links) == 1 else min(links, key=_load)
            trunk = link.trunk
            if not link.elephants and not trunk.is_leaving and len(trunk.streams) < trunk.limits.max_streams:
                if len(links) < self._wanted_links and not self._dialling and not self.is_full:
                    self._start()
                user.on_link(link)
                return
            if len(links) >= _MOST_LINKS and not trunk.is_full:
                user.on_link(link)
                return
        elif self._foreign is not None and user.is_http:
            user.on_foreign(self._foreign)
            return
        if self.is_full and not self._dialling:
            if links and not all(one.trunk.is_full for one in links):
                user.on_link(link)
            else:
                user.on_unreachable("the instance takes no further connection of ours now")
            return
        if len(self._waiting) >= self._dialler.parts.limits.pending:
            user.on_unreachable("too many wait for this instance already")
            return
        self._waiting.append(user)
        if self._dialling < max(1, min(len(self._waiting), _MOST_LINKS) if self._foreign is not None else 1):
            self._start()

    def _start(self) -> None:
        self._dialling += 1
        self._dialler.parts.start(self._dial)

    async def _dial(self) -> None:
        """Make one trunk, or find out that the peer knows none, and serve those who wait."""
        only_streams = bool(self._waiting) and not self._waiting[0].is_http
        try:
            tls = await self._dialler.dial(
                self.candidate.endpoint, self._target, (ALPN,) if only_streams else (ALPN, HTTP_ALPN)
            )
        except UnreachableError as error:
            # Not running any more before anybody is told: who tries again in that call must start the next one.
            self._dialling -= 1
            self._fail(str(error))
            return
        except BaseException:
            self._dialling -= 1
            raise
        self._dialling -= 1
        self._total.value += 1
        if tls.selected_alpn_protocol() == ALPN:
            self._add(tls)
        else:
            self._serve_foreign(tls)

    def _fail(self, reason: str) -> None:
        if self._links:
            # A further trunk was tried; those who wait take one that stands.
            waiting, self._waiting = self._waiting, deque()
            for user in waiting:
                self.acquire(user) if any(not link.trunk.is_full for link in self._links) else user.on_unreachable(
                    reason
                )
            return
        waiting, self._waiting = self._waiting, deque()
        for user in waiting:
            user.on_unreachable(reason)

    def _add(self, tls: ssl.SSLSocket) -> None:
        parts = self._dialler.parts
        trunk = Trunk(is_dialler=True, limits=TrunkLimits(max_streams=parts.limits.streams_a_trunk))
        link = Link(parts.ring, tls, trunk, self)
        self._trunks.value += 1
        for stale in tuple(self._stale):
            self._links.remove(stale)
            self._retire(stale)
        self._links.append(link)
        if self._is_gone:
            self._links.remove(link)
            self._retire(link)
            self._fail("the instance is gone")
            return
        while self._waiting and not link.trunk.is_full:
            self._waiting.popleft().on_link(link)

    def _serve_foreign(self, tls: ssl.SSLSocket) -> None:
        """A peer without trunks: HTTP users share a pool of HTTP/1 connections, streams take a connection each."""
        parts = self._dialler.parts
        streams = [user for user in self._waiting if not user.is_http]
        others = [user for user in self._waiting if user.is_http]
        self._waiting.clear()
        if self._foreign is None:
            self._foreign = OriginPool(
                parts.ring,
                parts.start,
                partial(self._dialler.dial, self.candidate.endpoint, self._target, (HTTP_ALPN,)),
                max_idle=parts.limits.app_idle_connections,
                max_pending=parts.limits.pending,
            )
        if streams:
            streams.pop(0).on_foreign_stream(tls)
        elif others:
            self._foreign.adopt(tls)
        else:
            tls.close()
        for user in others:
            user.on_foreign(self._foreign)
        for user in streams:
            self.acquire(user)

    def refresh(self) -> None:
        """Our certificate changed: as soon as a new trunk stands, the old ones only finish their streams."""
        self._stale.update(self._links)
        if self._stale and not self._dialling:
            self._start()

    def retire(self) -> None:
        """The endpoint is gone: finish what stands."""
        self._is_gone = True
        for link in tuple(self._links):
            self._retire(link)
        self._links = []
        if self._foreign is not None:
            self._foreign.close()
            self._foreign = None

    def _retire(self, link: Link) -> None:
        self._stale.discard(link)
        self._leaving.add(link)
        link.leave(Code.DONE, "replaced")
        if not link.trunk.streams:
            link.close_after_flush("replaced")

    def close(self) -> None:
        """Cut everything."""
        self._is_gone = True
        for link in (*self._links, *self._leaving):
            link.close("this proxy stops")
        if self._foreign is not None:
            self._foreign.close()

    def recheck(self) -> list[str]:
        """Cut every connection whose peer is not acceptable any more; the reasons, one for each."""
        faults = [(link, self._dialler.find_fault(link.sock)) for link in (*self._links, *self._leaving)]
        for link, fault in faults:
            if fault:
                link.close(f"revoked: {fault}")
        reasons = [fault for _, fault in faults if fault]
        if self._foreign is not None:
            reasons += self._foreign.cut(self._dialler.find_fault)  # type: ignore[arg-type]  # it dials nothing but TLS
        return reasons

    def on_sweep(self, now_s: float) -> None:
        """Close trunks that have been idle for long, or whose peer ends no frame."""
        for link in tuple(self._links):
            if not link.trunk.streams and now_s - link.last_s > _IDLE_S:
                self._links.remove(link)
                self._retire(link)
        frame_s = self._dialler.parts.timeouts.frame_s
        for link in (*self._links, *self._leaving):
            if link.is_stuck(now_s, frame_s):
                text = f"a frame was begun and not ended within {frame_s:g} s"
                _log.warning("cut a trunk to %r: %s", self.candidate, text)
                self._cut.value += 1
                link.fail(Code.TIMEOUT, text)
        if self._stale and not self._dialling:
            self._start()
        if self._foreign is not None:
            self._foreign.on_sweep(now_s)

    # -- from links --

    def on_opened(self, link: Link, event: Opened) -> None:
        """Cannot come: the trunk refuses streams opened by the side that was dialled."""

    def on_leaving(self, link: Link) -> None:
        """The peer takes no more streams on it."""
        if link.goodbye == Code.REFUSED:
            self._note_full()
        if link in self._links:
            self._links.remove(link)
            self._stale.discard(link)
            self._leaving.add(link)
        if not link.trunk.streams:
            link.close_after_flush("the peer left")

    def _note_full(self) -> None:
        """Leave the instance alone for a moment, and tell who picks instances."""
        now_s = self._dialler.parts.ring.now_s
        self._full_until_s = now_s + random.uniform(*_FULL_S)  # noqa: S311 - spreads load, keeps no secret
        _log.warning(
            "%r takes no further trunk of ours; left alone for %.1f s", self.candidate, self._full_until_s - now_s
        )
        if all(link.goodbye == Code.REFUSED for link in self._links):
            self._on_full(self.candidate, self._full_until_s)

    def on_idle(self, link: Link) -> None:
        """Its last stream ended."""
        if link in self._leaving:
            link.close_after_flush("replaced")

    def on_closed(self, link: Link, reason: str) -> None:
        """Forget it."""
        _log.debug("a trunk to %r was closed: %s", self.candidate, reason)
        self._trunks.value -= 1
        self._leaving.discard(link)
        self._stale.discard(link)
        if link in self._links:
            self._links.remove(link)


def _load(link: Link) -> tuple[bool, int]:
    return not link.is_free, len(link.trunk.streams)
