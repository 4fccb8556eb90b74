"""Inbound connections after their handshake: what each kind of peer may open, and how it is begun."""

from typing import Protocol

import msgspec

from mesh.decide.authorise import ByRequest, Denied, Permit
from mesh.proxy.http.client import ClientConnection
from mesh.proxy.http.form import RequestForm, TrunkForms, begin_trace, request_form
from mesh.proxy.http.trunk_client import TrunkClient
from mesh.proxy.inbound.caller import Caller
from mesh.proxy.inbound.exchange import InboundExchange, Serving
from mesh.proxy.link import Link
from mesh.proxy.pipe import StreamPipe
from mesh.proxy.record import DENY, MALFORMED, Brief, Pair, Recorder
from mesh.proxy.settings import Timeouts
from mesh.wire.fields import HeadError
from mesh.wire.http1.memo import FIELD_COST_BYTES, Memo
from mesh.wire.http1.request import Request
from mesh.wire.path import PathError, canonicalise
from mesh.wire.trunk_events import Opened, Stream
from mesh.wire.trunk_frames import Code, OpenedRequest

_DENIED_TEXT = "denied by the destination's intentions"


class Hosting(Serving, Protocol):
    """The parts of the inbound side that guests use."""

    forms: TrunkForms
    paths: Memo[bytes, tuple[bytes, bytes]]
    pipes: dict[StreamPipe, Caller]
    links: dict[Link, "TrunkGuest"]
    clients: dict[ClientConnection, "HttpGuest"]
    is_draining: bool

    def judge_stream(self, caller: Caller) -> Permit | Denied:
        """The verdict on a stream that is not HTTP."""

    def connect_app(self, pipe: StreamPipe) -> None:
        """Dial the application for a stream; cut the stream when it cannot be reached."""

    def stream_ended(self, pipe: StreamPipe, reason: str) -> None:
        """Record a stream."""


class Asked(msgspec.Struct, gc=False):
    """A request as it came. `left_s` is the time that the hop before allows; `end`: it has no body."""

    form: RequestForm
    target: bytes
    trace: bytes
    left_s: float | None
    end: bool


def begin_request(
    hosting: Hosting, caller: Caller, client: ClientConnection | TrunkClient, asked: Asked
) -> InboundExchange | None:
    """Judge a request and send it on; None when it was refused and answered."""
    form, target = asked.form, asked.target
    line = hosting.paths.recent.get(target)
    if line is None:
        try:
            line = canonicalise(target)
        except PathError as error:
            _refuse(hosting, caller, client, (form.method, target), HeadError(400, str(error)))
            return None
        hosting.paths.put(target, line, FIELD_COST_BYTES + 3 * len(target))
    path, query = line
    verdict = caller.verdict(hosting.policy)
    if isinstance(verdict, ByRequest):
        verdict = verdict.request(form.method, path, form.fields)
    now_s = hosting.ring.now_s
    if isinstance(verdict, Denied):
        hosting.recorder.denied(caller.pair)
        client.answer_plain(403, _DENIED_TEXT)
        hosting.recorder.refused(Brief(caller.pair, now_s, form.method, path, 403, decision=DENY, rule=verdict.rule))
        return None
    left_s, idle_s = asked.left_s, 0.0
    if left_s is None:
        left_s = idle_s = hosting.timeouts.stream_idle_s
    exchange = client.exchange = InboundExchange(
        hosting,
        caller,
        caller.pair,
        client,
        form,
        form.method,
        path,
        query,
        verdict.rule,
        form.trace or asked.trace,
        now_s,
        asked.end and not form.upgrade,
        now_s + left_s,
        idle_s,
    )
    hosting.live[exchange] = None
    hosting.pool.acquire(exchange)
    return exchange


def _refuse(
    hosting: Hosting,
    caller: Caller,
    client: ClientConnection | TrunkClient,
    line: tuple[bytes, bytes],
    error: HeadError,
) -> None:
    """Answer a malformed request, and record it."""
    client.answer_plain(error.status, error.reason)
    record_malformed(hosting.recorder, caller.pair, hosting.ring.now_s, line, error)


def record_malformed(recorder: Recorder, pair: Pair, now_s: float, line: tuple[bytes, bytes], error: HeadError) -> None:
    """Count and record a message that was refused."""
    recorder.metrics.malformed.child(recorder.reporter).value += 1
    brief = Brief(pair, now_s, line[0][:32], line[1], error.status, decision=MALFORMED, error=error.reason)
    recorder.refused(brief)


