"""One request from a mesh peer to the application, after it was authorised.

The order of its steps: canonical path, permit, head to the application, body both ways, record. It must never send a byte to
the application before the permit, and never one more than the request announced.
"""

from typing import Protocol

from mesh.decide.authorise import Denied, Permit
from mesh.decide.deadline import deadline_field, deadline_s
from mesh.proxy.http.client import ClientConnection
from mesh.proxy.http.form import AnswerForm, RequestForm
from mesh.proxy.http.origin import OriginConnection, OriginPool
from mesh.proxy.http.trunk_client import TrunkClient
from mesh.proxy.inbound.caller import Caller
from mesh.proxy.record import MALFORMED, REVOKED, Outcome, Recorder
from mesh.proxy.settings import Timeouts
from mesh.transport.ring import Ring
from mesh.wire.http1.body import BodyError, Bytes
from mesh.wire.http1.write import request_head
from mesh.wire.trunk_frames import Code

_FOREVER = float("inf")
_REPLAYED = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))


class Serving(Protocol):
    """What exchanges share: the parts of the inbound side that they use."""

    ring: Ring
    pool: OriginPool
    recorder: Recorder
    timeouts: Timeouts
    live: "dict[InboundExchange, None]"

    def judge(self, caller: Caller, method: bytes, path: bytes, fields: "list[tuple[bytes, bytes]]") -> Permit | Denied:
        """The verdict of the policy that is in force."""


class Asked:
    """A request as it came: its form, target and what travelled beside it. `left_s` is what the previous hop allows."""

    __slots__ = ("end", "form", "left_s", "target", "trace")

    def __init__(self, form: RequestForm, target: bytes, trace: bytes, left_s: float | None, *, end: bool) -> None:
        self.form = form
        self.target = target
        self.trace = trace
        self.left_s = left_s
        self.end = end


