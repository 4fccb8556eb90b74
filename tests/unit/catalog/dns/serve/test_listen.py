"""The two sockets of an address."""

import socket

import pytest

from catalog.dns.serve.listen import dns_address, listen_dns, split_address


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"])
def test_both_are_on_one_port(host: str) -> None:
    """Port 0 picks one that is free for both."""
    with listen_dns(f"{host}:0") as listener:
        assert listener.udp.getsockname()[1] == listener.tcp.getsockname()[1] > 0
        assert listener.address == f"{host}:{listener.udp.getsockname()[1]}"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_taken_port_is_told(kind: socket.SocketKind) -> None:
    """Whichever of the two is taken; the error names the address."""
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(OSError, match=f"cannot serve DNS on {address}: Address already in use"):
            listen_dns(address)


@pytest.mark.parametrize(
    "text", ["", "8600", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "host.example:53"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:8600"):
        split_address(text)


def test_localhost_is_loopback() -> None:
    assert split_address("localhost:53") == ("127.0.0.1", 53)
    assert split_address("[::1]:8600") == ("::1", 8600)


@pytest.mark.parametrize(
    ("dns", "http", "address"),
    [
        (None, "127.0.0.1:8500", "127.0.0.1:8600"),
        (None, "127.0.0.1:0", "127.0.0.1:0"),
        (None, "127.0.0.1:8510", "127.0.0.1:0"),
        (None, "[::1]:8500", "[::1]:8600"),
        (None, "off", "127.0.0.1:8600"),
        ("off", "127.0.0.1:8500", ""),
        ("", "127.0.0.1:8500", ""),
        ("0.0.0.0:53", "127.0.0.1:0", "0.0.0.0:53"),
    ],
)
def test_where_dns_is_served(dns: str | None, http: str, address: str) -> None:
    assert dns_address(dns, http) == address
