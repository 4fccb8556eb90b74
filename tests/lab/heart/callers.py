"""Whoever calls in the heart test: a user of a machine, or an application in its container. Both call by service name.

They run `app.py` where they are and read what it prints; they must never help it in any other way.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.lab.heart.pods import NAMESPACE
from tests.lab.hosts.machine import Machine
from tests.lab.kube.cluster import Cluster
from tests.lab.process import Daemon, LabError, run, wait_until

ANSWERED = 200
SETTLE_S = 30.0

Enter = Callable[[Sequence[str]], list[str]]
"""Makes the words that run a command where the caller is."""


def on_machine(machine: Machine) -> Enter:
    """A user of a machine."""
    return lambda words: machine.enter(["/usr/bin/python3", "/opt/app/app.py", *words])


def in_pod(kube: Cluster, pod: str) -> Enter:
    """The application's container of a pod."""
    assert kube.plane.host is not None
    kubectl = [*kube.plane.host.network_prefix(), str(kube.plane.binaries / "kubectl")]
    place = [f"--kubeconfig={kube.kubeconfig}", "-n", NAMESPACE, "exec", pod, "-c", "app", "--"]
    return lambda words: [*kubectl, *place, "/usr/bin/python3", "/srv/app.py", *words]


class Steady:
    """A call that goes on in the background until it is cut; what it prints is its record."""

    def __init__(self, name: str, argv: Sequence[str], log: Path) -> None:
        self._daemon = Daemon(name, argv, log)
        self._began_s = time.time()

    def said(self) -> list[dict[str, Any]]:
        """What it printed so far."""
        return [json.loads(line) for line in self._daemon.tail().splitlines() if line.startswith("{")]

    def wait_began(self) -> dict[str, Any]:
        """Its first line: it has been answered."""
        return self._daemon.wait_until(self.said, "its first answer", timeout_s=SETTLE_S)[0]

    def wait_cut(self, timeout_s: float) -> dict[str, Any]:
        """Its line of having been cut."""
        wait_until(lambda: any("cut_s" in line for line in self.said()), "its end", timeout_s=timeout_s)
        return next(line for line in self.said() if "cut_s" in line)

    def stop(self) -> None:
        """End it."""
        self._daemon.stop()


class Caller:
    """One caller, known to those it calls by its service's identity."""

    def __init__(self, service: str, enter: Enter, logs: Path) -> None:
        self.service = service
        self._enter = enter
        self._logs = logs
        self._steady = 0

    def get(self, url: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one request; status 0 and the reason when there was no answer."""
        said = self._run("get", url)
        if said["status"] != ANSWERED:
            return said["status"], {"error": said["body"]}
        return said["status"], json.loads(said["body"])

    def talk(self, host: str, port: int) -> dict[str, Any]:
        """Greeting and echo of one short connection, empty when there were none."""
        return self._run("talk", host, str(port))

    def wait_get(self, url: str) -> dict[str, Any]:
        """The JSON answer once there is one."""
        last: list[Any] = []

        def answered() -> bool:
            last[:] = [self.get(url)]
            return bool(last[0][0] == ANSWERED)

        self._wait(answered, url, last)
        answer: dict[str, Any] = last[0][1]
        return answer

    def wait_talk(self, host: str, port: int) -> dict[str, Any]:
        """Greeting and echo once there are."""
        last: list[Any] = []

        def answered() -> bool:
            last[:] = [self.talk(host, port)]
            return bool(last[0]["echo"])

        self._wait(answered, f"{host}:{port}", last)
        answer: dict[str, Any] = last[0]
        return answer

    def hold(self, host: str, port: int) -> Steady:
        """A connection that is kept busy until it is cut."""
        return self._start("hold", host, str(port))

    def repeat(self, url: str) -> Steady:
        """One request after the other until one is refused."""
        return self._start("repeat", url)

    def _run(self, *words: str) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(run(self._enter(words), timeout_s=30).stdout)
        return said

    def _start(self, *words: str) -> Steady:
        self._steady += 1
        name = f"{self.service}-{words[0]}-{self._steady}"
        return Steady(name, self._enter(words), self._logs / f"{name}.log")

    def _wait(self, answered: Callable[[], bool], what: str, last: list[Any]) -> None:
        try:
            wait_until(answered, f"{self.service} to reach {what}", timeout_s=SETTLE_S)
        except LabError as failure:
            raise LabError(f"{failure}; the last answer was {last}") from failure