class InboundExchange:
    """One authorised request. Faces its client as an `Exchange` and the application as an `OriginUser`."""

    __slots__ = (
        "_caller",
        "_client",
        "_early",
        "_early_end",
        "_end",
        "_form",
        "_idle_s",
        "_origin",
        "_outcome",
        "_path",
        "_query",
        "_serving",
        "_started_s",
        "_trace",
        "deadline_s",
    )

    def __init__(
        self,
        serving: Serving,
        caller: Caller,
        client: ClientConnection | TrunkClient,
        asked: Asked,
        line: tuple[bytes, bytes],
        permit: Permit,
    ) -> None:
        form = asked.form
        self._serving = serving
        self._caller = caller
        self._client = client
        self._form = form
        self._path, self._query = line
        self._trace = form.trace or asked.trace
        self._end = asked.end and not form.upgrade
        self._started_s = now_s = serving.ring.now_s
        self.deadline_s = deadline_s(now_s, 0.0, asked.left_s)
        self._idle_s = 0.0
        if self.deadline_s == _FOREVER:
            self._idle_s = serving.timeouts.stream_idle_s
            self.deadline_s = now_s + self._idle_s
        self._origin: OriginConnection | None = None
        self._early: list[Bytes] = []
        self._early_end = False
        self._outcome = Outcome()
        self._outcome.rule = permit.rule
        serving.live[self] = None

    # -- the policy may change --

    @property
    def caller(self) -> Caller:
        """Who asked."""
        return self._caller

    def recheck(self) -> Denied | None:
        """The refusal that the policy in force has for it, if any."""
        verdict = self._serving.judge(self._caller, self._form.method, self._path, self._form.fields)  # type: ignore[arg-type]
        return verdict if isinstance(verdict, Denied) else None

    def revoke(self, denied: Denied) -> None:
        """Cut it: policy says no now."""
        self._outcome.decision = REVOKED
        self._outcome.rule = denied.rule
        self._serving.recorder.revoked(self._caller.source, self._caller.pair.destination)
        if self._client.has_answer_head:
            self._abort(f"revoked: {denied.reason}", Code.DENIED)
        else:
            self._answer(403, "denied by the destination's intentions", denied.reason)

    # -- from the client --

    def on_body(self, data: Bytes, *, end: bool) -> None:
        self._outcome.received_bytes += len(data)
        if self._idle_s:
            self.deadline_s = self._serving.ring.now_s + self._idle_s
        origin = self._origin
        if origin is None:
            self._early.append(bytes(data))
            self._early_end = end
            return
        try:
            origin.send_data(data, end=end)
        except BodyError as error:
            self._refuse_body(error)

    def on_body_end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        origin = self._origin
        if origin is None:
            self._early_end = True
            return
        try:
            origin.send_end(trailers)
        except BodyError as error:
            self._refuse_body(error)

    def on_client_gone(self, reason: str) -> None:
        self._outcome.error = reason
        self._drop_origin()
        self._record()

    def on_client_room(self) -> None:
        if self._origin is not None:
            self._origin.read_on(on=True)

    def on_deadline(self) -> None:
        if self._client.has_answer_head:
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
        head = request_head(form.method, self._path + self._query, form.lines + self._own_lines())
        origin.send(self, form.method, head, 0 if self._end or form.upgrade else form.length)
        if self._early or self._early_end:
            early, self._early = self._early, []
            try:
                origin.send_data(b"".join(early), end=self._early_end)
            except BodyError as error:
                self._refuse_body(error)
                return
        if not self._end:
            self._client.read_on()

    def _own_lines(self) -> bytes:
        """The lines that are this request's alone: who calls, the trace if it was begun in the mesh, what time is left."""
        lines = self._caller.lines
        if self._trace and not self._form.trace:
            lines += b"traceparent: %b\r\n" % self._trace
        if not self._idle_s:
            field = deadline_field(self._serving.ring.now_s, self.deadline_s)
            if field is not None:
                lines += b"%b: %b\r\n" % field
        return lines

    def on_origin_unreachable(self, reason: str) -> None:
        if self in self._serving.live:
            self._outcome.error = f"the application could not be reached: {reason}"
            if isinstance(self._client, TrunkClient):
                self._abort(self._outcome.error, Code.UNREACHABLE)
            else:
                self._answer(503, "the application could not be reached", reason)

    def on_answer_head(self, form: AnswerForm, *, end: bool) -> None:
        if not form.is_interim:
            self._outcome.status = form.status
            if form.is_upgrade and not self._idle_s:
                self._idle_s = self._serving.timeouts.tcp_idle_s
                self.deadline_s = self._serving.ring.now_s + self._idle_s
        self._client.answer_head(form, end=end)
        if end:
            self._finish()

    def on_answer_data(self, data: Bytes, *, end: bool) -> None:
        self._outcome.sent_bytes += len(data)
        if self._idle_s:
            self.deadline_s = self._serving.ring.now_s + self._idle_s
        self._client.answer_data(data, end=end)
        if end:
            self._finish()
        elif not self._client.has_room and self._origin is not None:
            self._origin.read_on(on=False)

    def on_answer_end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        self._client.answer_end(trailers)
        self._finish()

    def on_origin_broken(self, reason: str, *, is_stale: bool) -> None:
        self._origin = None
        if self not in self._serving.live:
            return
        if is_stale and self._end and self._form.method in _REPLAYED:
            # The application closed a kept connection as we used it: the request never arrived.
            self._serving.pool.acquire(self, fresh=True)
            return
        self._outcome.error = reason
        if self._client.has_answer_head or isinstance(self._client, TrunkClient):
            self._abort(reason, Code.BROKEN)
        else:
            self._answer(502, "the application broke the connection", reason)

    def on_origin_room(self) -> None:
        self._client.read_on()

    # -- ends --

    def _refuse_body(self, error: BodyError) -> None:
        self._outcome.decision = MALFORMED
        self._drop_origin()
        if self._client.has_answer_head:
            self._abort(str(error), Code.PROTOCOL)
        else:
            self._answer(400, str(error), str(error))

    def _answer(self, status: int, text: str, error: str) -> None:
        self._outcome.status = status
        self._outcome.error = self._outcome.error or error
        self._drop_origin()
        self._client.answer_plain(status, text)
        self._record()

    def _abort(self, reason: str, code: Code) -> None:
        self._outcome.error = self._outcome.error or reason
        self._drop_origin()
        if isinstance(self._client, TrunkClient):
            self._client.abort(code)
        else:
            self._client.abort()
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
        if self._serving.live.pop(self, self) is self:
            return
        self._serving.recorder.request(
            self._caller.pair,
            self._outcome,
            (self._form.method, self._path),
            self._trace[3:35].decode("latin-1"),
            (self._started_s, self._serving.ring.now_s),
        )
