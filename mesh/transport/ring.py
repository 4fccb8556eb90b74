"""The ring: one inner epoll under one trio task, which calls the machines of ready sockets directly.

Rules it keeps: a bound of work before trio's other tasks get their turn; an error in one machine fails that machine only,
never the ring; one reading of the clock a turn; timers are coarse and few (a machine keeps one and re-arms it lazily).
It must never await inside a turn, and a machine must never block.
"""

import contextlib
import heapq
import itertools
import logging
import os
import select
from collections.abc import Callable
from typing import Protocol

import trio

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
ERROR = select.EPOLLERR
HANGUP = select.EPOLLHUP | ERROR

BUFFER_BYTES = 256 * 1024

_EVENTS_A_BATCH = 256
_BATCHES_A_TURN = 8
_LONG_ABSENCE_S = 0.002
_KEEP_S = 0.5
_SLICE_S = 0.002
_COARSE_S = 0.01
_TIDY_FROM = 1024

_log = logging.getLogger("linkspan.transport")


class Failing(Protocol):
    """What can be failed when a call of it raised."""

    def on_failure(self, error: Exception) -> None:
        """A call raised: release the socket and tell whoever waits. Must not raise."""


class Machine(Failing, Protocol):
    """What the ring calls. All calls are synchronous and short."""

    def on_ready(self, mask: int) -> None:
        """Its socket is ready as `mask` says (READ, WRITE, HANGUP bits)."""


