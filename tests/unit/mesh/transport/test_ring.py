"""The ring: dispatch, fairness, failures, turn ends and timers."""

import os
import socket
from collections.abc import Callable

import pytest
import trio

from mesh.transport.ring import READ, WRITE, Ring


class Pipe:
    """A machine on the reading end of a pipe that records its calls."""

    def __init__(self, ring: Ring, error: Exception | None = None) -> None:
        self.ring, self.error = ring, error
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK)
        self.masks: list[int] = []
        self.failures: list[Exception] = []
        self.called = trio.Event()
        ring.add(self.reader, self, READ)

    def on_ready(self, mask: int) -> None:
        self.masks.append(mask)
        os.read(self.reader, 100)
        self.called.set()
        if self.error is not None:
            raise self.error

    def on_failure(self, error: Exception) -> None:
        self.failures.append(error)
        self.close()

    def poke(self) -> None:
        os.write(self.writer, b"x")

    def close(self) -> None:
        self.ring.remove(self.reader)
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
async def ring(nursery: trio.Nursery) -> Ring:
    """A running ring."""
    ring = Ring()
    await nursery.start(ring.run)
    return ring


async def test_a_ready_socket_calls_its_machine(ring: Ring) -> None:
    """Each readiness is one call with its mask; a removed machine is called no more."""
    pipe = Pipe(ring)
    pipe.poke()
    await pipe.called.wait()
    assert pipe.masks == [READ]
    assert len(ring) == 1
    pipe.close()
    assert len(ring) == 0


async def test_an_error_fails_one_machine_and_never_the_ring(ring: Ring) -> None:
    """A machine that raises is failed with its error; the others and the ring go on."""
    bad, good = Pipe(ring, error=ValueError("bad state")), Pipe(ring)
    bad.poke()
    good.poke()
    await good.called.wait()
    assert [str(error) for error in bad.failures] == ["bad state"]
    assert ring.failures == 1
    good.close()


async def test_a_turn_end_callback_comes_once_even_from_outside_a_turn(ring: Ring) -> None:
    """A coroutine that dirties a connection gets a turn of its own."""
    done = trio.Event()
    calls: list[int] = []
    ring.on_turn_end(lambda: (calls.append(1), done.set()))  # type: ignore[func-returns-value, arg-type]
    with trio.fail_after(1):
        await done.wait()
    assert calls == [1]


async def test_other_trio_tasks_run_while_a_machine_is_always_ready(ring: Ring) -> None:
    """A socket that is ready for ever does not starve trio."""

    class Busy:
        def on_ready(self, mask: int) -> None:
            assert mask == WRITE

        def on_failure(self, error: Exception) -> None:
            raise error

    reader, writer = os.pipe2(os.O_NONBLOCK)
    ring.add(writer, Busy(), WRITE)
    with trio.fail_after(1):
        for _ in range(20):
            await trio.lowlevel.checkpoint()
    ring.remove(writer)
    os.close(reader)
    os.close(writer)


async def test_timers_fire_in_order_and_a_cancelled_one_never(autojump_clock: trio.testing.MockClock) -> None:
    """Deadlines are kept on trio's clock, also one that is set earlier than the one slept for."""
    ring = Ring()
    fired: list[tuple[str, float]] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(ring.run)
        start_s = trio.current_time()

        def note(name: str) -> None:
            fired.append((name, round(trio.current_time() - start_s, 1)))

        ring.later(start_s + 30, lambda: note("late"))
        await trio.sleep(1)
        ring.later(start_s + 5, lambda: note("early"))
        ring.later(start_s + 10, lambda: note("never")).cancel()
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert fired == [("early", 5.0), ("late", 30.0)]


class Note:
    """A machine that writes down the masks it is called with, and does `then`."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.masks: list[int] = []
        self._then = then

    def on_ready(self, mask: int) -> None:
        self.masks.append(mask)
        self._then()

    def on_failure(self, error: Exception) -> None:
        raise error


async def test_an_event_of_a_closed_descriptor_never_reaches_the_next_owner_of_its_number(ring: Ring) -> None:
    """A machine that closes another's descriptor in a turn, and opens one that gets its number, gets no stale event."""
    pairs = [socket.socketpair() for _ in range(3)]
    fresh = Note()
    replaced: list[socket.socket] = []
    done = trio.Event()

    def swap(own: int) -> None:
        other = pairs[1 - own][0]
        ring.remove(pairs[own][0].fileno())
        if not replaced:
            number = other.fileno()
            ring.remove(number)
            other.close()
            os.dup2(pairs[2][0].fileno(), number)
            replaced.append(socket.socket(fileno=number))
            ring.add(number, fresh, READ)
            ring.on_turn_end(done.set)

    for own in (0, 1):
        ring.add(pairs[own][0].fileno(), Note(lambda own=own: swap(own)), READ)  # type: ignore[misc]
        pairs[own][1].send(b"x")
    with trio.fail_after(1):
        await done.wait()
    assert fresh.masks == []
    ring.remove(replaced[0].fileno())
    for sock in (*pairs[0], *pairs[1], *pairs[2], *replaced):
        sock.close()


async def test_events_are_asked_for_again_after_other_tasks_had_their_turn(nursery: trio.Nursery) -> None:
    """A task that runs between two turns may close a ready descriptor and open another: that one has no event yet."""
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += 1.0  # every turn outlasts its slice, so that each is preceded by a checkpoint
        return now_s

    ring = Ring(clock)
    near, far = socket.socketpair()
    fresh = Note()
    ring.add(near.fileno(), Note(), READ)
    far.send(b"x")
    await nursery.start(ring.run)
    for _ in range(3):
        await trio.lowlevel.checkpoint()
    number = near.fileno()
    other, end = socket.socketpair()
    ring.remove(number)
    near.close()
    os.dup2(other.fileno(), number)
    again = socket.socket(fileno=number)
    ring.add(number, fresh, READ)
    for _ in range(3):
        await trio.lowlevel.checkpoint()
    assert fresh.masks == []
    ring.remove(number)
    for sock in (far, other, end, again):
        sock.close()
    nursery.cancel_scope.cancel()


def test_cancelled_timers_are_not_kept_until_their_deadline() -> None:
    """A connection's idle timer is cancelled when it ends: the next hour's worth of them must not pile up."""
    ring = Ring(lambda: 0.0)
    kept = ring.later(3600.0, lambda: None)
    for _ in range(20_000):
        ring.later(3600.0, lambda: None).cancel()
    assert len(ring._timers) < 3000
    assert kept.callback is not None
    ring.close()
