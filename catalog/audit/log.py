"""The audit log: JSON lines in a file of its own (mode 0600), rotated by size and bounded in number.

A line is written when its answer is known, before it goes out; to the page cache, which is fast enough for the loop. When
the disk refuses, the catalog says so in its log and goes on: a change that the disk refuses is refused by the store.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

logger = logging.getLogger(__name__)

FILE = "audit.log"
MAX_BYTES = 16 * 1024 * 1024
KEPT = 4
"""How many full files are kept beside the one that is written: `audit.log.1` is the newest."""
MAX_PATH = 1024
COMPLAIN_EVERY_S = 60.0


class Written(msgspec.Struct, frozen=True, omit_defaults=True):
    """One write: `who` is the caller, `accessor` its token's public id, `peer` its address, `path` without the query."""

    time: str
    who: str
    peer: str
    method: str
    path: str
    status: int
    accessor: str = ""


class AuditSink(Protocol):
    """Whoever takes the lines."""

    def note(self, *, who: str, accessor: str, peer: str, method: str, path: str, status: int) -> None:
        """Keep one line."""
        ...


class AuditLog:
    """The file. `epoch` gives seconds since 1970."""

    def __init__(
        self, path: Path, epoch: Callable[[], float] = time.time, *, max_bytes: int = MAX_BYTES, kept: int = KEPT
    ) -> None:
        self._path = path
        self._epoch = epoch
        self._max_bytes = max_bytes
        self._kept = kept
        self._complained_s = 0.0
        self._file = -1
        self._size = 0
        self._torn = False
        self._open()

    def note(self, *, who: str, accessor: str, peer: str, method: str, path: str, status: int) -> None:
        """See `AuditSink.note`."""
        now_s = self._epoch()
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s))
        written = Written(
            f"{seconds}.{int(now_s % 1 * 1000):03}Z", who, peer, method[:32], path[:MAX_PATH], status, accessor
        )
        line = msgspec.json.encode(written) + b"\n"
        try:
            if self._size + len(line) > self._max_bytes:
                self._rotate()
            line = b"\n" + line if self._torn else line
            taken_bytes = os.write(self._file, line)
            self._size += taken_bytes
            self._torn = taken_bytes < len(line)  # the disk took a part: the next line is to stand on its own
        except OSError as error:
            if now_s - self._complained_s >= COMPLAIN_EVERY_S:
                self._complained_s = now_s
                logger.error("the audit log %s is not written: %s", self._path, error)  # noqa: TRY400 - one line says it

    def close(self) -> None:
        """Give the file back."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.fchmod(self._file, 0o600)
        self._size = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        """Make room. A file that could not be opened is tried again by the next line, and nothing is moved for that."""
        self.close()
        if not self._path.exists():
            self._open()
            return
        for number in range(self._kept, 0, -1):
            older = self._numbered(number)
            newer = self._numbered(number - 1) if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
