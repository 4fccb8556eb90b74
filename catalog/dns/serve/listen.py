"""The two sockets of a DNS address: UDP and TCP on the same port."""

import socket
from ipaddress import ip_address
from typing import Self

BACKLOG = 128
USUAL_PORT = 8600
USUAL_API_PORT = "8500"
OFF = "off"
RECEIVE_BUFFER_BYTES = 1 << 20
_TRIES = 16


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8600` or `[::1]:8600`.

    Raises:
        ValueError: it is neither.
    """
    host, _, port = text.rpartition(":")
    try:
        address = str(ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        address = "127.0.0.1" if host == "localhost" else ""
    if not address or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"{text!r} is no address to serve DNS on: write ADDRESS:PORT, such as 127.0.0.1:8600")
    return address, int(port)


def dns_address(dns: str | None, http: str) -> str:
    """Where a process serves DNS that was told `dns`, and whose API is at `http`; empty is nowhere, and so is `off`.

    Told nothing, it is port 8600 beside the API's usual 8500, and else a free port: several on one machine shall not meet.
    """
    if dns is not None:
        return "" if dns == OFF else dns
    if http == OFF:
        return f"127.0.0.1:{USUAL_PORT}"
    host, _, port = http.rpartition(":")
    return f"{host}:{USUAL_PORT if port == USUAL_API_PORT else 0}"


class DnsListener:
    """The two sockets; a context that closes them."""

    def __init__(self, udp: socket.socket, tcp: socket.socket) -> None:
        self.udp = udp
        self.tcp = tcp

    @property
    def address(self) -> str:
        """Where they are bound: `host:port`."""
        host, port = self.udp.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Close both."""
        self.udp.close()
        self.tcp.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def listen_dns(address: str) -> DnsListener:
    """A UDP and a listening TCP socket on one port; port 0 picks one that is free for both.

    Raises:
        ValueError: `address` is none.
        OSError: it cannot be bound.
    """
    host, port = split_address(address)
    for attempt in range(_TRIES):
        udp = _bound(host, port, socket.SOCK_DGRAM, address)
        try:
            return DnsListener(udp, _bound(host, udp.getsockname()[1], socket.SOCK_STREAM, address))
        except OSError:
            udp.close()
            if port or attempt == _TRIES - 1:
                raise
    raise AssertionError("the last attempt raises")


def _bound(host: str, port: int, kind: socket.SocketKind, address: str) -> socket.socket:
    six = ":" in host
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind)
    try:
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            if ip_address(host).is_unspecified:  # answers must leave from the address that was asked
                if six:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
                else:
                    sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind((host, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
        sock.setblocking(False)  # noqa: FBT003 - its only argument
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot serve DNS on {address}: {error.strerror or error}") from error
    return sock


_IP_PKTINFO = 8
"""Linux's number; Python names it from 3.14 on."""
