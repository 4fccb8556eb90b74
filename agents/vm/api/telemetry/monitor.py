"""`/v1/agent/monitor`: the log as it is written, for one caller, until it hangs up.

A slow reader loses the oldest lines and is told how many; it must never hold up who logs.
"""

import json
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import trio

from agents.vm.api.call import Write

MAX_LINES = 512
MAX_LINE = 8192
TRACE = 5
LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "err": logging.ERROR,
    "error": logging.ERROR,
}


class LogTap(logging.Handler):
    """Collects lines from whatever thread logs them; `run` writes them out."""

    def __init__(self, level: int, *, as_json: bool) -> None:
        super().__init__(level)
        self._as_json = as_json
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._dropped = 0
        self._wake = trio.Event()
        self._loop = trio.lowlevel.current_trio_token()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's line, the oldest one giving way. Called with the handler's lock held."""
        self._dropped += len(self._lines) == MAX_LINES
        self._lines.append(line_of(record, as_json=self._as_json))
        try:
            self._loop.run_sync_soon(self._rouse, idempotent=True)
        except trio.RunFinishedError:
            return  # the process ends: nobody reads any more

    async def run(self, write: Write) -> None:
        """Write lines until cancelled."""
        with tapped(self):
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                if text := self._take():
                    await write(text.encode("utf-8", "replace"))

    def _rouse(self) -> None:
        self._wake.set()

    def _take(self) -> str:
        self.acquire()
        try:
            lines, dropped = list(self._lines), self._dropped
            self._lines.clear()
            self._dropped = 0
        finally:
            self.release()
        said = [f"[WARN] monitor: {dropped} lines were dropped, the reader is too slow"] if dropped else []
        return "".join(f"{line}\n" for line in [*said, *lines])


@contextmanager
def tapped(tap: LogTap) -> Iterator[None]:
    """With the tap on the log. If it asks for more than is logged, more is logged meanwhile, but only to the tap."""
    root = logging.getLogger()
    before, raised = root.level, []
    if tap.level < before:
        root.setLevel(tap.level)
        for handler in root.handlers:
            if handler.level < before:
                raised.append((handler, handler.level))
                handler.setLevel(before)
    root.addHandler(tap)
    try:
        yield
    finally:
        root.removeHandler(tap)
        if raised or tap.level < before:
            if root.level == tap.level:
                root.setLevel(before)
            for handler, level in raised:
                handler.setLevel(level)


def line_of(record: logging.LogRecord, *, as_json: bool) -> str:
    """One line, bounded, without control characters. Pure."""
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    level = next((name for name, number in LEVELS.items() if record.levelno <= number), "error")
    message = "".join(char if char.isprintable() else " " for char in record.getMessage()[:MAX_LINE])
    if as_json:
        return json.dumps({"@level": level, "@message": message, "@module": record.name, "@timestamp": when})
    return f"{when} [{level.upper()}] {record.name}: {message}"
