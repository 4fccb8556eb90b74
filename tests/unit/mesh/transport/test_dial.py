"""Dialling: connected, refused, too slow, cancelled; and what is no address at all."""

import errno
import gc
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from mesh.transport.dial import DialError, dial_tcp, open_socket


def open_descriptors() -> int:
    """How many descriptors this process has."""
    gc.collect()  # what earlier tests left for the collector must not be counted as ours
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listener on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def full_listener() -> Iterator[socket.socket]:
    """A listener that answers no more: its queue is full, so the kernel drops every SYN."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        waiting = [open_socket("127.0.0.1") for _ in range(4)]
        for one in waiting:
            one.connect_ex(sock.getsockname())
        yield sock
        for one in waiting:
            one.close()


async def test_a_dialled_socket_is_connected_and_never_blocks(listener: socket.socket) -> None:
    """It reaches the listener, is non-blocking and does not delay small writes."""
    port = listener.getsockname()[1]
    with await dial_tcp("127.0.0.1", port, timeout_s=5) as sock, listener.accept()[0] as other:
        assert not sock.getblocking()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getpeername() == ("127.0.0.1", port)
        assert other.getpeername() == sock.getsockname()


async def test_a_refused_dial_says_where_and_leaks_nothing(listener: socket.socket) -> None:
    """Nobody listens: the error has the code, the address and the port, and the descriptor is closed."""
    port = listener.getsockname()[1]
    listener.close()
    before = open_descriptors()
    with pytest.raises(DialError, match=f"127.0.0.1:{port} could not be reached: Connection refused") as caught:
        await dial_tcp("127.0.0.1", port, timeout_s=5)
    assert caught.value.errno == errno.ECONNREFUSED
    assert open_descriptors() == before


async def test_a_dial_that_takes_too_long_is_given_up(
    full_listener: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    """After the time-out it is an error, not a wait for the kernel's two minutes."""
    before = open_descriptors()
    with pytest.raises(DialError, match="did not answer within 3 s") as caught:
        await dial_tcp("127.0.0.1", full_listener.getsockname()[1], timeout_s=3)
    assert caught.value.errno == errno.ETIMEDOUT
    assert trio.current_time() == pytest.approx(3)
    assert open_descriptors() == before


async def test_a_cancelled_dial_closes_its_socket(
    full_listener: socket.socket, autojump_clock: trio.testing.MockClock
) -> None:
    """The caller's time-out leaves no descriptor behind."""
    before = open_descriptors()
    with trio.move_on_after(1) as scope:
        await dial_tcp("127.0.0.1", full_listener.getsockname()[1], timeout_s=30)
    assert scope.cancelled_caught
    assert open_descriptors() == before


@pytest.mark.parametrize("address", ["localhost", "example.invalid", "", "127.1", "256.1.1.1", "::g", "1.2.3.4\0", "é"])
async def test_a_name_is_refused_without_being_looked_up(address: str) -> None:
    """Looking a name up would block the ring for as long as its name server likes."""
    with pytest.raises(DialError, match="no IP address"):
        await dial_tcp(address, 80, timeout_s=1)


@pytest.mark.parametrize("port", [0, -1, 65536, 10**9])
async def test_a_port_out_of_range_is_the_dials_error(port: int) -> None:
    """What the catalog says is data: a port that cannot be must fail the dial, not the process."""
    with pytest.raises(DialError, match="the port is not 1 to 65535"):
        await dial_tcp("127.0.0.1", port, timeout_s=1)


async def test_no_descriptor_left_is_the_dials_error(listener: socket.socket) -> None:
    """Where sockets run out, the callers, who survive a failed dial, must survive it too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(DialError, match="cannot be dialled: Too many open files") as caught:
            await dial_tcp("127.0.0.1", listener.getsockname()[1], timeout_s=1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE


async def test_ipv6_literals_are_dialled() -> None:
    """An address with a colon is of the other family; a scope is allowed."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with listener, await dial_tcp("::1", listener.getsockname()[1], timeout_s=5) as sock:
        assert sock.family is socket.AF_INET6
