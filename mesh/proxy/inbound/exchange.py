"""One request from a mesh peer to the application, after it was authorised.

The order of its steps: canonical path and permit (`mesh.proxy.inbound.guest`), head to the application, body both ways, record. It must never
send a byte to the application without a permit, and never one more than the request announced.
"""

from typing import Protocol

import msgspec

from mesh.decide.authorise import Denied, Policy
from mesh.proxy.http.client import ClientConnection
from mesh.proxy.http.form import AnswerForm, RequestForm
from mesh.proxy.http.origin import OriginConnection, OriginPool
from mesh.proxy.http.trunk_client import TrunkClient
from mesh.proxy.inbound.caller import Caller
from mesh.proxy.record import ALLOW, MALFORMED, REVOKED, Pair, Recorder
from mesh.proxy.settings import Timeouts
from mesh.transport.ring import Ring
from mesh.wire.http1.body import BodyError, Bytes
from mesh.wire.http1.write import request_head
from mesh.wire.trunk_frames import Code

_REPLAYED = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))


class Serving(Protocol):
    """What exchanges share: the parts of the inbound side that they use."""

    ring: Ring
    pool: OriginPool
    policy: Policy
    recorder: Recorder
    timeouts: Timeouts
    live: "dict[InboundExchange, None]"


