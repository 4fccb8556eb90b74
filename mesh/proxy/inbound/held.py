"""What the trunks of all peers hold of this proxy's memory, and the end of those that hold too much of it.

Trunks are weighed a few times a second, and as soon as as many bytes came as could matter: between, a reading costs one addition and one
comparison. Over half of the budget streams get no wider windows; over all of it the heaviest trunk of the certificate that holds
most is cut, and the next one, until the rest fits. Who holds little is never cut for what others hold.
"""

import logging
from collections.abc import Mapping

from mesh.proxy.inbound.guest import TrunkGuest
from mesh.proxy.link import Link, Meter
from mesh.telemetry.metrics import Metrics
from mesh.wire.trunk_events import TrunkLimits
from mesh.wire.trunk_frames import STREAM_WINDOW_BYTES, Code

_UNWEIGHED_PART = 8

_log = logging.getLogger("linkspan.proxy")


class Held:
    """Weighs `links`, whose bytes go through `meter`, against `most_bytes`."""

    def __init__(
        self, links: Mapping[Link, TrunkGuest], most_bytes: int, limits: TrunkLimits, metrics: Metrics
    ) -> None:
        self._links = links
        self._most_bytes = most_bytes
        self._wide = limits
        self._narrow = TrunkLimits(max_streams=limits.max_streams, stream_window_max_bytes=STREAM_WINDOW_BYTES)
        self.limits = limits
        """Those of every trunk now."""
        self.meter = Meter(most_bytes // _UNWEIGHED_PART, self.weigh)
        self._gauge = metrics.inbound_held.child()
        self._cut = metrics.trunks_cut.child("inbound", "memory")

    def weigh(self) -> None:
        """Weigh everything now, and cut what does not fit."""
        self.meter.fresh_bytes = 0
        weights = {link: link.trunk.held_bytes for link in self._links}
        total = sum(weights.values())
        limits = self._narrow if total > self._most_bytes // 2 else self._wide
        if limits is not self.limits:
            self.limits = limits
            for link in weights:
                link.trunk.limits = limits
        while total > self._most_bytes and weights:
            total -= self._cut_heaviest(weights, total)
        self._gauge.value = total

    def _cut_heaviest(self, weights: dict[Link, int], total: int) -> int:
        """Cut one trunk, take it out of `weights` and say what it held."""
        by_peer: dict[str, int] = {}
        for link, size in weights.items():
            serial = self._links[link].caller.peer.serial
            by_peer[serial] = by_peer.get(serial, 0) + size
        heaviest = max(by_peer, key=by_peer.__getitem__)
        link = max((one for one in weights if self._links[one].caller.peer.serial == heaviest), key=weights.__getitem__)
        caller, size = self._links[link].caller, weights.pop(link)
        _log.warning(
            "cut a trunk of %s: it holds %d bytes, its certificate %s %d of the %d that are held here, the most of all",
            caller.spiffe_id, size, heaviest, by_peer[heaviest], total,
        )  # fmt: skip
        self._cut.value += 1
        link.fail(Code.FLOOD, "too much is held here because of this trunk")
        return size
