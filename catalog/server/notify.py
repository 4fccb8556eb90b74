"""A word to systemd (sd_notify(3)): ready, stopping. Without `NOTIFY_SOCKET` it says nothing."""

import os
import socket


def notify(message: str) -> None:
    """Send e.g. `READY=1`. A supervisor that does not listen is no reason to stop."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(message.encode(), address)
        except OSError:
            return
