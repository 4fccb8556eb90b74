"""The accept machine: what it hands over, and how it bears a handler's error, an empty descriptor table and its close."""

import errno
import resource
import socket

import pytest
import trio
import trio.testing

from mesh.transport.listen import Acceptor, open_listener
from mesh.transport.ring import Ring


@pytest.fixture
async def ring(nursery: trio.Nursery) -> Ring:
    """A running ring."""
    ring = Ring()
    await nursery.start(ring.run)
    return ring


class Door:
    """Takes what is accepted, and dials."""

    def __init__(self, ring: Ring, error: Exception | None = None) -> None:
        self.taken: list[socket.socket] = []
        self.peers: list[tuple[str, int]] = []
        self.came = trio.Event()
        self._error = error
        self.acceptor = Acceptor(ring, open_listener("127.0.0.1", 0), self._take)

    def _take(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        self.peers.append(peer)
        self.came.set()
        if self._error is not None:
            sock.close()
            error, self._error = self._error, None
            raise error
        self.taken.append(sock)

    def dial(self) -> socket.socket:
        """A client."""
        return socket.create_connection(("127.0.0.1", self.acceptor.port))

    async def next(self) -> None:
        """Wait for the next connection."""
        with trio.fail_after(2):
            await self.came.wait()
        self.came = trio.Event()

    def close(self) -> None:
        self.acceptor.close()
        for sock in self.taken:
            sock.close()


async def test_an_accepted_socket_never_blocks_and_does_not_delay_writes(ring: Ring) -> None:
    """It is handed over with its peer's address, non-blocking, Nagle's algorithm off."""
    door = Door(ring)
    with door.dial() as client:
        await door.next()
        [sock] = door.taken
        assert door.peers == [client.getsockname()]
        assert not sock.getblocking()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    door.close()


async def test_all_that_wait_are_accepted(ring: Ring) -> None:
    """More connections than a turn takes are still all accepted."""
    door = Door(ring)
    clients = [door.dial() for _ in range(70)]
    with trio.fail_after(2):
        while len(door.taken) < len(clients):
            await door.next()
    assert sorted(door.peers) == sorted(client.getsockname() for client in clients)
    for client in clients:
        client.close()
    door.close()


async def test_a_handler_that_fails_loses_one_connection_not_the_listener(ring: Ring) -> None:
    """The next connection is accepted as if nothing had been."""
    door = Door(ring, ValueError("no"))
    with door.dial():
        await door.next()
    assert ring.failures == 1
    with door.dial():
        await door.next()
        assert len(door.taken) == 1
    door.close()


async def test_a_client_that_gave_up_before_it_was_accepted_is_harmless(ring: Ring) -> None:
    """A connection that was reset in the queue does not disturb those behind it."""
    door = Door(ring)
    quitter = door.dial()
    quitter.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    quitter.close()
    with door.dial() as client:
        while client.getsockname() not in door.peers:
            await door.next()
    assert ring.failures == 0
    door.close()


async def test_without_descriptors_it_pauses_and_goes_on_when_there_are_some(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """EMFILE must not spin: a level-triggered listener would be reported for ever. The queue waits meanwhile."""
    ring = Ring()
    async with trio.open_nursery() as nursery:
        await nursery.start(ring.run)
        door = Door(ring)
        client = door.dial()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            await trio.sleep(1)
            assert 5 <= door.acceptor.exhaustions <= 11
            assert not door.taken
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await trio.sleep(0.2)
        assert len(door.taken) == 1
        client.close()
        door.close()
        nursery.cancel_scope.cancel()


async def test_a_closed_acceptor_refuses_and_leaves_the_ring(ring: Ring) -> None:
    """Close is idempotent, forgets the descriptor before it is reused, and new dials are refused."""
    door = Door(ring)
    port = door.acceptor.port
    door.acceptor.close()
    door.acceptor.close()
    assert len(ring) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


async def test_an_acceptor_closed_while_it_pauses_stays_closed(autojump_clock: trio.testing.MockClock) -> None:
    """The pause's timer must not add a closed descriptor (or its next owner's) to the ring."""
    ring = Ring()
    async with trio.open_nursery() as nursery:
        await nursery.start(ring.run)
        door = Door(ring)
        client = door.dial()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            await trio.sleep(0.05)
            assert door.acceptor.exhaustions == 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        door.acceptor.close()
        await trio.sleep(1)
        assert len(ring) == 0
        assert ring.failures == 0
        client.close()
        nursery.cancel_scope.cancel()


def test_a_port_that_is_taken_leaves_no_socket_behind() -> None:
    """The error is the caller's to show; the socket is closed (a leak would be a ResourceWarning)."""
    with open_listener("127.0.0.1", 0) as first:
        first_port = first.getsockname()[1]
        with pytest.raises(OSError, match="in use") as caught:
            open_listener("127.0.0.1", first_port)
    assert caught.value.errno == errno.EADDRINUSE
