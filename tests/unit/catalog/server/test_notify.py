"""A word to systemd, in a process of its own since the environment says where."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = "from catalog.server.notify import notify; notify('READY=1')"


def notified(path: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    if path:
        environment["NOTIFY_SOCKET"] = path
    subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=True)


@pytest.mark.parametrize("abstract", [False, True])
def test_readiness_is_told(tmp_path: Path, abstract: bool) -> None:
    """To a path, and to a name in the abstract namespace."""
    name = f"@linkspan-test-{os.getpid()}" if abstract else str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1))
        listening.settimeout(5)
        notified(name)
        assert listening.recv(100) == b"READY=1"


def test_nobody_listening_is_no_error() -> None:
    notified("")
    notified("/nowhere/s")
