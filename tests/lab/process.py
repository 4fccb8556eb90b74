"""Run commands and daemons of the lab, wait for what they bring about, and end exactly those again.

It must never end a process that it did not start, and never leave an output unread where it could block.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_POLL_S = 0.05
_STATE = Path("/tmp")


class LabError(Exception):
    """A test host did not do what it was told; the text names the command or the condition and its output."""


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    stdin: str | None = None,
    timeout_s: float = 120,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with its output collected as text.

    Raises:
        LabError: it ended with another status than 0 (unless `check` is off), or not in time.
    """
    words = [str(word) for word in argv]
    source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    environment = None if env is None else {**os.environ, **env}
    try:
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, timeout=timeout_s, env=environment, **source
        )
    except subprocess.TimeoutExpired as late:
        raise LabError(f"{' '.join(words)}: not done after {timeout_s} s: {late.stdout!r} {late.stderr!r}") from late
    if check and done.returncode:
        raise LabError(f"{' '.join(words)}: status {done.returncode}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done


def wait_until(condition: Callable[[], T], what: str, *, timeout_s: float) -> T:
    """Poll `condition` until it gives something true, and return that.

    Raises:
        LabError: it did not within `timeout_s`; the text says `what` was waited for.
    """
    end_s = time.monotonic() + timeout_s
    while True:
        if value := condition():
            return value
        if time.monotonic() > end_s:
            raise LabError(f"waited {timeout_s} s in vain for: {what}")
        time.sleep(_POLL_S)  # noqa: TID251 - real processes know no virtual time


class Daemon:
    """One background process of the lab with its log; it dies with the test run even when that is killed."""

    def __init__(self, name: str, argv: Sequence[str | Path], log: Path, *, env: dict[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        words = [str(word) for word in argv]
        if threading.current_thread() is threading.main_thread():
            # The death signal follows the starting *thread*, so only the main thread may ask for it.
            words = ["setpriv", "--pdeathsig", "KILL", *words]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=None if env is None else {**os.environ, **env},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, condition: Callable[[], T], what: str, *, timeout_s: float) -> T:
        """Wait like `wait_until`, but give up at once, with the end of the log, when the daemon is dead."""

        def living() -> T:
            if not self.alive:
                raise LabError(f"{self.name} ended with status {self._process.returncode}: {self.tail()}")
            return condition()

        try:
            return wait_until(living, what, timeout_s=timeout_s)
        except LabError as failure:
            raise LabError(f"{failure}; {self.name} says: {self.tail()}") from failure

    def tail(self, size_bytes: int = 3000) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-size_bytes:]

    def stop(self, *, grace_s: float = 10) -> None:
        """Ask it to end, insist after `grace_s`, and reap it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.alive:
                self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=grace_s)
                return

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self._process.kill()
        self._process.wait()


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def state_directory(name: str) -> Iterator[Path]:
    """A directory for what a part of the lab writes while it runs: short (sockets), private, gone afterwards.

    It is locked as long as its test run lives, which is how `abandoned_directories` knows those of killed runs.
    """
    path = Path(tempfile.mkdtemp(prefix=f"lab-{name}-", dir=_STATE))
    lock = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path
    finally:
        shutil.rmtree(path)
        os.close(lock)


def abandoned_directories() -> list[Path]:
    """State directories whose test run was killed before it could remove them."""
    found = []
    for path in _STATE.glob("lab-*-*"):
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.append(path)
            finally:
                os.close(lock)
    return found