class InboundExchange(msgspec.Struct, eq=False):
    """One authorised request. Faces its client as an `Exchange` and the application as an `OriginUser`.

    A struct because it is made for every request. `path` is canonical; `_is_whole`: it has no body; with `_idle_s` the deadline
    moves with every byte, without it is the caller's.
    """

    _serving: Serving
    caller: Caller
    pair: Pair
    client: ClientConnection | TrunkClient
    _form: RequestForm
    method: bytes
    path: bytes
    _query: bytes
    rule: str
    trace: bytes
    started_s: float
    _is_whole: bool
    deadline_s: float
    _idle_s: float
    _origin: OriginConnection | None = None
    _early: bytearray | None = None
    _early_end: bool = False
    _early_trailers: tuple[tuple[bytes, bytes], ...] = ()
    status: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    decision: str = ALLOW
    endpoint: str = ""
    error: str = ""

    # -- the policy may change --

    def recheck(self) -> Denied | None:
        """The refusal that the policy in force has for it, if any."""
        verdict = self._serving.policy.request(self.caller.spiffe_id, self.method, self.path, self._form.fields)
        return verdict if isinstance(verdict, Denied) else None

    def revoke(self, denied: Denied) -> None:
        """Cut it: policy says no now."""
        self.decision = REVOKED
        self.rule = denied.rule
        self._serving.recorder.revoked(self.pair)
        if self.client.has_answer_head:
            self._abort(f"revoked: {denied.reason}", Code.DENIED)
        else:
            self._answer(403, "denied by the destination's intentions", denied.reason)

    # -- from the client --

    def on_body(self, data: Bytes, *, end: bool) -> None:
        self.received_bytes += len(data)
        if self._idle_s:
            self.deadline_s = self._serving.ring.now_s + self._idle_s
        origin = self._origin
        if origin is None:
            if self._early is None:
                self._early = bytearray(data)
            else:
                # One piece, however many it came in: a peer may send its body a byte a frame.
                self._early += data
            self._early_end = end
            return
        try:
            origin.send_data(data, end=end)
        except BodyError as error:
            self._refuse_body(error)

    def on_body_end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        origin = self._origin
        if origin is None:
            # Their bytes are bounded by the trunk, which counts them with the heads, or by the reader of HTTP/1.
            self._early_end, self._early_trailers = True, tuple(trailers)
            return
        try:
            origin.send_end(trailers)
        except BodyError as error:
            self._refuse_body(error)

    def on_client_gone(self, reason: str) -> None:
        self.error = reason
        self._drop_origin()
        self._record()

    def on_client_room(self) -> None:
        if self._origin is not None:
            self._origin.read_on(on=True)

    def on_deadline(self) -> None:
        if self.client.has_answer_head:
            self._abort("it took longer than allowed", Code.TIMEOUT)
        else:
            self._answer(504, "the application took too long", "deadline")

    def has_room(self) -> bool:
        return self._origin is not None and self._origin.has_room

    # -- from the application --

    def on_origin(self, origin: OriginConnection) -> None:
        if self not in self._serving.live:
            return
        self._origin = origin
        form = self._form
        head = request_head(form.method, self.path + self._query, form.lines + self._own_lines())
        if self._is_whole:
            origin.send(self, form.method, head, 0)
            return
        origin.send(self, form.method, head, 0 if form.upgrade else form.length)
        if self._early is not None or self._early_end:
            early, self._early = self._early or b"", None
            try:
                origin.send_data(early, end=False)
                if self._early_end:
                    origin.send_end(list(self._early_trailers))
            except BodyError as error:
                self._refuse_body(error)
                return
        self.client.read_on()

    def _own_lines(self) -> bytes:
        """The lines that are this request's alone: who calls, the trace if it was begun in the mesh, what time is left."""
        lines = self.caller.lines
        if self.trace and not self._form.trace:
            lines = b"%btraceparent: %b\r\n" % (lines, self.trace)
        if not self._idle_s:
            left_ms = int((self.deadline_s - self._serving.ring.now_s) * 1000)
            # At least a millisecond, so that the application can still answer; see mesh.decide.deadline.
            lines = b"%bx-linkspan-deadline-ms: %d\r\n" % (lines, left_ms if left_ms > 0 else 1)
        return lines

    def on_origin_unreachable(self, reason: str) -> None:
        if self in self._serving.live:
            self.error = f"the application could not be reached: {reason}"
            if isinstance(self.client, TrunkClient):
                self._abort(self.error, Code.UNREACHABLE)
            else:
                self._answer(503, "the application could not be reached", reason)

    def on_answer_whole(self, form: AnswerForm, body: Bytes) -> None:
        self.status = form.status
        self.sent_bytes = len(body)
        self.client.answer_whole(form, body)
        self._origin = None
        self._record()

    def on_answer_head(self, form: AnswerForm, *, end: bool) -> None:
        if not form.is_interim:
            self.status = form.status
            if form.is_upgrade:
                self._idle_s = self._serving.timeouts.tcp_idle_s
                self.deadline_s = self._serving.ring.now_s + self._idle_s
        self.client.answer_head(form, end=end)
        if end:
            self._finish()

    def on_answer_data(self, data: Bytes, *, end: bool) -> None:
        self.sent_bytes += len(data)
        if self._idle_s:
            self.deadline_s = self._serving.ring.now_s + self._idle_s
        self.client.answer_data(data, end=end)
        if end:
            self._finish()
        elif not self.client.has_room and self._origin is not None:
            self._origin.read_on(on=False)

    def on_answer_end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        self.client.answer_end(trailers)
        self._finish()

    def on_origin_broken(self, reason: str, *, is_stale: bool) -> None:
        self._origin = None
        if self not in self._serving.live:
            return
        if is_stale and self._is_whole and self.method in _REPLAYED:
            # The application closed a kept connection as we used it: the request never arrived.
            self._serving.pool.acquire(self, fresh=True)
            return
        self.error = reason
        if self.client.has_answer_head or isinstance(self.client, TrunkClient):
            self._abort(reason, Code.BROKEN)
        else:
            self._answer(502, "the application broke the connection", reason)

    def on_origin_room(self) -> None:
        self.client.read_on()

    # -- ends --

    def _refuse_body(self, error: BodyError) -> None:
        self.decision = MALFORMED
        if self.client.has_answer_head:
            self._abort(str(error), Code.PROTOCOL)
        else:
            self._answer(400, str(error), str(error))

    def _answer(self, status: int, text: str, error: str) -> None:
        self.status = status
        self.error = self.error or error
        self._drop_origin()
        self.client.answer_plain(status, text)
        self._record()

    def _abort(self, reason: str, code: Code) -> None:
        self.error = self.error or reason
        self._drop_origin()
        if isinstance(self.client, TrunkClient):
            self.client.abort(code)
        else:
            self.client.abort()
        self._record()

    def _drop_origin(self) -> None:
        origin, self._origin = self._origin, None
        if origin is not None:
            origin.close()

    def _finish(self) -> None:
        # The connection goes back to the pool by itself once both its messages have ended.
        self._origin = None
        self._record()

    def _record(self) -> None:
        serving = self._serving
        if serving.live.pop(self, self) is None:
            serving.recorder.request(self)
