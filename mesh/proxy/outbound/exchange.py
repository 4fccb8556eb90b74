"""One request of the application to another service, over as many attempts as the route and the budget allow.

The order of its steps: canonical path, route, leg, target, endpoint, trunk, head and body, answer. Nothing is tried again once a
byte of an answer went to the application. It faces its client as an `Exchange`, a trunk's stream as its owner, a foreign peer as an `OriginUser`.
"""

import ssl
from random import Random
from typing import ClassVar

import msgspec

from mesh.decide.balance import Candidate, choose_target, penalised_rtt_s
from mesh.decide.deadline import deadline_field
from mesh.decide.eject import Outcome as Fate
from mesh.decide.eject import is_gateway_error
from mesh.decide.retry import Attempt, may_retry
from mesh.decide.route import LegPlan, RoutePlan
from mesh.proxy.http.client import ClientConnection
from mesh.proxy.http.form import AnswerForm, RequestForm, request_block, request_lines
from mesh.proxy.http.origin import OriginConnection, OriginPool
from mesh.proxy.link import NOBODY, Link
from mesh.proxy.outbound.calling import Calling
from mesh.proxy.outbound.directory import Service
from mesh.proxy.outbound.fate import judge_reset, retry_after_s
from mesh.proxy.record import ALLOW, DENY, MALFORMED, Pair
from mesh.wire.fields import HeadError, validate_trailers
from mesh.wire.http1.body import BodyError, Bytes
from mesh.wire.http1.write import request_head
from mesh.wire.trunk_events import Headed, Stream
from mesh.wire.trunk_frames import MAX_TIMEOUT_MS, Code, TrunkError, decode_fields, encode_fields, encode_request

_BACK_OFF_S = (0.025, 0.25)
_spread = Random()  # noqa: S311 - spreads load, keeps no secret
random, uniform = _spread.random, _spread.uniform


