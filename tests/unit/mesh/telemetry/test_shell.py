"""The shell around a process: its log file and its signals."""

import os
import signal
import stat
from pathlib import Path

import pytest
import trio

from mesh.telemetry.notify import Notifier
from mesh.telemetry.shell import LogFile, wait_for_stop

NOBODY = Notifier({})


def test_the_log_is_opened_anew_under_the_same_descriptor(tmp_path: Path):
    """After logrotate moved the file, what is written with the old descriptor lands in a new file."""
    path = tmp_path / "access.log"
    log = LogFile(str(path))
    assert log.fd is not None
    os.write(log.fd, b"one\n")
    path.rename(tmp_path / "access.log.1")
    log.reopen()
    os.write(log.fd, b"two\n")
    assert (tmp_path / "access.log.1").read_bytes() == b"one\n"
    assert path.read_bytes() == b"two\n"
    assert not stat.S_IMODE(path.stat().st_mode) & 0o007
    log.close()
    assert log.fd is None


def test_stdout_and_no_log():
    """`-` is stdout and is never closed; the empty path is no log."""
    log = LogFile("-")
    assert log.fd == 1
    log.reopen()
    log.close()
    os.fstat(1)
    assert LogFile("").fd is None


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path):
    """A process does not start without the log it was told to write."""
    with pytest.raises(FileNotFoundError):
        LogFile(str(tmp_path / "absent" / "access.log"))


class Scene:
    """A process that waits for signals and counts what it did."""

    def __init__(self, log: LogFile, drain_s: float) -> None:
        self.log = log
        self.drained = self.began = False
        self.drain_s = drain_s
        self.draining = trio.Event()

    async def drain(self) -> None:
        self.began = True
        self.draining.set()
        await trio.sleep(self.drain_s)
        self.drained = True


async def test_terminate_drains_and_returns(nursery: trio.Nursery):
    """SIGTERM ends the wait after the drain."""
    scene = Scene(LogFile(""), 0)
    with trio.fail_after(5):
        async with trio.open_nursery() as waiting:
            await waiting.start(wait_for_stop, NOBODY, scene.log, scene.drain)
            os.kill(os.getpid(), signal.SIGTERM)
    assert scene.drained
    nursery.cancel_scope.cancel()


async def test_a_second_signal_cuts_the_drain_short():
    """Whoever asks twice does not want to wait; SIGHUP in between is no second ask."""
    scene = Scene(LogFile(""), 1000)
    with trio.fail_after(5):
        async with trio.open_nursery() as waiting:
            await waiting.start(wait_for_stop, NOBODY, scene.log, scene.drain)
            os.kill(os.getpid(), signal.SIGINT)
            await scene.draining.wait()
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
    assert scene.began
    assert not scene.drained


async def test_hang_up_opens_the_log_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """SIGHUP does not stop; a log that cannot be opened keeps the old one."""
    folder = tmp_path / "log"
    folder.mkdir()
    scene = Scene(LogFile(str(folder / "access.log")), 0)
    with trio.fail_after(5):
        async with trio.open_nursery() as waiting:
            await waiting.start(wait_for_stop, NOBODY, scene.log, scene.drain)
            folder.rename(tmp_path / "moved")
            os.kill(os.getpid(), signal.SIGHUP)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert "cannot be opened anew" in caplog.text
            (tmp_path / "moved").rename(folder)
            (folder / "access.log").unlink()
            os.kill(os.getpid(), signal.SIGHUP)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert (folder / "access.log").exists()
            assert not scene.began
            os.kill(os.getpid(), signal.SIGTERM)
    scene.log.close()
