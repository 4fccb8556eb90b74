"""systemd's notify protocol (sd_notify(3)): READY, STATUS, RELOADING, STOPPING and the watchdog.

Silent where there is no systemd. It must never block or fail the agent: a message that cannot be sent is dropped.
"""

import os
import socket
from collections.abc import Mapping

import trio


class Notifier:
    """Sends to the socket that `environment` names."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._every_s = _watchdog_s(environment)

    @property
    def is_watched(self) -> bool:
        """Whether systemd expects to hear from us regularly."""
        return self._every_s > 0

    def send(self, **fields: str) -> None:
        """Send fields such as READY="1", STATUS="..."; line breaks in values are taken out."""
        if not self._address:
            return
        lines = (f"{name}={' '.join(value.split())}" for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)  # noqa: FBT003 - its only argument
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return  # systemd sees by other means whether we live

    async def keep_watchdog(self) -> None:
        """Tell systemd twice a period that this event loop still turns."""
        while self.is_watched:
            self.send(WATCHDOG="1")
            await trio.sleep(self._every_s / 2)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    period_us, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not period_us.isdigit() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(period_us) / 1e6
