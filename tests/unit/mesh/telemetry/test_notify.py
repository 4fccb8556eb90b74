"""Words to systemd, heard on a socket of the test's own."""

import os
import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from mesh.telemetry.notify import Notifier


@pytest.fixture
def supervisor(tmp_path: Path) -> socket.socket:
    """The supervisor's end."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "notify"))
    sock.settimeout(5)
    with sock:
        yield sock


def test_states_are_told(supervisor: socket.socket):
    """READY, STATUS in one line, STOPPING."""
    notifier = Notifier({"NOTIFY_SOCKET": supervisor.getsockname()})
    notifier.ready("serving web")
    notifier.status("two\nlines")
    notifier.stopping()
    heard = [supervisor.recv(1000) for _ in range(3)]
    assert heard == [b"READY=1\nSTATUS=serving web", b"STATUS=two", b"STOPPING=1\nSTATUS=draining"]


def test_abstract_sockets():
    """`@name` is the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0linkspan-test-{os.getpid()}")
        sock.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@linkspan-test-{os.getpid()}"}).ready()
        assert sock.recv(100) == b"READY=1"


def test_nobody_there_is_no_failure(tmp_path: Path):
    """Without systemd, or with one that is gone, nothing happens."""
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("x")


@pytest.mark.parametrize(
    ("environment", "pings"),
    [
        ({"WATCHDOG_USEC": "2000000"}, 10),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, 0),
        ({}, 0),
        ({"WATCHDOG_USEC": "x"}, 0),
    ],
)
async def test_the_watchdog_is_fed_twice_an_interval(
    supervisor: socket.socket, environment: dict[str, str], pings: int, autojump_clock: trio.testing.MockClock
):
    """Only if it is meant for this process."""
    notifier = Notifier({"NOTIFY_SOCKET": supervisor.getsockname(), **environment})
    with trio.move_on_after(9.5):
        await notifier.watch()
    supervisor.settimeout(0)
    heard = 0
    while True:
        try:
            assert supervisor.recv(100) == b"WATCHDOG=1"
        except BlockingIOError:
            break
        heard += 1
    assert heard == pings
    assert autojump_clock.current_time() >= 0
