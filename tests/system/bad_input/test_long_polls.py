"""Long polls whose clients vanish: tasks, descriptors and memory are back where they were within seconds."""

import socket
import struct
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.system.bad_input.target import SLACK_DESCRIPTORS, Target, soon

pytestmark = pytest.mark.slow

PARKED = 1900
WAVE = 500
GROWTH_KB = 12 * 1024
"""What the second wave may cost beyond the first: what a process once had from the system it does not give back at once."""


def hang_up(line: socket.socket) -> None:
    """An orderly end."""
    line.close()


def reset(line: socket.socket) -> None:
    """As a process that is killed with unread data ends."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


def half_close(line: socket.socket) -> None:
    """An end of one direction only; the other stays open until the test is over."""
    line.shutdown(socket.SHUT_WR)


ENDS: tuple[Callable[[socket.socket], None], ...] = (hang_up, reset, half_close)

POLLS = (
    "/v1/catalog/service/web?index=%d&wait=600s",
    "/v1/health/service/web?index=%d&passing&cached",
    "/v1/kv/nothing?index=%d&recurse",
    "/v1/event/list?index=%d",
    "/v1/connect/ca/roots?index=%d",
)
AGENT_POLLS = ("/v1/agent/monitor?loglevel=debug",)


def park(target: Target, path: str, ends: Callable[[socket.socket], None], count: int) -> None:
    """Open many long polls, see them parked, and let their clients vanish; the process is then as before."""
    before = target.facts.descriptors
    with ExitStack() as opened:
        lines = []
        for _ in range(count):
            line = opened.enter_context(target.line(60))
            token = f"X-Consul-Token: {target.place.token}\r\n" if target.place.token else ""
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n".encode())
            lines.append(line)
        soon(lambda: target.facts.descriptors >= before + count - SLACK_DESCRIPTORS, "all of them to be open", 30)
        assert target.ask("GET", "/v1/status/leader").seconds < 5
        for line in lines:
            ends(line)
        soon(lambda: target.facts.descriptors <= before + SLACK_DESCRIPTORS, f"{path}: descriptors as before")
    target.is_well()


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("path", [POLLS[0], *AGENT_POLLS])
def test_however_clients_vanish_nothing_of_them_stays(
    open_target: Target, path: str, ends: Callable[[socket.socket], None]
) -> None:
    """Nearly all that one address may hold, by each way to go; `agent/monitor` sends for as long as somebody listens."""
    park(open_target, path.replace("%d", "999999999"), ends, PARKED)


@pytest.mark.parametrize("path", POLLS)
def test_wave_after_wave_costs_no_more(target: Target, path: str) -> None:
    """What is kept of each long poll would show in the memory after the second wave."""
    filled = path % 10**15
    park(target, filled, hang_up, WAVE)
    once = target.facts.resident_kb
    park(target, filled, hang_up, WAVE)
    assert target.facts.resident_kb <= once + GROWTH_KB
