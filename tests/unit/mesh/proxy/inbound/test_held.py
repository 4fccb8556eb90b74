"""What all trunks together hold: weighed in time, the heaviest certificate's heaviest trunk cut first, the light ones never."""

from typing import Any

from mesh.identity.peer import Peer
from mesh.model.identity import service_id
from mesh.proxy.inbound.held import Held
from mesh.telemetry.metrics import Metrics
from mesh.wire.trunk import Trunk
from mesh.wire.trunk_events import STREAM_COST_BYTES, TrunkLimits
from mesh.wire.trunk_frames import DATA, HEADER, OPEN, STREAM_WINDOW_BYTES, Code

TCP = HEADER.pack(1, OPEN, 0, 1) + b"\0"


class FakeLink:
    """A trunk that holds `size` bytes, and the end it came to."""

    def __init__(self, size: int) -> None:
        self.trunk = Trunk(is_dialler=False)
        self.failed: Code | None = None
        size -= STREAM_COST_BYTES
        self.trunk.receive(TCP)
        for at in range(0, size, 10_000):
            piece = min(10_000, size - at)
            self.trunk.receive(HEADER.pack(1, DATA, 0, piece) + bytes(piece))
        assert self.trunk.held_bytes == size + STREAM_COST_BYTES

    def fail(self, code: Code, reason: str) -> None:
        assert reason
        self.failed = code


class Guest:
    def __init__(self, serial: str) -> None:
        self.caller: Any = self
        self.spiffe_id = service_id("test.linkspan", "dc1", "web")
        self.peer = Peer(self.spiffe_id, serial, 0.0)


def held(most_bytes: int, *trunks: tuple[str, int]) -> tuple[Held, list[FakeLink], Metrics]:
    metrics, made = Metrics(), [FakeLink(size) for _, size in trunks]
    links: Any = {link: Guest(serial) for link, (serial, _) in zip(made, trunks, strict=True)}
    return Held(links, most_bytes, TrunkLimits(), metrics), made, metrics


def test_the_heaviest_certificate_loses_its_heaviest_trunk() -> None:
    """One trunk with 40 KB is left alone beside three of 30, 20 and 25 KB of another certificate."""
    one, links, metrics = held(90_000, ("good", 40_000), ("bad", 20_000), ("bad", 30_000), ("bad", 25_000))
    one.weigh()
    assert [link.failed for link in links] == [None, None, Code.FLOOD, None]
    assert metrics.trunks_cut.child("inbound", "memory").value == 1
    assert metrics.inbound_held.child().value == 85_000


def test_as_many_are_cut_as_it_takes() -> None:
    """It goes on until the rest fits."""
    one, links, _ = held(30_000, ("good", 9_000), ("bad", 20_000), ("bad", 30_000), ("bad", 25_000))
    one.weigh()
    assert [link.failed is None for link in links] == [True, True, False, False]


def test_windows_are_kept_narrow_while_it_is_tight() -> None:
    """Over half of the budget no window grows; below it they may again, on trunks that stand and on new ones."""
    one, [link], _ = held(60_000, ("good", 40_000))
    one.weigh()
    assert link.failed is None
    assert one.limits is link.trunk.limits
    assert link.trunk.limits.stream_window_max_bytes == STREAM_WINDOW_BYTES
    stream = link.trunk.streams[1]
    link.trunk.consumed(stream, 40_000)
    assert stream.window_bytes == STREAM_WINDOW_BYTES
    one.weigh()
    assert link.trunk.limits == TrunkLimits()


def test_it_is_weighed_before_the_next_sweep_when_much_comes() -> None:
    """The meter asks for it after an eighth of the budget."""
    one, [link], _ = held(8_000, ("bad", 9_000))
    assert one.meter.most_bytes == 1_000
    one.meter.fresh_bytes = 1_001
    one.meter.weigh()
    assert one.meter.fresh_bytes == 0
    assert link.failed is Code.FLOOD