class OutboundExchange(msgspec.Struct, eq=False):
    """One request and its attempts. A struct because it is made for every request.

    `path` is the canonical path, `_target` what is sent; `_body_end`: the whole body is here, `_is_whole`: there is none.
    """

    is_http: ClassVar[bool] = True

    _calling: Calling["OutboundExchange"]
    _client: ClientConnection
    _service: Service
    pair: Pair
    _form: RequestForm
    method: bytes
    rule: str
    trace: bytes
    started_s: float
    path: bytes
    _target: bytes
    _plan: RoutePlan
    _leg: LegPlan
    _is_whole: bool
    _body_end: bool
    deadline_s: float
    _idle_s: float
    _attempt_s: float = 0.0
    _candidate: Candidate | None = None
    _link: Link | None = None
    _stream: Stream | None = None
    _origin: OriginConnection | None = None
    _made: int = 0
    _tried: tuple[Candidate, ...] = ()
    _body: tuple[bytes, ...] = ()
    _body_bytes: int = 0
    _trailers: tuple[tuple[bytes, bytes], ...] = ()
    _is_replayable: bool = True
    _unread_bytes: int = 0
    status: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    decision: str = ALLOW
    endpoint: str = ""
    error: str = ""

    def attempt(self) -> None:
        """Send the request to the best instance now."""
        calling, leg = self._calling, self._leg
        if self not in calling.live:
            return
        now_s = calling.ring.now_s
        directory = calling.directory
        target = choose_target(leg.target, leg.failover, directory.is_available) if leg.failover else leg.target
        aim = directory.aims.get(target.id) or directory.aim(target)
        if self._tried:
            candidate = aim.pool.pick_other(calling.permit, (random(), random()), now_s, self._tried)
        else:
            candidate = aim.pool.pick(calling.permit, random(), random(), now_s)
        if candidate is None:
            self._answer(503, f"no healthy instance of {target.service} is known", "no healthy instance")
            return
        self._candidate = candidate
        self._made += 1
        self._attempt_s = now_s
        self.endpoint = candidate.endpoint.instance
        candidate.load.started(now_s)
        (aim.peers.get(candidate) or directory.peer(aim, candidate)).acquire(self)

    def on_link(self, link: Link) -> None:
        calling, form = self._calling, self._form
        if self not in calling.live:
            return
        timeout_ms = (
            0 if self._idle_s else max(1, min(int((self.deadline_s - calling.ring.now_s) * 1000), MAX_TIMEOUT_MS))
        )
        edits = self._leg.request_edits
        block = request_block(self._leg.edit_request(form.fields), form.upgrade) if edits else form.block
        head = encode_request(form.method, self._target, block, b"" if form.trace else self.trace, timeout_ms)
        self._link = link
        trailers = self._trailers
        self._stream = stream = link.trunk.open_http(
            head, end=self._body_end and not trailers, body=b"".join(self._body) if self._body else b""
        )
        stream.owner = self
        if trailers:
            link.trunk.out.send_end(stream, encode_fields(trailers))
        if not link.is_dirty:
            link.touch()
        if not self._body_end:
            self._client.read_on()

    def on_foreign(self, pool: OriginPool) -> None:
        pool.acquire(self)

    def on_foreign_stream(self, tls: ssl.SSLSocket) -> None:
        """Cannot come: only streams get a connection of their own."""
        tls.close()

    def on_origin(self, origin: OriginConnection) -> None:
        if self not in self._calling.live:
            return
        self._origin = origin
        form, leg = self._form, self._leg
        lines = form.lines
        if leg.request_edits:
            lines = request_lines(leg.edit_request(form.fields), form.length, form.upgrade)
        if not form.trace:
            lines += b"traceparent: %b\r\n" % self.trace
        field = None if self._idle_s else deadline_field(self._calling.ring.now_s, self.deadline_s)
        if field is not None:
            lines += b"%b: %b\r\n" % field
        length = 0 if self._is_whole or form.upgrade else form.length
        origin.send(self, form.method, request_head(form.method, self._target, lines), length)
        try:
            if self._body:
                origin.send_data(b"".join(self._body), end=False)
            if self._body_end and not self._is_whole:
                origin.send_end(list(self._trailers))
        except BodyError as error:
            self._refuse(str(error))
            return
        if not self._body_end:
            self._client.read_on()

    def on_unreachable(self, reason: str) -> None:
        if self in self._calling.live:
            self._failed(Fate.CONNECT_FAILURE, 503, f"the instance could not be reached: {reason}")

    def on_origin_unreachable(self, reason: str) -> None:
        self.on_unreachable(reason)

    def on_origin_broken(self, reason: str, *, is_stale: bool) -> None:
        self._origin = None
        if self not in self._calling.live:
            return
        if is_stale and self._body_end and self._is_replayable and self._made < 3:
            self._settle(None, failed=False)
            self.attempt()
            return
        self._failed(Fate.RESET, 502, reason)

    def _failed(self, fate: Fate, status: int, reason: str) -> None:
        """An attempt came to nothing: make another one if that is allowed, else tell the application."""
        calling, candidate = self._calling, self._candidate
        self._leave(Code.CANCELLED)
        if candidate is not None:
            self._settle(None, failed=is_gateway_error(fate, status))
            calling.directory.failed(
                candidate, self._leg.target.service, calling.ring.now_s, failed=is_gateway_error(fate, status)
            )
            if self._may_retry(fate, 0):
                self._again(candidate)
                return
        if self._client.has_answer_head:
            self.error = reason
            self._client.abort()
            self._record()
        else:
            self._answer(status, reason, reason)

    def _may_retry(self, fate: Fate, status: int) -> bool:
        calling = self._calling
        sent = int(self._client.has_answer_head)
        attempt = Attempt(self._form.method, fate, self._made, status, sent, self._is_replayable)
        if not may_retry(self._plan.route.retry, attempt):
            return False
        if not self._service.budget.withdraw(calling.ring.now_s):
            calling.recorder.metrics.retries_refused.child(self._service.name).value += 1
            return False
        calling.recorder.metrics.retries.child(self._service.name).value += 1
        return True

    def _again(self, failed: Candidate) -> None:
        """Make another attempt, at once elsewhere, after a moment when there is no elsewhere."""
        self._tried = (*self._tried, failed)
        calling = self._calling
        target = self._leg.target
        pool = calling.directory.aim(target).pool
        other = pool.pick_other(calling.permit, (0.0, 0.0), calling.ring.now_s, self._tried)
        if other is None or other in self._tried:
            low_s, high_s = _BACK_OFF_S
            calling.ring.later(calling.ring.now_s + uniform(low_s, high_s), self.attempt)
        else:
            self.attempt()

    def _settle(self, rtt_s: float | None, *, failed: bool) -> None:
        """The attempt's endpoint is free of it."""
        candidate, self._candidate = self._candidate, None
        if candidate is not None:
            candidate.load.finished(self._calling.ring.now_s, rtt_s, failed)

    def _leave(self, code: Code) -> None:
        """Let go of the attempt's stream or connection."""
        link, stream, origin = self._link, self._stream, self._origin
        self._link = self._stream = self._origin = None
        if stream is not None and link is not None:
            link.reset(stream, code)
        if origin is not None:
            origin.close()

    def _let_go(self) -> None:
        """The answer has ended: what is left of the request is not wanted any more."""
        link, stream = self._link, self._stream
        self._link = self._stream = self._origin = None
        if link is not None and stream is not None:
            if stream.is_open:
                link.reset(stream, Code.CANCELLED)
            stream.owner = NOBODY

    # -- from the client --

    def on_body(self, data: Bytes, *, end: bool) -> None:
        self.received_bytes += len(data)
        self._body_end = end
        if self._idle_s:
            self.deadline_s = self._calling.ring.now_s + self._idle_s
        if self._is_replayable:
            self._body_bytes += len(data)
            if self._body_bytes <= self._calling.limits.replay_bytes or (self._stream is None and self._origin is None):
                self._body += (bytes(data),)
            else:
                self._is_replayable = False
                self._body = ()
        if self._stream is not None and self._link is not None:
            self._link.trunk.out.send_data(self._stream, data, end=end)
            self._link.touch()
        elif self._origin is not None:
            try:
                self._origin.send_data(data, end=end)
            except BodyError as error:
                self._refuse(str(error))

    def on_body_end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        self._body_end = True
        self._trailers = tuple(trailers)
        if self._stream is not None and self._link is not None:
            self._link.trunk.out.send_end(self._stream, encode_fields(trailers) if trailers else None)
            self._link.touch()
        elif self._origin is not None:
            try:
                self._origin.send_end(trailers)
            except BodyError as error:
                self._refuse(str(error))

    def has_room(self) -> bool:
        if self._stream is not None and self._link is not None:
            return self._link.trunk.out.has_room(self._stream)
        return self._origin is not None and self._origin.has_room

    def on_client_gone(self, reason: str) -> None:
        self.error = reason
        self._leave(Code.CANCELLED)
        self._settle(None, failed=False)
        self._record()

    def on_client_room(self) -> None:
        if self._unread_bytes and self._stream is not None and self._link is not None:
            size, self._unread_bytes = self._unread_bytes, 0
            self._link.consumed(self._stream, size)
        elif self._origin is not None:
            self._origin.read_on(on=True)

    def on_deadline(self) -> None:
        candidate = self._candidate
        self._leave(Code.TIMEOUT)
        if candidate is not None:
            self._settle(None, failed=True)
            self._calling.directory.failed(candidate, self._leg.target.service, self._calling.ring.now_s, failed=True)
        if self._client.has_answer_head:
            self.error = "it took longer than allowed"
            self._client.abort()
            self._record()
        else:
            self._answer(504, "the request took longer than allowed", "deadline")

    # -- from a trunk's stream --

    def on_head(self, event: Headed) -> None:
        end, body = event.end, event.body
        try:
            form = self._calling.forms.answer(event.status, event.block, self._form.method, end=end and not body)
        except (HeadError, TrunkError) as error:
            self.decision = MALFORMED
            self._failed(Fate.RESET, 502, f"the peer's answer was refused: {error}")
            return
        if not body:
            self.on_answer_head(form, end=end)
        elif end:
            self.on_answer_whole(form, body)
        else:
            self.on_answer_head(form, end=False)
            if self._stream is event.stream:
                self.on_answer_data(body, end=False)

    def on_data(self, data: Bytes, *, end: bool) -> None:
        link, stream = self._link, self._stream
        if end:
            self._let_go()
        self.on_answer_data(data, end=end)
        if link is None or stream is None:
            return
        if self._stream is stream and not self._client.has_room:
            self._unread_bytes += len(data)
        else:
            link.consumed(stream, len(data))

    def on_end(self, block: bytes) -> None:
        try:
            trailers = validate_trailers(decode_fields(block)) if block else []
        except (HeadError, TrunkError) as error:
            self._failed(Fate.RESET, 502, f"the peer's trailers were refused: {error}")
            return
        self._let_go()
        self.on_answer_end(trailers)

    def on_reset(self, code: int) -> None:
        self._link = self._stream = None
        if code == Code.DENIED:
            self._settle(None, failed=False)
            self.decision = DENY
            if self._client.has_answer_head:
                self.error = "denied by policy"
                self._client.abort()
                self._record()
            else:
                self._answer(403, "denied by policy", "denied by policy")
            return
        fate, status = judge_reset(code)
        self._failed(fate, status, f"the peer reset the stream ({code})")

    def on_room(self) -> None:
        self._client.read_on()

    def on_origin_room(self) -> None:
        self._client.read_on()

    def on_answer_whole(self, form: AnswerForm, body: Bytes) -> None:
        if form.status >= 500 or form.is_interim or self._leg.response_edits or self._form.upgrade:
            self.on_answer_head(form, end=False)
            if self in self._calling.live and self._client.has_answer_head:
                self._let_go()
                self.on_answer_data(body, end=True)
            return
        calling, candidate, status = self._calling, self._candidate, form.status
        if candidate is not None:
            self._candidate = None
            now_s = calling.ring.now_s
            rtt_s = now_s - self._attempt_s
            candidate.load.finished(
                now_s, penalised_rtt_s(status, rtt_s, retry_after_s(form.fields)) if status == 429 else rtt_s
            )
            if candidate.consecutive:
                calling.directory.failed(candidate, self._leg.target.service, now_s, failed=False)
        self.status = status
        self.sent_bytes = len(body)
        self._let_go()
        try:
            self._client.answer_whole(form, body)
        except BodyError as error:
            self._break(str(error))
            return
        self._record()

    def on_answer_head(self, form: AnswerForm, *, end: bool) -> None:
        if form.is_interim:
            self._client.answer_head(form)
            return
        calling, candidate, status = self._calling, self._candidate, form.status
        now_s = calling.ring.now_s
        failed = status in {502, 503, 504}
        if candidate is not None:
            rtt_s = now_s - self._attempt_s
            self._settle(
                penalised_rtt_s(status, rtt_s, retry_after_s(form.fields)) if status in {429, 503} else rtt_s,
                failed=False,
            )
            if failed or candidate.consecutive:
                calling.directory.failed(candidate, self._leg.target.service, now_s, failed=failed)
            if failed and self._may_retry(Fate.RESPONSE, status):
                self._leave(Code.CANCELLED)
                self._again(candidate)
                return
        self.status = status
        if form.is_upgrade:
            self._idle_s = calling.timeouts.tcp_idle_s
            self.deadline_s = now_s + self._idle_s
        elif self._form.upgrade and not self._body_end:
            # No upgrade after all: the request has ended.
            self.on_body_end([])
        leg = self._leg
        if leg.response_edits:
            form = form.with_fields(leg.edit_response(form.fields))
        self._body = ()
        self._is_replayable = False
        if end:
            self._let_go()
        self._client.answer_head(form, end=end)
        if end:
            self._record()

    def on_answer_data(self, data: Bytes, *, end: bool) -> None:
        self.sent_bytes += len(data)
        if self._idle_s:
            self.deadline_s = self._calling.ring.now_s + self._idle_s
        try:
            self._client.answer_data(data, end=end)
        except BodyError as error:
            self._break(str(error))
            return
        if end:
            self._origin = None
            self._record()
        elif self._origin is not None and not self._client.has_room:
            self._origin.read_on(on=False)

    def on_answer_end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        self._origin = None
        try:
            self._client.answer_end(trailers)
        except BodyError as error:
            self._break(str(error))
            return
        self._record()

    # -- ends --

    def _break(self, reason: str) -> None:
        """The answer does not fit its head: nothing of the rest may reach the application."""
        self.decision = MALFORMED
        self.error = reason
        self._leave(Code.PROTOCOL)
        self._client.abort()
        self._record()

    def _refuse(self, reason: str) -> None:
        """The request's body does not fit its head."""
        self.decision = MALFORMED
        self._leave(Code.CANCELLED)
        self._settle(None, failed=False)
        self._answer(400, reason, reason)

    def _answer(self, status: int, text: str, error: str) -> None:
        self.status = status
        self.error = error
        self._client.answer_plain(status, text)
        self._record()

    def _record(self) -> None:
        if self._calling.live.pop(self, self) is None:
            self._calling.recorder.request(self)
