"""A link: an established trunk and its TLS socket, on the ring.

It moves bytes between the two and events to the owners of streams. An error of one stream's owner resets that stream, never
the trunk. Everything written in a turn leaves at its end.
"""

import contextlib
import logging
import ssl
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Protocol

from mesh.transport.ring import READ, WRITE, Ring
from mesh.wire.trunk import Trunk
from mesh.wire.trunk_events import Bytes, Data, Ended, Event, Failed, GoneAway, Headed, Opened, Stream, WasReset
from mesh.wire.trunk_frames import Code, TrunkError

_READ_BYTES = 128 * 1024
_TLS_RECORD_BYTES = 16 * 1024
_WRITE_BYTES = 64 * 1024
_LONG_LOOK_S = 1.0
"""What counts at most between two looks at what a peer has begun."""
_NOT_NOW = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

_log = logging.getLogger("linkspan.proxy")


class StreamOwner(Protocol):
    """Who a stream belongs to. After `on_reset`, or the end of both sides, nothing more is called."""

    def on_head(self, event: Headed) -> None:
        """A response's head came, with its body or the first of it."""

    def on_data(self, data: Bytes, *, end: bool) -> None:
        """Bytes came; valid only during the call. Say `Link.consumed` once they are passed on."""

    def on_end(self, block: bytes) -> None:
        """The peer's side ended; `block` holds trailers."""

    def on_reset(self, code: int) -> None:
        """Both sides ended."""

    def on_room(self) -> None:
        """There is room to send again."""


class Nobody:
    """The owner of streams that nobody is interested in any more."""

    def on_head(self, event: Headed) -> None:
        """Ignore it."""

    def on_data(self, data: Bytes, *, end: bool) -> None:
        """Ignore it."""

    def on_end(self, block: bytes) -> None:
        """Ignore it."""

    def on_reset(self, code: int) -> None:
        """Ignore it."""

    def on_room(self) -> None:
        """Ignore it."""


NOBODY = Nobody()


class LinkKeeper(Protocol):
    """Who keeps a link: the pool that dialled it, or the side that accepted it."""

    def on_opened(self, link: "Link", event: Opened) -> None:
        """The peer opened a stream: give it an owner, or reset it."""

    def on_leaving(self, link: "Link") -> None:
        """The peer takes no more streams on it."""

    def on_idle(self, link: "Link") -> None:
        """A stream has ended and none is left."""

    def on_closed(self, link: "Link", reason: str) -> None:
        """It is closed; all its streams were reset."""


class Meter:
    """Counts the bytes that come on several links: `weigh` is called after `most_bytes`, and sets `fresh_bytes` back."""

    __slots__ = ("fresh_bytes", "most_bytes", "weigh")

    def __init__(self, most_bytes: float, weigh: Callable[[], None]) -> None:
        self.fresh_bytes = 0
        self.most_bytes = most_bytes
        self.weigh = weigh


def _never() -> None:
    """What `_UNWEIGHED` would do."""


_UNWEIGHED = Meter(inf, _never)
"""For links whose bytes nobody counts."""


