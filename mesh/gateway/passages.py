"""The passages through a gateway: relays on the ring, what they carried, and the cut when an export goes.

It judges by `mesh.gateway.forward` alone, again for every live passage at every new snapshot, in the call that replaces it.
"""

import socket
from collections.abc import Callable

import msgspec
import trio

from mesh.decide.reach import Hop
from mesh.gateway.forward import LASTING, Dropped, Forward, Side, decide_forward
from mesh.model.snapshot import Snapshot
from mesh.telemetry.access_log import AccessLog, Entry
from mesh.telemetry.metrics import Counter, Metrics
from mesh.transport.relay import Relay, RelayEnd
from mesh.transport.ring import Ring

CLOSED = "closed"
REVOKED = "revoked"
DRAINED = "drained"


class Series:
    """What is counted for a gateway, by side and service."""

    def __init__(self, metrics: Metrics) -> None:
        labels = ("side", "service")
        self.passages = metrics.counter("linkspan_gateway_connections_total", "Connections carried through.", labels)
        self.open = metrics.gauge("linkspan_gateway_connections_open", "Connections carried through now.", labels)
        self.bytes_in = metrics.counter(
            "linkspan_gateway_received_bytes_total", "Bytes from callers to destinations.", labels
        )
        self.bytes_out = metrics.counter(
            "linkspan_gateway_sent_bytes_total", "Bytes from destinations to callers.", labels
        )
        self.dropped = metrics.counter("linkspan_gateway_dropped_total", "Connections dropped.", ("side", "reason"))
        self.failed = metrics.counter("linkspan_gateway_dial_failures_total", "Dials that failed.", labels)
        self.revoked = metrics.revoked


class Passage:
    """One connection carried through."""

    def __init__(  # noqa: PLR0917 - a value
        self,
        side: Side,
        server_name: str,
        target: Forward,
        hop: Hop,
        began_s: float,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.release = release
        self.side = side
        self.server_name = server_name
        self.service = target.service
        self.is_catalog = target.is_catalog
        self.rule = "catalog" if target.is_catalog else "exported-services"
        self.hop = hop
        self.began_s = began_s
        self.relay: Relay | None = None
        self._counted_in = 0
        self._counted_out = 0

    def count(self, bytes_in: Counter, bytes_out: Counter, carried: tuple[int, int]) -> None:
        """Add what was carried since the last count."""
        bytes_in.value += carried[0] - self._counted_in
        bytes_out.value += carried[1] - self._counted_out
        self._counted_in, self._counted_out = carried


class Passages:
    """Every live passage of one gateway."""

    def __init__(self, ring: Ring, series: Series, access_log: AccessLog, *, idle_s: float, has_catalog: bool) -> None:
        self._ring = ring
        self._series = series
        self._access_log = access_log
        self._idle_s = idle_s
        self._has_catalog = has_catalog
        self._live: set[Passage] = set()
        self._emptied = trio.Event()
        self.open_by_hop: dict[Hop, int] = {}

    def __len__(self) -> int:
        return len(self._live)

    def carry(self, passage: Passage, left: socket.socket, right: socket.socket, head: bytes) -> None:
        """Relay between caller (`left`) and destination (`right`), `head` first; owns both sockets from now on."""
        labels = (passage.side.value, passage.service)
        self._live.add(passage)
        self.open_by_hop[passage.hop] = self.open_by_hop.get(passage.hop, 0) + 1
        self._series.passages.child(*labels).value += 1
        self._series.open.child(*labels).value += 1
        passage.relay = Relay(
            self._ring,
            left,
            right,
            idle_timeout_s=self._idle_s,
            on_end=lambda end: self._ended(passage, end),
            head=head,
        )

    def judge_again(self, snapshot: Snapshot) -> None:
        """Cut every passage whose name is no longer forwarded. Called in the call that replaces the snapshot."""
        for passage in tuple(self._live):
            verdict = decide_forward(passage.side, passage.server_name, snapshot, has_catalog=self._has_catalog)
            if isinstance(verdict, Dropped) and verdict.reason in LASTING and passage.relay is not None:
                self._series.revoked.child("", passage.service).value += 1
                passage.relay.cut(REVOKED)

    def cut_all(self) -> None:
        """Cut what is left at the end of a drain."""
        self._cut(tuple(self._live))

    def cut_catalog(self) -> None:
        """Cut the passages to the catalog: whoever follows it keeps what it holds and comes again another way."""
        self._cut(tuple(passage for passage in self._live if passage.is_catalog))

    def _cut(self, passages: tuple[Passage, ...]) -> None:
        for passage in passages:
            if passage.relay is not None:
                passage.relay.cut(DRAINED)

    async def wait_empty(self) -> None:
        """Wait until no passage is live."""
        while self._live:
            self._emptied = trio.Event()
            await self._emptied.wait()

    def count_bytes(self) -> None:
        """Bring the byte counters up to now; called before every scrape."""
        for passage in self._live:
            if passage.relay is not None:
                self._count(passage, (passage.relay.bytes_to_right, passage.relay.bytes_to_left))

    def _count(self, passage: Passage, carried: tuple[int, int]) -> None:
        labels = (passage.side.value, passage.service)
        passage.count(self._series.bytes_in.child(*labels), self._series.bytes_out.child(*labels), carried)

    def _ended(self, passage: Passage, end: RelayEnd) -> None:
        self._live.discard(passage)
        passage.release()
        self._count(passage, (end.bytes_to_right, end.bytes_to_left))
        self._series.open.child(passage.side.value, passage.service).value -= 1
        left = self.open_by_hop.get(passage.hop, 1) - 1
        if left:
            self.open_by_hop[passage.hop] = left
        else:
            self.open_by_hop.pop(passage.hop, None)
        if not self._live:
            self._emptied.set()
        now_s = self._ring.time_s()
        log_passage(self._access_log, now_s, passage, end)


def log_passage(access_log: AccessLog, now_s: float, passage: Passage, end: RelayEnd) -> None:
    """One line for a passage that ended."""
    if not access_log.is_wanted:
        return
    entry = Entry(
        time=access_log.stamp_at(now_s).decode(),
        reporter="gateway",
        source=passage.side.value,
        destination=passage.service,
        protocol="tls",
        method="",
        path=passage.server_name,
        status=0,
        duration_ms=round((now_s - passage.began_s) * 1000, 3),
        bytes_received=end.bytes_to_right,
        bytes_sent=end.bytes_to_left,
        trace_id="",
        decision=REVOKED if end.reason == REVOKED else "allow",
        rule=passage.rule,
        endpoint=f"{passage.hop.address}:{passage.hop.port}",
        error="" if end.reason == CLOSED else end.reason,
    )
    access_log.add(msgspec.json.encode(entry) + b"\n")


def log_drop(access_log: AccessLog, now_s: float, side: Side, server_name: str, reason: str, *, more: str = "") -> None:
    """One line for a connection that was dropped; `more`: how many like it have none of their own. The name is the peer's text, as data."""
    if not access_log.is_wanted:
        return
    time = access_log.stamp_at(now_s).decode()
    entry = Entry(time, "gateway", side.value, "", "tls", "", server_name, 0, 0.0, 0, 0, "", "deny", reason, "", more)
    access_log.add(msgspec.json.encode(entry) + b"\n")