class TrunkGuest:
    """The keeper of one inbound trunk."""

    def __init__(self, hosting: Hosting, caller: Caller) -> None:
        self._hosting = hosting
        self.caller = caller
        self._malformed = hosting.recorder.metrics.malformed.child("destination")

    def on_opened(self, link: Link, event: Opened) -> None:
        """A stream: HTTP or TCP."""
        request = event.request
        if self._hosting.is_draining:
            link.reset(event.stream, Code.REFUSED)
        elif request is None:
            self._on_stream(link, event.stream)
        else:
            self._on_request(link, event, request)

    def _on_request(self, link: Link, event: Opened, request: OpenedRequest) -> None:
        hosting, end, body = self._hosting, event.end, event.body
        client = TrunkClient(link, event.stream, self._malformed, end=end)
        try:
            target, form = hosting.forms.request(request, end=end and not body)
        except HeadError as error:
            _refuse(hosting, self.caller, client, (request.method, request.target), error)
            return
        left_s = request.timeout_ms / 1000 if request.timeout_ms else None
        asked = Asked(form, target, request.trace, left_s, end and not body)
        exchange = begin_request(hosting, self.caller, client, asked)
        if body and exchange is not None and client.exchange is exchange:
            exchange.on_body(body, end=end)

    def _on_stream(self, link: Link, stream: Stream) -> None:
        hosting, pair = self._hosting, self.caller.pair
        verdict = hosting.judge_stream(self.caller)
        if isinstance(verdict, Denied):
            link.reset(stream, Code.DENIED)
            hosting.recorder.denied(pair)
            hosting.recorder.stream(Brief(pair, hosting.ring.now_s, decision=DENY, rule=verdict.rule))
            return
        pipe = StreamPipe(hosting.ring, link, stream, hosting.timeouts.tcp_idle_s, hosting.stream_ended)
        pipe.about = verdict.rule
        hosting.pipes[pipe] = self.caller
        pair.streams.total.value += 1
        pair.streams.open.value += 1
        hosting.connect_app(pipe)

    def on_leaving(self, link: Link) -> None:
        """The caller goes away by itself; what stands is finished."""

    def on_idle(self, link: Link) -> None:
        """Nothing under way: a good moment to go when draining."""
        if self._hosting.is_draining:
            link.close_after_flush("drained")

    def on_closed(self, link: Link, reason: str) -> None:
        """Forget it."""
        del reason
        self._hosting.links.pop(link, None)


class TurnedAway:
    """The keeper of a trunk that got a GOAWAY for its greeting: its trunk refuses every stream by itself."""

    def __init__(self, links: dict[Link, None]) -> None:
        self._links = links

    def on_opened(self, link: Link, event: Opened) -> None:
        """Cannot come: the trunk has said goodbye before its first stream."""

    def on_leaving(self, link: Link) -> None:
        """It goes by itself."""

    def on_idle(self, link: Link) -> None:
        """It has nothing to do."""

    def on_closed(self, link: Link, reason: str) -> None:
        """Forget it."""
        del reason
        self._links.pop(link, None)


class HttpGuest:
    """The keeper of one inbound connection that speaks HTTP/1 on its own: a peer that is not Linkspan."""

    def __init__(self, hosting: Hosting, caller: Caller) -> None:
        self._hosting = hosting
        self.caller = caller
        self.timeouts: Timeouts = hosting.timeouts

    @property
    def is_draining(self) -> bool:
        """Whether connections are to be closed after their answer."""
        return self._hosting.is_draining

    def begin(self, client: ClientConnection, request: Request) -> None:
        """A request."""
        form = request_form(request.known)
        asked = Asked(form, request.target, begin_trace(), form.left_s, request.end)
        exchange = begin_request(self._hosting, self.caller, client, asked)
        if exchange is not None and form.expect_continue:
            client.answer_continue()

    def on_malformed(self, client: ClientConnection, error: HeadError) -> None:
        """Count and record it."""
        del client
        record_malformed(self._hosting.recorder, self.caller.pair, self._hosting.ring.now_s, (b"", b""), error)

    def on_closed(self, client: ClientConnection) -> None:
        """Forget it."""
        self._hosting.clients.pop(client, None)