class Link:
    """One trunk on one TLS socket, which it owns."""

    __slots__ = (
        "_begun",
        "_fd",
        "_keeper",
        "_looked_s",
        "_mask",
        "_meter",
        "_ring",
        "_sock",
        "_stuck_s",
        "_unsent",
        "elephants",
        "gathered",
        "goodbye",
        "is_closed",
        "is_dirty",
        "last_s",
        "trunk",
    )

    def __init__(
        self, ring: Ring, sock: ssl.SSLSocket, trunk: Trunk, keeper: LinkKeeper, meter: Meter = _UNWEIGHED
    ) -> None:
        self._ring = ring
        self._sock = sock
        self._fd = sock.fileno()
        self._keeper = keeper
        self._meter = meter
        self._begun = 0
        self._looked_s = 0.0
        self._stuck_s = 0.0
        self._mask = READ
        self.is_dirty = False
        self._unsent = memoryview(b"")
        self.trunk = trunk
        self.is_closed = False
        self.gathered: list[Callable[[], None]] = []
        """What owners want to do once everything that came is told, before the bytes are gone."""
        self.goodbye: int | None = None
        """The code of the peer's GOAWAY."""
        self.elephants = 0
        """Streams on it that move megabytes, as their owners say."""
        self.last_s = ring.time_s()
        ring.add(self._fd, self, READ)

    # -- for owners --

    @property
    def sock(self) -> ssl.SSLSocket:
        """Its socket, to be asked about, never to be used."""
        return self._sock

    @property
    def is_free(self) -> bool:
        """Whether a new stream fits well: there is room, and no stream is moving megabytes."""
        return self.elephants == 0 and not self.trunk.is_full

    def touch(self) -> None:
        """Something was queued: write it at the end of the turn."""
        if not self.is_dirty and not self.is_closed:
            self.is_dirty = True
            self._ring.on_turn_end(self.flush)

    @property
    def is_clear(self) -> bool:
        """Whether what is written now goes to the socket, with nothing waiting before it."""
        return not self._unsent and not self.is_closed

    def write_frames(self, frames: memoryview) -> None:
        """Write whole frames from `Outbox.frame_in_place` now; what does not fit is copied and waits. Only when `is_clear`."""
        send, at, size = self._sock.send, 0, len(frames)
        try:
            while at < size:
                at += send(frames[at:])
        except _NOT_NOW:
            self._unsent = memoryview(bytes(frames[at:]))
            self._watch(READ | WRITE)
        except OSError as error:
            self._close(f"the connection broke: {error.strerror or error}")

    def consumed(self, stream: Stream, size: int) -> None:
        """Bytes of a stream were passed on."""
        self.trunk.consumed(stream, size)
        if not self.is_dirty and self.trunk.out.has_output:
            self.touch()

    def reset(self, stream: Stream, code: Code) -> None:
        """End a stream now."""
        stream.owner = NOBODY
        self.trunk.reset(stream, code)
        self.touch()

    def leave(self, code: Code = Code.DONE, text: str = "") -> None:
        """Say GOAWAY: no new streams, those that stand go on."""
        self.trunk.leave(code, text)
        self.touch()

    def close_after_flush(self, reason: str) -> None:
        """Close at the end of the turn, once what is queued has gone out."""
        self._ring.on_turn_end(partial(self.close, reason))

    def close(self, reason: str) -> None:
        """Close now, streams and all; a GOAWAY goes out if it fits."""
        if self.is_closed:
            return
        if not self.trunk.is_leaving:
            self.trunk.leave(Code.DONE, reason)
        self._write()
        self._close(reason)

    def fail(self, code: Code, reason: str) -> None:
        """Close now because of what the peer did; it is told if it reads."""
        if not self.is_closed:
            self.trunk.fail(TrunkError(code, reason))
            self._write()
            self._close(reason)

    def is_stuck(self, now_s: float, after_s: float) -> bool:
        """Whether the peer has begun a frame or a head and not ended it for `after_s` of the time in which this was asked.

        Asked by the sweep, so that nobody keeps time for each frame. A process that was stopped for a while blames no peer for it.
        """
        begun = self.trunk.begun
        if not begun or begun != self._begun:
            self._begun, self._stuck_s = begun, 0.0
        else:
            self._stuck_s += min(now_s - self._looked_s, _LONG_LOOK_S)
        self._looked_s = now_s
        return self._stuck_s >= after_s

    # -- for the ring --

    def on_ready(self, mask: int) -> None:
        if mask & WRITE:
            self.flush()
        if mask & ~WRITE and not self.is_closed:
            self._read()

    def on_failure(self, error: Exception) -> None:
        self._close(f"an error of our own: {error!r}")

    def _read(self) -> None:
        self.last_s = self._ring.now_s
        total, ended = self._receive()
        if total:
            self._dispatch(self.trunk.receive(self._ring.view[:total]))
        if ended:
            self._close(ended)
        if self.is_closed:
            return
        if not self.is_dirty and self.trunk.out.has_output:
            self.touch()
        if not self.trunk.streams:
            self._keeper.on_idle(self)
        meter = self._meter
        meter.fresh_bytes += total
        if meter.fresh_bytes > meter.most_bytes:
            meter.weigh()

    def _receive(self) -> tuple[int, str]:
        """Fill the ring's buffer: how much came, and how the connection ended if it did."""
        view, recv_into, total = self._ring.view, self._sock.recv_into, 0
        while total < _READ_BYTES:
            try:
                size = recv_into(view[total:] if total else view)
            except _NOT_NOW:
                break
            except OSError as error:
                return total, f"the connection broke: {error.strerror or error}"
            if not size:
                return total, "the peer closed the connection"
            total += size
            if size < _TLS_RECORD_BYTES:
                # Less than a full record: there is hardly another one; if there is, the ring comes back.
                break
        return total, ""

    def _dispatch(self, events: list[Event]) -> None:
        """Tell the owners what happened, the common things first."""
        keeper = self._keeper
        for event in events:
            try:
                # By class, not isinstance: a miss of isinstance on a struct costs more than all the rest.
                kind = event.__class__
                if kind is Headed:
                    event.stream.owner.on_head(event)  # type: ignore[union-attr]
                elif kind is Opened:
                    event.stream.owner = NOBODY  # type: ignore[union-attr]
                    keeper.on_opened(self, event)  # type: ignore[arg-type]
                elif kind is Data:
                    event.stream.owner.on_data(event.data, end=event.end)  # type: ignore[union-attr]
                else:
                    self._dispatch_rare(event)  # type: ignore[arg-type]
            except Exception:  # noqa: BLE001 - one stream's error must not take the others with it
                self._survive(event)
            if self.is_closed:
                return
        if self.gathered:
            gathered, self.gathered = self.gathered, []
            for write in gathered:
                write()

    def _dispatch_rare(self, event: Ended | WasReset | GoneAway | Failed) -> None:
        if isinstance(event, Ended):
            event.stream.owner.on_end(event.block)
        elif isinstance(event, WasReset):
            self._reset_owner(event.stream, event.code)
        elif isinstance(event, GoneAway):
            self.goodbye = event.code
            self._keeper.on_leaving(self)
        else:
            _log.warning("a trunk was closed: %s", event.error)
            self._write()
            self._close(event.error.reason)

    def _survive(self, event: Event) -> None:
        """One stream's error must not take the others with it: it is reset, and what went wrong is logged."""
        stream = getattr(event, "stream", None)
        self._ring.failures += 1
        _log.exception("a stream was reset because its owner failed")
        if stream is None:
            self._close("an error of our own")
        else:
            self.reset(stream, Code.INTERNAL)

    def _reset_owner(self, stream: Stream, code: int) -> None:
        owner, stream.owner = stream.owner, NOBODY
        owner.on_reset(code)

    def flush(self) -> None:
        """Write what is queued, as far as the socket takes it."""
        self.is_dirty = False
        if self.is_closed:
            return
        if not self._write():
            return
        out = self.trunk.out
        if out.writable:
            writable, out.writable = out.writable, []
            for stream in writable:
                stream.owner.on_room()

    def _write(self) -> bool:
        """Write; False when the connection broke and is closed."""
        take, send = self.trunk.out.take, self._sock.send
        unsent: bytes | memoryview = self._unsent
        try:
            while True:
                if not unsent:
                    unsent = take(_WRITE_BYTES)
                    if not unsent:
                        break
                sent = send(unsent)
                unsent = b"" if sent == len(unsent) else memoryview(unsent)[sent:]
        except _NOT_NOW:
            # OpenSSL wants the same bytes again: they are kept as they are.
            self._unsent = memoryview(unsent)
            self._watch(READ | WRITE)
            return True
        except OSError as error:
            self._unsent = memoryview(b"")
            self._close(f"the connection broke: {error.strerror or error}")
            return False
        self._unsent = memoryview(b"")
        self._watch(READ)
        return True

    def _watch(self, mask: int) -> None:
        if mask != self._mask and not self.is_closed:
            self._mask = mask
            self._ring.modify(self._fd, mask)

    def _close(self, reason: str) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self._ring.remove(self._fd)
        with contextlib.suppress(OSError):
            self._sock.close()
        streams = list(self.trunk.streams.values())
        self.trunk.is_leaving = True
        self.trunk.streams.clear()
        for stream in streams:
            stream.is_open = False
            try:
                self._reset_owner(stream, Code.BROKEN)
            except Exception:  # noqa: BLE001 - the other owners are told all the same
                self._ring.failures += 1
                _log.exception("the owner of a stream failed when its trunk was closed")
        self._keeper.on_closed(self, reason)
