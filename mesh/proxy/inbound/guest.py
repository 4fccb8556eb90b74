"""Inbound connections after their handshake: what each kind of peer may open, and how it is begun."""

from typing import Protocol

from mesh.decide.authorise import Denied, Permit
from mesh.decide.deadline import deadline_s
from mesh.proxy.http.client import ClientConnection
from mesh.proxy.http.form import TrunkForms, request_form
from mesh.proxy.http.trunk_client import TrunkClient
from mesh.proxy.inbound.caller import Caller
from mesh.proxy.inbound.exchange import Asked, InboundExchange, Serving
from mesh.proxy.link import Link
from mesh.proxy.pipe import StreamPipe
from mesh.proxy.record import DENY, MALFORMED, Outcome
from mesh.proxy.settings import Timeouts
from mesh.wire.fields import HeadError
from mesh.wire.http1.request import Request
from mesh.wire.path import PathError, canonicalise
from mesh.wire.trunk_events import Opened, Stream
from mesh.wire.trunk_frames import Code, OpenedRequest

_DENIED_TEXT = "denied by the destination's intentions"


class Hosting(Serving, Protocol):
    """The parts of the inbound side that guests use."""

    forms: TrunkForms
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


def begin_request(
    hosting: Hosting, caller: Caller, client: ClientConnection | TrunkClient, asked: Asked
) -> InboundExchange | None:
    """Judge a request and start its exchange; None when it was answered at once."""
    form, now_s = asked.form, hosting.ring.now_s
    line = (form.method, asked.target)
    try:
        path, query = canonicalise(asked.target)
    except PathError as error:
        _answer(hosting, caller, client, (line, 400, MALFORMED, str(error)))
        return None
    verdict = hosting.judge(caller, form.method, path, form.fields)  # type: ignore[arg-type]
    if isinstance(verdict, Denied):
        hosting.recorder.denied(caller.source, caller.pair.destination)
        _answer(hosting, caller, client, ((form.method, path), 403, DENY, verdict.rule))
        return None
    if deadline_s(now_s, 0.0, asked.left_s) <= now_s:
        _answer(hosting, caller, client, ((form.method, path), 504, "allow", "no time was left"))
        return None
    exchange = InboundExchange(hosting, caller, client, asked, (path, query), verdict)
    hosting.pool.acquire(exchange)
    return exchange if exchange in hosting.live else None


def _answer(
    hosting: Hosting,
    caller: Caller,
    client: ClientConnection | TrunkClient,
    what: tuple[tuple[bytes, bytes], int, str, str],
) -> None:
    """Answer without an exchange, and record it."""
    line, status, decision, rule = what
    outcome = Outcome()
    outcome.status, outcome.decision, outcome.rule = status, decision, rule
    if decision == MALFORMED:
        hosting.recorder.metrics.malformed.child("inbound").value += 1
    text = _DENIED_TEXT if decision == DENY else rule
    client.answer_plain(status, text)
    now_s = hosting.ring.now_s
    hosting.recorder.request(caller.pair, outcome, line, "", (now_s, now_s))


class TrunkGuest:
    """The keeper of one inbound trunk."""

    def __init__(self, hosting: Hosting, caller: Caller) -> None:
        self._hosting = hosting
        self.caller = caller
        self._malformed = hosting.recorder.metrics.malformed.child("inbound")

    def on_opened(self, link: Link, event: Opened) -> None:
        """A stream: HTTP or TCP."""
        if self._hosting.is_draining:
            link.reset(event.stream, Code.REFUSED)
        elif event.request is not None:
            self._on_request(link, event.stream, event.request, end=event.end)
        else:
            self._on_stream(link, event.stream)

    def _on_request(self, link: Link, stream: Stream, request: OpenedRequest, *, end: bool) -> None:
        hosting = self._hosting
        client = TrunkClient(link, stream, self._malformed, end=end)
        try:
            target, form = hosting.forms.request(request, end=end)
        except HeadError as error:
            line = (request.method[:32], request.target[:200])
            _answer(hosting, self.caller, client, (line, error.status, MALFORMED, error.reason))
            return
        left_s = request.timeout_ms / 1000 if request.timeout_ms else None
        asked = Asked(form, target, request.trace, left_s, end=end)
        client.exchange = begin_request(hosting, self.caller, client, asked)

    def _on_stream(self, link: Link, stream: Stream) -> None:
        hosting = self._hosting
        verdict = hosting.judge_stream(self.caller)
        if isinstance(verdict, Denied):
            link.reset(stream, Code.DENIED)
            hosting.recorder.denied(self.caller.source, self.caller.pair.destination)
            outcome = Outcome()
            outcome.decision, outcome.rule = DENY, verdict.rule
            now_s = hosting.ring.now_s
            hosting.recorder.stream(self.caller.pair, outcome, (now_s, now_s))
            return
        pipe = StreamPipe(hosting.ring, link, stream, hosting.timeouts.tcp_idle_s, hosting.stream_ended)
        pipe.about = verdict.rule
        hosting.pipes[pipe] = self.caller
        series = self.caller.pair.streams
        series.total.value += 1
        series.open.value += 1
        hosting.connect_app(pipe)

    def on_leaving(self, link: Link) -> None:
        """The caller goes away by itself; what stands is finished."""

    def on_idle(self, link: Link) -> None:
        """Nothing under way: a good moment to go when draining."""
        if self._hosting.is_draining:
            link.close("drained")

    def on_closed(self, link: Link, reason: str) -> None:
        """Forget it."""
        del reason
        self._hosting.links.pop(link, None)


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

    def begin(self, client: ClientConnection, request: Request) -> InboundExchange | None:
        """A request."""
        form = request_form(request.known)
        if form.expect_continue:
            client.answer_continue()
        asked = Asked(form, request.target, b"", form.left_s, end=request.end)
        return begin_request(self._hosting, self.caller, client, asked)

    def on_malformed(self, client: ClientConnection, error: HeadError) -> None:
        """Count and record it."""
        del client
        hosting = self._hosting
        hosting.recorder.metrics.malformed.child("inbound").value += 1
        outcome = Outcome()
        outcome.status, outcome.decision, outcome.error = error.status, MALFORMED, error.reason
        now_s = hosting.ring.now_s
        hosting.recorder.request(self.caller.pair, outcome, (b"", b""), "", (now_s, now_s))

    def on_closed(self, client: ClientConnection) -> None:
        """Forget it."""
        self._hosting.clients.pop(client, None)
