"""Grounds: kernel namespaces (network, mounts, processes) that live exactly as long as one process of ours.

A ground has no name in the system: when its holder ends, or the test run that holds its pipe dies, the kernel
takes every process, mount, interface and rule in it. It must never be entered by anything the lab did not start.
"""

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab.process import LabError, abandoned_directories, run, wait_until

# The first process of a ground. It reads a pipe whose other end only we hold, so it ends when we do;
# bash reaps the orphans that the kernel hands to a first process.
_HOLDER = "trap '' INT TERM HUP; {setup} echo ready; while read -r _; do :; done"


class Ground:
    """Namespaces held by one process. `close` ends it and with it everything inside."""

    def __init__(self, name: str, *, processes: bool = False, setup: str = "") -> None:
        """Make a network namespace and, with `processes`, a mount and a process namespace too.

        `setup` is shell that runs inside before anything else; it ends with a semicolon.
        """
        self.name = name
        self.processes = processes
        more = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"] if processes else []
        self._holder = subprocess.Popen(
            ["unshare", "--net", *more, "bash", "-e", "-c", _HOLDER.format(setup=setup)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self._holder.stdout is not None
        greeting = self._holder.stdout.readline()
        if greeting != "ready\n":
            self.close()
            raise LabError(f"ground {name} did not come up: {greeting}")
        self.pid = self._inner_pid() if processes else self._holder.pid

    def _inner_pid(self) -> int:
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        return int(children.read_text().split()[0])

    @property
    def network_path(self) -> Path:
        """The network namespace as a file, for tools that take one."""
        return Path(f"/proc/{self.pid}/ns/net")

    def network_prefix(self) -> list[str]:
        """The words before a command that shall run in this network, with the file system outside."""
        return ["nsenter", f"--net={self.network_path}"]

    def prefix(self) -> list[str]:
        """The words before a command that shall run inside every namespace of this ground."""
        inner = ["--mount", "--pid"] if self.processes else []
        return ["nsenter", f"--target={self.pid}", "--net", *inner, "--wd=/"] if inner else self.network_prefix()

    def run(self, *argv: str | Path, check: bool = True, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in this network, with the file system outside."""
        return run([*self.network_prefix(), *argv], check=check, timeout_s=timeout_s)

    def close(self) -> None:
        """End the holder; returns when the kernel has taken everything inside."""
        with contextlib.suppress(BrokenPipeError):
            assert self._holder.stdin is not None
            self._holder.stdin.close()
        try:
            self._holder.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._holder.send_signal(signal.SIGKILL)
            self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()


@contextlib.contextmanager
def ground(name: str, *, processes: bool = False, setup: str = "") -> Iterator[Ground]:
    """A ground for the length of a `with` block."""
    sweep()
    held = Ground(name, processes=processes, setup=setup)
    try:
        held.run("ip", "link", "set", "lo", "up")
        yield held
    finally:
        held.close()


def remove_control_groups(name: str) -> None:
    """Remove the control groups called `name` from every hierarchy, once their processes are gone."""

    def gone() -> bool:
        for root in control_group_roots():
            for group in sorted((root / name).glob("**/"), reverse=True):
                with contextlib.suppress(OSError):
                    group.rmdir()
        return not any((root / name).exists() for root in control_group_roots())

    wait_until(gone, f"control groups {name} to be empty", timeout_s=10)


def sweep() -> list[str]:
    """Remove what killed test runs could not: state directories and control groups. Their processes died with them."""
    swept = abandoned_directories()
    for path in swept:
        remove_control_groups(path.name)
        shutil.rmtree(path)
    return [path.name for path in swept]


def control_group_roots() -> list[Path]:
    """The roots of the mounted control group hierarchies: one for version 2, several for version 1."""
    top = Path("/sys/fs/cgroup")
    if (top / "cgroup.controllers").exists():
        return [top]
    return sorted({path.resolve() for path in top.iterdir() if (path / "cgroup.procs").exists()})
