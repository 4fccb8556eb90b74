"""Counters, gauges and histograms of a proxy, and their Prometheus text.

Children are looked up once and kept by their user, so that counting costs an attribute addition: everything is on one
thread, and the text is made at scrape. Labels are names from the catalog or words of this code, never a client's bytes;
even so a family holds at most `MAX_CHILDREN` and lumps the rest together.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MAX_CHILDREN = 5000
OTHER = "other"

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Child(Protocol):
    def render(self, name: str, labels: str) -> Iterator[str]: ...


class Counter:
    """A number that grows, or a gauge's that also falls: add to `value`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def render(self, name: str, labels: str) -> Iterator[str]:
        """One line of text."""
        yield f"{name}{_braces(labels)} {_number(self.value)}\n"


class Computed:
    """A gauge whose value is asked for at scrape; None leaves it out."""

    __slots__ = ("compute",)

    def __init__(self) -> None:
        self.compute: Callable[[], float | None] = lambda: None

    def render(self, name: str, labels: str) -> Iterator[str]:
        """One line of text, or none."""
        value = self.compute()
        if value is not None:
            yield f"{name}{_braces(labels)} {_number(value)}\n"


class Histogram:
    """Durations in seconds, in `DURATION_BUCKETS_S`."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(DURATION_BUCKETS_S) + 1)
        self.total_s = 0.0

    def observe(self, duration_s: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(DURATION_BUCKETS_S, duration_s)] += 1
        self.total_s += duration_s

    def render(self, name: str, labels: str) -> Iterator[str]:
        """Cumulative buckets, sum and count."""
        comma = "," if labels else ""
        seen = 0
        for bound, count in zip((*map(_number, DURATION_BUCKETS_S), "+Inf"), self.counts, strict=True):
            seen += count
            yield f'{name}_bucket{{{labels}{comma}le="{bound}"}} {seen}\n'
        yield f"{name}_sum{_braces(labels)} {self.total_s!r}\n"
        yield f"{name}_count{_braces(labels)} {seen}\n"


Child = TypeVar("Child", bound=_Child)


class Family(Generic[Child]):
    """One metric and its children by label values. Ask `child` once and keep what it returns."""

    def __init__(self, name: str, kind: str, text: str, labels: tuple[str, ...], make: Callable[[], Child]) -> None:
        self.name = name
        self._kind = kind
        self._text = text
        self._labels = labels
        self._make = make
        self._children: dict[tuple[str, ...], Child] = {}

    def child(self, *values: str) -> Child:
        """The child with these label values, made when it is new; beyond `MAX_CHILDREN` the common `other`."""
        found = self._children.get(values)
        if found is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self.name} has the labels {self._labels}, got {len(values)} values")
            if len(self._children) >= MAX_CHILDREN:
                values = (OTHER,) * len(values)
            found = self._children.setdefault(values, self._make())
        return found

    def render(self) -> Iterator[str]:
        """HELP, TYPE and every child."""
        yield f"# HELP {self.name} {self._text}\n# TYPE {self.name} {self._kind}\n"
        for values, child in self._children.items():
            labels = ",".join(f'{name}="{_escape(value)}"' for name, value in zip(self._labels, values, strict=True))
            yield from child.render(self.name, labels)


class RequestSeries:
    """All that is counted for the requests of one source to one destination, seen from one side."""

    __slots__ = ("_by_status", "_durations", "_family", "_labels", "received_bytes", "sent_bytes")

    def __init__(self, metrics: "Metrics", labels: tuple[str, str, str]) -> None:
        self._family = metrics.requests
        self._labels = labels
        self._by_status: dict[int, Counter] = {}
        self._durations = metrics.request_duration.child(*labels)
        self.received_bytes = metrics.request_bytes.child(*labels)
        self.sent_bytes = metrics.response_bytes.child(*labels)

    def count(self, status: int, duration_s: float, received_bytes: int, sent_bytes: int) -> None:
        """Count one finished request. `status` is 100 to 599, 0 when no head came."""
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._by_status[status] = self._family.child(*self._labels, str(status))
        counter.value += 1
        durations = self._durations
        durations.counts[bisect_left(DURATION_BUCKETS_S, duration_s)] += 1
        durations.total_s += duration_s
        if received_bytes:
            self.received_bytes.value += received_bytes
        self.sent_bytes.value += sent_bytes


class StreamSeries:
    """All that is counted for the TCP streams of one source to one destination, seen from one side."""

    __slots__ = ("open", "received_bytes", "sent_bytes", "total")

    def __init__(self, metrics: "Metrics", labels: tuple[str, str, str]) -> None:
        self.total = metrics.tcp_streams.child(*labels)
        self.open = metrics.tcp_open.child(*labels)
        self.received_bytes = metrics.tcp_received_bytes.child(*labels)
        self.sent_bytes = metrics.tcp_sent_bytes.child(*labels)


_PAIR = ("reporter", "source", "destination")


class Metrics:
    """Every metric of one proxy or gateway process. `reporter` is `source` (outbound side) or `destination` (inbound)."""

    def __init__(self) -> None:
        self._families: list[Family[Counter] | Family[Computed] | Family[Histogram]] = []
        counter, gauge = self.counter, self.gauge
        self.requests = counter("linkspan_requests_total", "HTTP requests that ended.", (*_PAIR, "status"))
        self.request_duration = self._histogram("linkspan_request_duration_seconds", "Time to the end of the answer.")
        self.request_bytes = counter("linkspan_request_bytes_total", "Bytes of request bodies.", _PAIR)
        self.response_bytes = counter("linkspan_response_bytes_total", "Bytes of response bodies.", _PAIR)
        self.tcp_streams = counter("linkspan_tcp_streams_total", "TCP streams that were opened.", _PAIR)
        self.tcp_open = gauge("linkspan_tcp_streams_open", "TCP streams open now.", _PAIR)
        self.tcp_received_bytes = counter(
            "linkspan_tcp_received_bytes_total", "Bytes from source to destination.", _PAIR
        )
        self.tcp_sent_bytes = counter("linkspan_tcp_sent_bytes_total", "Bytes from destination to source.", _PAIR)
        self._add_connections()
        self.denied = counter(
            "linkspan_denied_total", "Requests and streams denied by policy.", ("source", "destination")
        )
        self.revoked = counter(
            "linkspan_connections_revoked_total",
            "Live streams cut because policy or identity changed.",
            ("source", "destination"),
        )
        self.malformed = counter(
            "linkspan_malformed_total", "Messages refused because they broke the protocol.", ("side",)
        )
        self.retries = counter("linkspan_retries_total", "Attempts made again.", ("destination",))
        self.retries_refused = counter(
            "linkspan_retries_refused_total", "Retries that the budget refused.", ("destination",)
        )
        self.ejections = counter("linkspan_ejections_total", "Instances left out after errors.", ("destination",))
        self.log_dropped = counter(
            "linkspan_access_log_dropped_total", "Log lines dropped because the sink was slow.", ()
        ).child()
        self.ring_failures = self.computed(
            "linkspan_machine_failures_total", "Connections closed by an error of our own."
        )
        self.catalog_index = self.computed("linkspan_catalog_index", "Catalog index that the snapshot was made from.")
        self.config_age = self.computed("linkspan_config_age_seconds", "Time since the catalog was last heard.")
        self.certificate_expiry = self.computed(
            "linkspan_certificate_expiry_timestamp_seconds", "When our certificate expires, seconds since the epoch."
        )
        self._requests: dict[tuple[str, str, str], RequestSeries] = {}
        self._streams: dict[tuple[str, str, str], StreamSeries] = {}

    def _add_connections(self) -> None:
        """What is told of connections and trunks as such."""
        counter, gauge = self.counter, self.gauge
        self.connections_open = gauge("linkspan_connections_open", "Connections open now.", ("side",))
        self.connections = counter("linkspan_connections_total", "Connections that were accepted or made.", ("side",))
        self.refused = counter(
            "linkspan_connections_refused_total", "Connections refused, by reason.", ("side", "reason")
        )
        self.silent = counter(
            "linkspan_connections_silent_total", "Connections closed by the peer before it sent a byte.", ("side",)
        )
        self.trunks_open = gauge("linkspan_trunks_open", "Trunks open now.", ("side",))
        self.trunks_cut = counter(
            "linkspan_trunks_cut_total", "Trunks cut because of what their peer held or left open.", ("side", "reason")
        )
        self.inbound_held = gauge(
            "linkspan_inbound_held_bytes", "Bytes that inbound trunks hold: heads, bodies and answers that wait.", ()
        )

    def counter(self, name: str, text: str, labels: tuple[str, ...]) -> Family[Counter]:
        """A new counter family."""
        return self._add(Family(name, "counter", text, labels, Counter))

    def gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Family[Counter]:
        """A new gauge family whose children are added to and taken from."""
        return self._add(Family(name, "gauge", text, labels, Counter))

    def computed(self, name: str, text: str) -> Computed:
        """A new gauge whose `compute` is called at scrape."""
        family = Family(name, "gauge", text, (), Computed)
        self._families.append(family)
        return family.child()

    def request_series(self, reporter: str, source: str, destination: str) -> RequestSeries:
        """The series of one pair; the same object each time."""
        labels = (reporter, source, destination)
        found = self._requests.get(labels)
        if found is None:
            found = RequestSeries(self, labels)
            if len(self._requests) < MAX_CHILDREN:
                self._requests[labels] = found
        return found

    def stream_series(self, reporter: str, source: str, destination: str) -> StreamSeries:
        """The series of one pair; the same object each time."""
        labels = (reporter, source, destination)
        found = self._streams.get(labels)
        if found is None:
            found = StreamSeries(self, labels)
            if len(self._streams) < MAX_CHILDREN:
                self._streams[labels] = found
        return found

    def render(self) -> bytes:
        """The Prometheus text of everything (content type `CONTENT_TYPE`)."""
        return "".join(line for family in self._families for line in family.render()).encode()

    def _add(self, family: Family[Counter]) -> Family[Counter]:
        self._families.append(family)
        return family

    def _histogram(self, name: str, text: str) -> Family[Histogram]:
        family = Family(name, "histogram", text, _PAIR, Histogram)
        self._families.append(family)
        return family


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
