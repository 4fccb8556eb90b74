"""What a process tells systemd: ready, status, stopping, alive (sd_notify(3)). Outside systemd it tells nobody.

It must never fail the process: a supervisor that is gone is ignored.
"""

import contextlib
import os
import socket
from collections.abc import Mapping

import trio


class Notifier:
    """Speaks to the socket that `NOTIFY_SOCKET` names in `environment`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._watchdog_s = _watchdog_s(environment)

    def ready(self, status: str = "") -> None:
        """Start-up (or a reload) is finished."""
        self._send("READY=1", status)

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send("", text)

    def stopping(self) -> None:
        """The process drains and will end."""
        self._send("STOPPING=1", "draining")

    async def watch(self) -> None:
        """Say that the process is alive, twice a watchdog interval, until cancelled; at once done without a watchdog.

        It runs on the same thread as everything else, so silence means that the process hangs.
        """
        while self._watchdog_s:
            self._send("WATCHDOG=1", "")
            await trio.sleep(self._watchdog_s / 2)

    def _send(self, state: str, status: str) -> None:
        if not self._address:
            return
        lines = [line for line in (state, f"STATUS={status.splitlines()[0]}" if status else "") if line]
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock,
        ):
            sock.sendto("\n".join(lines).encode(), self._address)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """The watchdog's interval in seconds if it is meant for this process, else 0."""
    pid, interval_us = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
    if (pid and pid != str(os.getpid())) or not interval_us.isdecimal():
        return 0.0
    return int(interval_us) / 1e6
