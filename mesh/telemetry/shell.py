"""The shell around a data-plane process: log set-up, the access log's file, signals, the words to its supervisor.

It knows nothing of what the process serves.
"""

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import trio

from mesh.telemetry.notify import Notifier

STDOUT = "-"

_log = logging.getLogger("linkspan")


def set_up_log(environment: Mapping[str, str]) -> None:
    """Write the process's own log to stderr, one line an event; the journal adds the time itself."""
    time = "" if "JOURNAL_STREAM" in environment else "%(asctime)s "
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"{time}%(levelname)s %(name)s: %(message)s")


class LogFile:
    """Where the access log goes: a file that can be opened anew after rotation, stdout (`-`), or nowhere (empty)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.fd: int | None = None
        if path == STDOUT:
            self.fd = 1
        elif path:
            self.fd = self._open()

    def reopen(self) -> None:
        """Open the file's name again under the same descriptor (after logrotate moved the old one).

        Raises:
            OSError: it cannot be opened; the old one stays.
        """
        if self.fd is None or self._path == STDOUT:
            return
        fresh = self._open()
        try:
            os.dup2(fresh, self.fd, inheritable=False)
        finally:
            os.close(fresh)

    def close(self) -> None:
        """Close the file."""
        if self.fd is not None and self._path != STDOUT:
            os.close(self.fd)
        self.fd = None

    def _open(self) -> int:
        return os.open(Path(self._path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


async def wait_for_stop(
    notifier: Notifier,
    log_file: LogFile,
    drain: Callable[[], Awaitable[None]],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Handle signals until the process has drained: SIGHUP opens the log anew, SIGTERM or SIGINT drains, a second one cuts the drain short."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGHUP:
                _reload(notifier, log_file)
            else:
                break
        notifier.stopping()
        _log.info("draining")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cut_short, signals, nursery.cancel_scope)
            await drain()
            nursery.cancel_scope.cancel()


async def _cut_short(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            _log.warning("stopping without waiting for what is still open")
            scope.cancel()
            return


def _reload(notifier: Notifier, log_file: LogFile) -> None:
    try:
        log_file.reopen()
    except OSError as error:
        _log.error("the access log cannot be opened anew, the old file stays: %s", error)
    else:
        _log.info("the access log was opened anew; other settings take a restart")
    notifier.ready()
