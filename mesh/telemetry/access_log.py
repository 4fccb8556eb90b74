"""The access log: one JSON line for each request and each TCP stream that ended.

Lines are encoded in batches and written by a thread, so that a slow disk or pipe never holds the ring; what waits is
bounded, and what does not fit is dropped and counted. Texts from clients are data in a JSON string, never format.
"""

import contextlib
import datetime
import os
import time
from collections.abc import Callable

import msgspec
import trio

from mesh.telemetry.metrics import Counter

MAX_WAITING_BYTES = 4 * 1024 * 1024
MAX_PATH_CHARACTERS = 1024
_BATCH_ENTRIES = 64
_EVERY_S = 0.25

Draft = tuple[float, str, str, str, str, str, str, int, float, int, int, str, str, str, str, str]
"""An entry as the ring hands it over: the fields of `Entry`, its time in seconds on the ring's clock."""


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
    decision: str
    rule: str
    endpoint: str
    trace_id: str
    error: str


class AccessLog:
    """Collects entries on the ring and writes them to `fd`; None drops everything (no log wanted)."""

    def __init__(self, fd: int | None, dropped: Counter | None = None) -> None:
        self._fd = fd
        self._drafts: list[Draft] = []
        self._waiting = bytearray()
        self._encode = msgspec.json.Encoder().encode_lines
        self._second = -1
        self._second_text = ""
        self.dropped = Counter() if dropped is None else dropped
        self.clock: Callable[[], float] = trio.current_time
        self.wall_clock: Callable[[], float] = time.time

    @property
    def is_wanted(self) -> bool:
        """Whether anything is written at all."""
        return self._fd is not None

    def add(self, draft: Draft) -> None:
        """Take one entry; never blocks."""
        self._drafts.append(draft)
        if len(self._drafts) >= _BATCH_ENTRIES:
            self._close_batch()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until cancelled, then write what is left (for at most a second)."""
        task_status.started()
        try:
            while True:
                await trio.sleep(_EVERY_S)
                await self.flush()
        finally:
            with trio.move_on_after(1, shield=True):
                await self.flush()

    async def flush(self) -> None:
        """Write what waits now. A sink that is gone loses the lines, counted."""
        self._close_batch()
        fd, waiting = self._fd, self._waiting
        if not waiting or fd is None:
            return
        self._waiting = bytearray()
        try:
            await trio.to_thread.run_sync(_write_all, fd, bytes(waiting), abandon_on_cancel=True)
        except OSError:
            self.dropped.value += waiting.count(b"\n")

    def _close_batch(self) -> None:
        drafts = self._drafts
        if not drafts:
            return
        self._drafts = []
        if self._fd is None:
            return
        if len(self._waiting) > MAX_WAITING_BYTES:
            self.dropped.value += len(drafts)
            return
        offset_s = self.wall_clock() - self.clock()
        text = self._text
        self._waiting += self._encode([Entry(text(draft[0] + offset_s), *draft[1:]) for draft in drafts])

    def _text(self, epoch_s: float) -> str:
        """RFC 3339 in UTC with milliseconds; the text of the running second is kept."""
        second = int(epoch_s)
        if second != self._second:
            self._second = second
            self._second_text = datetime.datetime.fromtimestamp(second, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return f"{self._second_text}{int((epoch_s - second) * 1000):03}Z"


def _write_all(fd: int, data: bytes) -> None:
    """Write everything; runs in a thread. Waits where the descriptor is a non-blocking one that is full."""
    view = memoryview(data)
    while view:
        with contextlib.suppress(BlockingIOError):
            view = view[os.write(fd, view) :]
            continue
        time.sleep(0.01)  # noqa: TID251 - a thread of its own, where trio cannot wait
