"""What is told of each request and each stream that ended: metrics and one line of the access log."""

from typing import Protocol

import msgspec

from mesh.telemetry.access_log import AccessLog, Entry, encode_text
from mesh.telemetry.metrics import Metrics, RequestSeries, StreamSeries
from mesh.transport.ring import Ring

ALLOW = "allow"
DENY = "deny"
REVOKED = "revoked"
MALFORMED = "malformed"

_MAX_PATH_CHARACTERS = 1024
_MAX_TAILS = 4096


class Told(Protocol):
    """An exchange as the record sees it. `path` is canonical: it holds nothing that JSON would escape. `trace` is a traceparent."""

    pair: "Pair"
    method: bytes
    path: bytes
    status: int
    started_s: float
    received_bytes: int
    sent_bytes: int
    decision: str
    rule: str
    endpoint: str
    error: str
    trace: bytes


class Brief(msgspec.Struct):
    """What is told of something that never became an exchange, or is a TCP stream. Times are on the ring's clock."""

    pair: "Pair"
    started_s: float
    method: bytes = b""
    path: bytes = b""
    status: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    decision: str = ALLOW
    rule: str = ""
    endpoint: str = ""
    error: str = ""


class Recorder:
    """Tells of one side: `reporter` is `source` (outbound) or `destination` (inbound)."""

    def __init__(self, reporter: str, ring: Ring, metrics: Metrics, log: AccessLog) -> None:
        self.reporter = reporter
        self.metrics = metrics
        self._ring = ring
        self._log = log
        self._is_logged = log.is_wanted
        self._tails: dict[tuple[int, str, str, str, str], bytes] = {}

    def request(self, told: Told) -> None:
        """A request ended; the hot path."""
        now_s = self._ring.now_s
        pair = told.pair
        duration_s = now_s - told.started_s
        received_bytes, sent_bytes = told.received_bytes, told.sent_bytes
        (pair.requests or pair.make_requests()).count(told.status, duration_s, received_bytes, sent_bytes)
        if self._is_logged:
            about = (told.status, told.decision, told.rule, told.endpoint, told.error)
            self._log.add(
                b'%b%b","path":"%b","duration_ms":%.3f,"bytes_received":%d,"bytes_sent":%d,"trace_id":"%b"%b'
                % (
                    pair.start if pair.start_s == now_s else pair.start_at(now_s, self._log.stamp_at(now_s)),
                    told.method,
                    told.path[:_MAX_PATH_CHARACTERS],
                    duration_s * 1000,
                    received_bytes,
                    sent_bytes,
                    told.trace[3:35],
                    self._tails.get(about) or self._make_tail(about),
                )
            )

    def refused(self, brief: Brief) -> None:
        """A request was answered without an exchange; its texts may hold anything."""
        duration_s = self._ring.now_s - brief.started_s
        (brief.pair.requests or brief.pair.make_requests()).count(brief.status, duration_s, 0, 0)
        self._write(brief, "http/1.1")

    def stream(self, brief: Brief) -> None:
        """A TCP stream ended."""
        series = brief.pair.streams
        series.received_bytes.value += brief.received_bytes
        series.sent_bytes.value += brief.sent_bytes
        self._write(brief, "tcp")

    def denied(self, pair: "Pair") -> None:
        """Policy said no."""
        self.metrics.denied.child(pair.source, pair.destination).value += 1

    def revoked(self, pair: "Pair") -> None:
        """A live stream was cut."""
        self.metrics.revoked.child(pair.source, pair.destination).value += 1

    def _write(self, brief: Brief, protocol: str) -> None:
        if not self._is_logged:
            return
        now_s, pair = self._ring.now_s, brief.pair
        entry = Entry(
            self._log.stamp_at(now_s).decode(),
            self.reporter,
            pair.source,
            pair.destination,
            protocol,
            brief.method.decode("latin-1"),
            brief.path[:_MAX_PATH_CHARACTERS].decode("latin-1"),
            brief.status,
            round((now_s - brief.started_s) * 1000, 3),
            brief.received_bytes,
            brief.sent_bytes,
            "",
            brief.decision,
            brief.rule,
            brief.endpoint,
            brief.error,
        )
        self._log.add(msgspec.json.encode(entry) + b"\n")

    def _make_tail(self, about: tuple[int, str, str, str, str]) -> bytes:
        """The end of a line, which few values make up; kept for the next one."""
        if len(self._tails) >= _MAX_TAILS:
            self._tails.clear()
        decision, rule, endpoint, error = map(encode_text, about[1:])
        tail = b',"status":%d,"decision":%b,"rule":%b,"endpoint":%b,"error":%b}\n' % (
            about[0],
            decision,
            rule,
            endpoint,
            error,
        )
        self._tails[about] = tail
        return tail


class Pair:
    """One source and one destination, names from the catalog or from a verified certificate, with their series."""

    __slots__ = ("_metrics", "_names", "_reporter", "_streams", "destination", "requests", "source", "start", "start_s")

    def __init__(self, recorder: Recorder, source: str, destination: str) -> None:
        self._metrics = recorder.metrics
        self._reporter = recorder.reporter
        self._streams: StreamSeries | None = None
        self.source = source
        self.destination = destination
        self.requests: RequestSeries | None = None
        """Request metrics, once there was one."""
        self._names = b'","reporter":%b,"source":%b,"destination":%b,"protocol":"http/1.1","method":"' % tuple(
            map(encode_text, (recorder.reporter, source, destination))
        )
        self.start = b""
        """How a line of the time `start_s` begins, to be used again within a turn."""
        self.start_s = -1.0

    def start_at(self, now_s: float, stamp: bytes) -> bytes:
        """How a request's line begins now."""
        self.start_s = now_s
        self.start = b'{"time":"%b%b' % (stamp, self._names)
        return self.start

    def make_requests(self) -> RequestSeries:
        """The request metrics."""
        self.requests = self._metrics.request_series(self._reporter, self.source, self.destination)
        return self.requests

    @property
    def streams(self) -> StreamSeries:
        """Stream metrics, made when first used."""
        if self._streams is None:
            self._streams = self._metrics.stream_series(self._reporter, self.source, self.destination)
        return self._streams
