"""Booted machines: systemd as process 1 on a disk of its own, any number of network legs, real power cuts.

A machine is systemd-nspawn on an overlay of the common root file system, in a network namespace that the lab made,
so its legs are ours. It must never share anything writable with the computer it runs on.
"""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.lab.hosts.networks import Leg
from tests.lab.hosts.rootfs import root_file_system
from tests.lab.namespaces import Ground, remove_control_groups
from tests.lab.process import Daemon, LabError, run, state_directory, wait_until

# The guest gets a version 2 control group tree as every current distribution has, whatever the computer has.
_SETUP = (
    "mount --make-rprivate / && mount -t tmpfs none /run && mount -t cgroup2 none /sys/fs/cgroup && mkdir -p /sys/fs/cgroup/{group}"
    " && mount -t overlay overlay -o lowerdir={lower},upperdir={disk}/up,workdir={disk}/work {disk}/root"
    " && echo 1 >/sys/fs/cgroup/{group}/cgroup.procs;"
)


class Machine:
    """One machine. Its disk outlives power cuts; its network legs and processes do not."""

    def __init__(self, name: str, legs: Sequence[Leg], disk: Path, layers: Sequence[Path]) -> None:
        self.name = name
        self.legs = tuple(legs)
        self.disk = disk
        self.layers = tuple(layers)
        self._ground: Ground | None = None
        self._console: Daemon | None = None
        self._ports: list[tuple[Leg, str]] = []
        for part in ("up/etc", "work", "root"):
            (disk / part).mkdir(parents=True, exist_ok=True)
        (disk / "up/etc/hostname").write_text(f"{name}\n")
        (disk / "up/etc/hosts").write_text(f"127.0.0.1 localhost {name}\n::1 localhost {name}\n")

    @property
    def _group(self) -> str:
        return self.disk.name

    @property
    def ground(self) -> Ground:
        """The namespaces that the machine runs in; its network can be looked at from outside here."""
        if self._ground is None:
            raise LabError(f"{self.name} is off")
        return self._ground

    def boot(self, *, timeout_s: float = 30) -> None:
        """Power on; returns when systemd says that it is running, and raises LabError when a unit failed."""
        lower = ":".join(str(path) for path in (*self.layers, root_file_system()))
        setup = _SETUP.format(group=self._group, lower=lower, disk=self.disk)
        self._ground = Ground(self.name, processes=True, setup=setup)
        self._ground.run("ip", "link", "set", "lo", "up")
        self._ground.run("sysctl", "-qw", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
        self._ports = [(leg, leg.plug(self._ground)) for leg in self.legs]
        nspawn = ["systemd-nspawn", f"--directory={self.disk}/root", f"--machine={self.name}", "--boot"]
        options = [
            "--register=no",
            "--keep-unit",
            "--link-journal=no",
            "--console=pipe",
            "--settings=no",
            "--resolv-conf=off",
        ]
        # Inside the ground its own network is the one of process 1.
        argv = [*self._ground.prefix(), *nspawn, *options, "--network-namespace-path=/proc/1/ns/net"]
        self._console = Daemon(self.name, argv, self.disk / "console.log")
        self._console.wait_until(self._running, f"{self.name} to have booted", timeout_s=timeout_s)

    def _running(self) -> bool:
        if not self._leader():
            return False
        state = self.run(["systemctl", "is-system-running"], check=False).stdout.strip()
        if state == "degraded":
            failed = self.run(["systemctl", "--failed", "--no-legend", "--plain"]).stdout
            raise LabError(f"{self.name} booted with failed units: {failed}")
        return state == "running"

    def _leader(self) -> int | None:
        """The machine's process 1 as seen from here: the child of nspawn that lives in namespaces of its own."""
        console = self._console
        if console is None or not console.alive:
            return None
        pid = console.pid  # nsenter, whose child is nspawn, whose child is the machine's first process
        for _ in range(2):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if not children:
                return None
            pid = int(children[0])
        return pid if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd" else None

    def enter(self, argv: Sequence[str | Path]) -> list[str]:
        """The words that run `argv` as root inside the machine."""
        leader = self._leader()
        if leader is None:
            raise LabError(f"{self.name} is off")
        inside = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd=/"]
        clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        return ["nsenter", f"--target={leader}", *inside, *clean, *(str(word) for word in argv)]

    def run(
        self, argv: Sequence[str | Path], *, check: bool = True, stdin: str | None = None, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside the machine."""
        return run(self.enter(argv), check=check, stdin=stdin, timeout_s=timeout_s)

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Put a file on the machine's disk, on or off."""
        if self._ground is not None:
            parent = path.rpartition("/")[0]
            command = f'umask 077; mkdir -p -m 755 "{parent}"; cat >"{path}"; chmod {mode:o} "{path}"'
            self.run(["sh", "-ec", command], stdin=text)
            return
        target = self.disk / "up" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def power_cut(self) -> None:
        """Everything stops at once and no packet leaves any more: no FIN, no goodbye."""
        for leg, port in self._ports:
            leg.network.unplug(port)
        self.off()

    def down(self, *, grace_s: float = 20) -> None:
        """Shut down in order, as `systemctl poweroff` does."""
        if self._console is not None:
            self.run(["systemctl", "poweroff"], check=False)
            console = self._console
            wait_until(lambda: not console.alive, f"{self.name} to power off", timeout_s=grace_s)
        self.off()

    def off(self) -> None:
        if self._ground is not None:
            self._ground.close()
            self._ground = None
            self._ports = []
        if self._console is not None:
            self._console.stop()
            self._console = None
        remove_control_groups(self._group)


@contextlib.contextmanager
def machine(name: str, legs: Sequence[Leg], *, layers: Sequence[Path] = (), boot: bool = True) -> Iterator[Machine]:
    """A machine for the length of a `with` block; `layers` are directories laid over the common root file system."""
    with state_directory(name) as disk:
        made = Machine(name, legs, disk, layers)
        try:
            if boot:
                made.boot()
            yield made
        finally:
            made.off()
