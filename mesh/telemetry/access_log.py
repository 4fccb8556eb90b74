"""The access log: one JSON line for each request and each TCP stream that ended.

Lines are written in batches by a thread, so that a slow disk or pipe never holds the ring; what waits is bounded, and what
does not fit is dropped and counted. Texts from clients are data in a JSON string, never format.
"""

import contextlib
import datetime as dt
import os
import time
from collections.abc import Callable

import msgspec
import trio

from mesh.telemetry.metrics import Counter

MAX_WAITING_BYTES = 2 * 1024 * 1024
LINE_COST_BYTES = 64
"""What a waiting line costs besides its bytes."""
_EVERY_S = 0.25
_MANY_LINES = 1024


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line. `time` is its end, `status` 0 when there was none; bytes are of bodies or of the stream.

    `reporter` is `source` or `destination`, `decision` is `allow`, `deny`, `revoked` or `malformed`.
    """

    time: str
    reporter: str
    source: str
    destination: str
    protocol: str
    method: str
    path: str
    status: int
    duration_ms: float
    bytes_received: int
    bytes_sent: int
    trace_id: str
    decision: str
    rule: str
    endpoint: str
    error: str


def encode_text(text: str) -> bytes:
    """A text as a JSON string."""
    return msgspec.json.encode(text)


class AccessLog:
    """Collects lines on the ring and writes them to `fd`; None drops everything (no log wanted).

    Times come from `clock`, the ring's, and are told in `wall_clock`'s.
    """

    def __init__(self, fd: int | None, dropped: Counter | None = None) -> None:
        self._fd = fd
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._wake = trio.Event()
        self._offset_s: float | None = None
        self._second = -1
        self._second_text = b""
        self.stamp = b""
        """The text of the time `stamp_s`, to be used again within a turn."""
        self.stamp_s = -1.0
        self.dropped = Counter() if dropped is None else dropped
        self.clock: Callable[[], float] = trio.current_time
        self.wall_clock: Callable[[], float] = time.time

    @property
    def is_wanted(self) -> bool:
        """Whether anything is written at all."""
        return self._fd is not None

    def stamp_at(self, now_s: float) -> bytes:
        """RFC 3339 in UTC with milliseconds for a time on the ring's clock."""
        if self._offset_s is None:
            self._offset_s = self.wall_clock() - self.clock()
        epoch_s = now_s + self._offset_s
        second = int(epoch_s)
        if second != self._second:
            self._second = second
            self._second_text = dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.").encode()
        self.stamp_s = now_s
        self.stamp = b"%b%03dZ" % (self._second_text, int((epoch_s - second) * 1000))
        return self.stamp

    def add(self, line: bytes) -> None:
        """Take one line with its newline; never blocks."""
        waiting_bytes = self._waiting_bytes + len(line) + LINE_COST_BYTES
        if waiting_bytes > MAX_WAITING_BYTES:
            self.dropped.value += 1
            return
        self._waiting_bytes = waiting_bytes
        lines = self._lines
        lines.append(line)
        if len(lines) == _MANY_LINES:
            self._wake.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until cancelled, then write what is left (for at most a second)."""
        task_status.started()
        try:
            while True:
                with trio.move_on_after(_EVERY_S):
                    await self._wake.wait()
                await self.flush()
        finally:
            with trio.move_on_after(1, shield=True):
                await self.flush()

    async def flush(self) -> None:
        """Write what waits now. A sink that is gone loses the lines, counted."""
        self._wake = trio.Event()
        self._offset_s = None
        lines, self._lines = self._lines, []
        self._waiting_bytes = 0
        if not lines or self._fd is None:
            return
        count, data = len(lines), b"".join(lines)
        del lines  # they are not to be held twice while they are written
        try:
            await trio.to_thread.run_sync(_write_all, self._fd, data, abandon_on_cancel=True)
        except OSError:
            self.dropped.value += count


def _write_all(fd: int, data: bytes) -> None:
    """Write everything; runs in a thread. Waits where the descriptor is a non-blocking one that is full."""
    view = memoryview(data)
    while view:
        with contextlib.suppress(BlockingIOError):
            view = view[os.write(fd, view) :]
            continue
        time.sleep(0.01)  # noqa: TID251 - a thread of its own, where trio cannot wait
