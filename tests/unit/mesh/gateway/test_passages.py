"""Passages as values: what they carried and how their end is logged."""

import os

import msgspec

from mesh.decide.reach import Hop
from mesh.gateway.forward import Forward, Side
from mesh.gateway.passages import REVOKED, Passage, log_drop, log_passage
from mesh.telemetry.access_log import AccessLog
from mesh.telemetry.metrics import Counter
from mesh.transport.relay import RelayEnd

PASSAGE = Passage(Side.WAN, "web.default.dc1.internal.test", Forward("web"), Hop("10.0.0.1", 20000), 10.0)


def test_bytes_are_counted_once():
    """Each count adds only what came since the last one."""
    came, went = Counter(), Counter()
    for carried in ((10, 20), (10, 20), (15, 20)):
        PASSAGE.count(came, went, carried)
    assert (came.value, went.value) == (15, 20)


async def test_ends_and_drops_are_logged():
    """A line says side, service, destination, bytes and decision; a drop says why and which name was sent."""
    read_fd, write_fd = os.pipe()
    log = AccessLog(write_fd)
    log_passage(log, 12.0, PASSAGE, RelayEnd("closed", 1, 2))
    log_passage(log, 12.0, PASSAGE, RelayEnd(REVOKED, 1, 2))
    log_drop(log, 12.0, Side.LAN, "example.org", "unknown_name")
    log_drop(AccessLog(None), 12.0, Side.LAN, "example.org", "unknown_name")
    await log.flush()
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as lines:
        closed, revoked, dropped = (msgspec.json.decode(line) for line in lines)
    assert (closed["reporter"], closed["source"], closed["destination"], closed["endpoint"]) == (
        "gateway",
        "wan",
        "web",
        "10.0.0.1:20000",
    )
    assert (closed["bytes_received"], closed["bytes_sent"], closed["duration_ms"]) == (1, 2, 2000.0)
    assert (closed["decision"], closed["error"]) == ("allow", "")
    assert revoked["decision"] == "revoked"
    assert (dropped["decision"], dropped["rule"], dropped["path"]) == ("deny", "unknown_name", "example.org")
