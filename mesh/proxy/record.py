"""What is told of each request and each stream that ended: metrics and one line of the access log."""

from mesh.telemetry.access_log import AccessLog
from mesh.telemetry.metrics import Metrics, RequestSeries, StreamSeries

ALLOW = "allow"
DENY = "deny"
REVOKED = "revoked"
MALFORMED = "malformed"

_MAX_PATH_CHARACTERS = 1024


class Outcome:
    """How a request ended, filled in by its exchange."""

    __slots__ = ("decision", "endpoint", "error", "received_bytes", "rule", "sent_bytes", "status")

    def __init__(self) -> None:
        self.status = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.decision = ALLOW
        self.rule = ""
        self.endpoint = ""
        self.error = ""


class Recorder:
    """Tells of one side's requests: `reporter` is `source` (outbound) or `destination` (inbound).

    `destination` and `source` are names from the catalog or from a verified certificate.
    """

    def __init__(self, reporter: str, metrics: Metrics, log: AccessLog) -> None:
        self.reporter = reporter
        self.metrics = metrics
        self._log = log
        self._is_logged = log.is_wanted

    def series(self, source: str, destination: str) -> RequestSeries:
        """The request metrics of a pair, to be kept by who counts often."""
        return self.metrics.request_series(self.reporter, source, destination)

    def stream_series(self, source: str, destination: str) -> StreamSeries:
        """The stream metrics of a pair."""
        return self.metrics.stream_series(self.reporter, source, destination)

    def request(
        self, pair: "Pair", outcome: Outcome, line: tuple[bytes, bytes], trace_id: str, times: tuple[float, float]
    ) -> None:
        """A request ended. `line` is method and path, `times` start and end in seconds on the ring's clock."""
        duration_s = times[1] - times[0]
        pair.requests.count(outcome.status, duration_s, outcome.received_bytes, outcome.sent_bytes)
        if self._is_logged:
            self._log.add(
                (
                    times[1],
                    self.reporter,
                    pair.source,
                    pair.destination,
                    "http/1.1",
                    line[0].decode("latin-1"),
                    line[1][:_MAX_PATH_CHARACTERS].decode("latin-1"),
                    outcome.status,
                    round(duration_s * 1000, 3),
                    outcome.received_bytes,
                    outcome.sent_bytes,
                    outcome.decision,
                    outcome.rule,
                    outcome.endpoint,
                    trace_id,
                    outcome.error,
                )
            )

    def stream(self, pair: "Pair", outcome: Outcome, times: tuple[float, float]) -> None:
        """A TCP stream ended."""
        series = pair.streams
        series.received_bytes.value += outcome.received_bytes
        series.sent_bytes.value += outcome.sent_bytes
        if self._is_logged:
            self._log.add(
                (
                    times[1],
                    self.reporter,
                    pair.source,
                    pair.destination,
                    "tcp",
                    "",
                    "",
                    0,
                    round((times[1] - times[0]) * 1000, 3),
                    outcome.received_bytes,
                    outcome.sent_bytes,
                    outcome.decision,
                    outcome.rule,
                    outcome.endpoint,
                    "",
                    outcome.error,
                )
            )

    def denied(self, source: str, destination: str) -> None:
        """Policy said no."""
        self.metrics.denied.child(source, destination).value += 1

    def revoked(self, source: str, destination: str) -> None:
        """A live stream was cut."""
        self.metrics.revoked.child(source, destination).value += 1


class Pair:
    """One source and one destination with their series."""

    __slots__ = ("_recorder", "_requests", "_streams", "destination", "source")

    def __init__(self, recorder: Recorder, source: str, destination: str) -> None:
        self._recorder = recorder
        self.source = source
        self.destination = destination
        self._requests: RequestSeries | None = None
        self._streams: StreamSeries | None = None

    @property
    def requests(self) -> RequestSeries:
        """Request metrics, made when first used."""
        if self._requests is None:
            self._requests = self._recorder.series(self.source, self.destination)
        return self._requests

    @property
    def streams(self) -> StreamSeries:
        """Stream metrics, made when first used."""
        if self._streams is None:
            self._streams = self._recorder.stream_series(self.source, self.destination)
        return self._streams