class Timer:
    """One callback to come. `cancel` is idempotent."""

    __slots__ = ("callback", "deadline_s")

    def __init__(self, deadline_s: float, callback: Callable[[], None]) -> None:
        self.deadline_s = deadline_s
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Make it fire never."""
        self.callback = None


class Ring:
    """The set of established connections of one process.

    `buffer` is for a machine to receive into; its content is valid until the machine returns. `now_s` is the time of the
    running turn on `clock`; outside a turn ask `time_s()`.

    With `linger_s` the ring waits so long for the next event before it goes back to trio, which saves trio's own round; other
    tasks may then be late by as much. As long as there are `errands` (coroutines that set a connection up) it does not.
    """

    def __init__(self, clock: Callable[[], float] = trio.current_time, *, linger_s: float = 0.0) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        self._machines: dict[int, Machine] = {}
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake_fd, READ)
        self._machines[self._wake_fd] = _Waker(self._wake_fd)
        self._turn_end: list[Callable[[], None]] = []
        self._in_turn = False
        self._timers: list[tuple[float, int, Timer]] = []
        self._tidy_at = _TIDY_FROM
        self._order = itertools.count()
        self._earlier: trio.Event | None = None
        self._sleeps_until_s = 0.0
        self.buffer = bytearray(BUFFER_BYTES)
        self.view = memoryview(self.buffer)
        self.now_s = 0.0
        self.failures = 0
        self.errands = 0
        self._keeps_until_s = 0.0
        self._linger_s = linger_s

    # -- sockets --

    def add(self, fd: int, machine: Machine, mask: int) -> None:
        """Call `machine` whenever `fd` is ready for `mask`."""
        self._epoll.register(fd, mask)
        self._machines[fd] = machine

    def modify(self, fd: int, mask: int) -> None:
        """Change what `fd` is watched for; 0 watches for hang-ups only."""
        self._epoll.modify(fd, mask)

    def replace(self, fd: int, machine: Machine, mask: int) -> None:
        """Hand `fd` to another machine (an upgrade to a tunnel)."""
        self._machines[fd] = machine
        self._epoll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Forget `fd`; to be called before it is closed. Unknown ones are ignored."""
        if self._machines.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def __len__(self) -> int:
        """How many sockets the ring holds."""
        return len(self._machines) - 1

    # -- time --

    def time_s(self) -> float:
        """Read the clock (and renew `now_s`)."""
        self.now_s = self._clock()
        return self.now_s

    def later(self, deadline_s: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` at or up to 10 ms after `deadline_s` on the ring's clock."""
        timer = Timer(deadline_s, callback)
        if len(self._timers) >= self._tidy_at:
            self._tidy()
        heapq.heappush(self._timers, (deadline_s, next(self._order), timer))
        if self._earlier is not None and deadline_s < self._sleeps_until_s:
            self._earlier.set()
        return timer

    def _tidy(self) -> None:
        """Drop cancelled timers, whose deadlines may be an hour off; at doubling sizes, so that it costs little a timer."""
        self._timers = [entry for entry in self._timers if entry[2].callback is not None]
        heapq.heapify(self._timers)
        self._tidy_at = max(_TIDY_FROM, 2 * len(self._timers))

    def on_turn_end(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the running turn ends; outside a turn, in the next one, which comes at once."""
        self._turn_end.append(callback)
        if not self._in_turn and len(self._turn_end) == 1:
            os.eventfd_write(self._wake_fd, 1)

    # -- running --

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            task_status.started()
            await self._serve()

    async def _serve(self) -> None:
        poll, clock, fd = self._epoll.poll, self._clock, self._epoll.fileno()
        wait_readable, checkpoint = trio.lowlevel.wait_readable, trio.lowlevel.checkpoint
        linger_s = self._linger_s
        while True:
            await wait_readable(fd)
            slice_ends_s = clock() + _SLICE_S
            while events := poll(0 if self.errands else linger_s, _EVENTS_A_BATCH):
                self.now_s = clock()
                if self.now_s > slice_ends_s:
                    # Other tasks may close and open descriptors meanwhile, so the events are asked for again:
                    # they are level-triggered, what is still so is reported again.
                    await checkpoint()
                    self.now_s = clock()
                    slice_ends_s = self.now_s + _SLICE_S
                    events = poll(0, _EVENTS_A_BATCH)
                self._turn(events)

    def _turn(self, events: list[tuple[int, int]]) -> None:
        """Serve a batch of events, and those that came while it was served, then end the turn.

        What becomes ready meanwhile is taken along, a bounded number of times: the fuller a turn, the fewer writes.
        """
        self._in_turn = True
        self._batch(events)
        for _ in range(_BATCHES_A_TURN - 1):
            if len(events) > 1 and self.now_s >= self._keeps_until_s:
                self._give_way()
            events = self._epoll.poll(0, _EVENTS_A_BATCH)
            if not events:
                break
            self._batch(events)
        self._end_turn()

    def _give_way(self) -> None:
        """Let those run first who are about to send us more, if anyone waits for this core.

        Who keeps the core for long (a busy application beside us) is not given way to again for a while.
        """
        before_s = self._clock()
        os.sched_yield()
        after_s = self._clock()
        if after_s - before_s > _LONG_ABSENCE_S:
            self._keeps_until_s = after_s + _KEEP_S

    def _batch(self, events: list[tuple[int, int]]) -> None:
        machines = self._machines
        # Whose events these are, before any of them closes a descriptor whose number the next one opened gets.
        for fd, mask, machine in [(fd, mask, machines.get(fd)) for fd, mask in events]:
            if machine is None or machines.get(fd) is not machine:
                continue
            try:
                machine.on_ready(mask)
            except Exception as error:  # noqa: BLE001 - one machine's error must not stop the ring: it fails that machine
                self._fail(machine, error)

    def _end_turn(self) -> None:
        while self._turn_end:
            callbacks, self._turn_end = self._turn_end, []
            for callback in callbacks:
                self._call(callback)
        self._in_turn = False

    def _call(self, callback: Callable[[], None]) -> None:
        """Call back; an error fails the machine that the callback belongs to."""
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - as in a turn: it fails one machine, never the ring
            owner = getattr(callback, "__self__", None)
            self._fail(owner if hasattr(owner, "on_failure") else None, error)

    def guard(self, callback: Callable[[], None], member: Failing) -> None:
        """Call back on behalf of `member`, which an error fails."""
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - as in a turn: it fails one member, never the ring
            self._fail(member, error)

    def _fail(self, machine: Failing | None, error: Exception) -> None:
        self.failures += 1
        _log.error(
            "a connection was closed because its machine %s failed: %r",
            type(machine).__name__,
            error,
            exc_info=error,
        )
        if machine is None:
            return
        try:
            machine.on_failure(error)
        except Exception as second:  # noqa: BLE001 - the machine could not even close; the ring goes on without it
            _log.error("closing %s failed as well: %r", type(machine).__name__, second)
            for fd in [fd for fd, held in self._machines.items() if held is machine]:
                self.remove(fd)

    async def _keep_time(self) -> None:
        """Fire timers. Runs between turns: everything is on one thread."""
        while True:
            self._earlier = trio.Event()
            self._sleeps_until_s = self._timers[0][0] + _COARSE_S if self._timers else float("inf")
            with trio.move_on_at(self._sleeps_until_s):
                await self._earlier.wait()
            self._earlier = None
            self.fire(self._clock())
            await trio.lowlevel.checkpoint()

    def fire(self, now_s: float) -> None:
        """Call every timer that is due at `now_s`."""
        self.now_s = now_s
        self._in_turn = True
        while self._timers and self._timers[0][0] <= now_s:
            _, _, timer = heapq.heappop(self._timers)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                self._call(callback)
        self._end_turn()

    def close(self) -> None:
        """Give the inner epoll back. The machines' sockets are theirs to close."""
        self._machines.clear()
        self._timers.clear()
        self._epoll.close()
        with contextlib.suppress(OSError):
            os.close(self._wake_fd)


class _Waker:
    """Empties the event fd by which coroutines start a turn."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def on_ready(self, mask: int) -> None:  # noqa: ARG002 - the protocol's signature
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def on_failure(self, error: Exception) -> None:
        """Nothing to release: the ring owns the fd."""
