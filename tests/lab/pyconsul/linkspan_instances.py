"""The pytest plugin that py-consul's suite runs with: `linkspan dev` where its own conftest starts Consul in Docker.

It runs in the suite's own environment, where neither Linkspan nor this repository can be imported: the standard library
and pytest only. `LINKSPAN_COMMAND` is the command to run, `LINKSPAN_LEFT_OUT` the table of tests that may fail,
`LINKSPAN_RESULTS` the file that gets one JSON line a test. It must never leave a process behind.
"""

import collections
import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
import tomllib
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

START_WITHIN_S = 30.0
STOP_WITHIN_S = 10.0

ConsulInstance = collections.namedtuple("ConsulInstance", ["container", "port", "version"])  # noqa: PYI024 - the suite's own shape

# What the suite's own conftest gives to Consul in CONSUL_LOCAL_CONFIG.
BASE_CONFIG: dict[str, Any] = {
    "ports": {"https": -1, "dns": -1, "grpc_tls": -1},
    "performance": {"raft_multiplier": 1},
    "enable_script_checks": True,
}


class DevProcess:
    """One `linkspan dev` on a free port, with a configuration directory of its own."""

    def __init__(self, token: str = "") -> None:
        self.token = token
        self._folder = Path(tempfile.mkdtemp(prefix="linkspan-pyconsul-"))
        config = dict(BASE_CONFIG)
        if token:
            config |= {
                "primary_datacenter": "dc1",
                "acl": {"enabled": True, "tokens": {"initial_management": token}},
            }
        (self._folder / "config.json").write_text(json.dumps(config))
        self._log = (self._folder / "log").open("wb")
        words = [os.environ["LINKSPAN_COMMAND"], "dev", "--config-dir", str(self._folder)]
        words += ["--http-port", "0", "--mesh-port", "0"]
        if shutil.which("setpriv") and threading.current_thread() is threading.main_thread():
            words = ["setpriv", "--pdeathsig", "KILL", *words]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=self._log, stdin=subprocess.DEVNULL)
        self._port: int | None = None
        self._lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(b"")

    @property
    def port(self) -> int:
        """Where its API is; waits until it serves."""
        end_s = time.monotonic() + START_WITHIN_S
        while self._port is None:
            line = self._lines.get(timeout=max(0.01, end_s - time.monotonic()))
            if not line:
                raise RuntimeError(f"linkspan dev did not start: {self.log()}")
            if found := re.search(rb"API on http://127\.0\.0\.1:(\d+)", line):
                self._port = int(found[1])
        return self._port

    def log(self) -> str:
        """What it wrote to standard error."""
        return (self._folder / "log").read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        """Ask it to end; `reap` sees to it."""
        self._process.terminate()

    def reap(self) -> None:
        """Insist, and remove what it left."""
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class Pool:
    """Gives each test a fresh process, and starts the next one of its kind meanwhile."""

    def __init__(self) -> None:
        self._spare: dict[bool, DevProcess] = {}
        self._stopped: list[DevProcess] = []

    def take(self, *, with_acl: bool) -> DevProcess:
        """A process that serves."""
        process = self._spare.pop(with_acl, None) or self._start(with_acl=with_acl)
        assert process.port
        for other in [kind for kind in self._spare if kind != with_acl]:
            self._end(self._spare.pop(other))
        self._spare[with_acl] = self._start(with_acl=with_acl)
        return process

    def give_back(self, process: DevProcess) -> None:
        """Its test is over."""
        self._end(process)

    def close(self) -> None:
        """End every process that was started."""
        for process in self._spare.values():
            self._end(process)
        self._spare.clear()
        for process in self._stopped:
            process.reap()
        self._stopped.clear()

    def _end(self, process: DevProcess) -> None:
        process.stop()
        self._stopped.append(process)
        while len(self._stopped) > 2:  # they end while the next test runs
            self._stopped.pop(0).reap()

    @staticmethod
    def _start(*, with_acl: bool) -> DevProcess:
        return DevProcess(uuid.uuid4().hex if with_acl else "")


@pytest.fixture(scope="session")
def linkspan_pool() -> Iterator[Pool]:
    """The processes of this session."""
    pool = Pool()
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture(scope="session", autouse=True)
def _without_token_of_the_environment() -> None:
    os.environ.pop("CONSUL_HTTP_TOKEN", None)


def _version(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/agent/self", timeout=10) as answer:
        return str(json.load(answer)["Config"]["Version"]).strip()


@contextlib.contextmanager
def _instance(request: pytest.FixtureRequest, pool: Pool, *, with_acl: bool) -> Iterator[ConsulInstance]:
    process = pool.take(with_acl=with_acl)
    try:
        version = "1.21.4" if with_acl else _version(process.port)
        yield ConsulInstance(process, process.port, version)
    finally:
        if log := process.log():
            request.node.add_report_section("teardown", "linkspan dev", log)
        pool.give_back(process)


@pytest.fixture
def consul_instance(request: pytest.FixtureRequest, linkspan_pool: Pool) -> Iterator[ConsulInstance]:
    """An open `linkspan dev`."""
    with _instance(request, linkspan_pool, with_acl=False) as instance:
        yield instance


@pytest.fixture
def acl_consul_instance(request: pytest.FixtureRequest, linkspan_pool: Pool) -> Iterator[tuple[ConsulInstance, str]]:
    """One with access control, and its management token."""
    with _instance(request, linkspan_pool, with_acl=True) as instance:
        yield instance, instance.container.token


@pytest.fixture
def consul_port(consul_instance: ConsulInstance) -> tuple[int, str]:
    """As the suite's own."""
    return consul_instance.port, consul_instance.version


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the tests of the table to fail, each with its reason; one that passes is an error (strict)."""
    with Path(os.environ["LINKSPAN_LEFT_OUT"]).open("rb") as file:
        left_out: dict[str, str] = tomllib.load(file)["left_out"]
    unknown = set(left_out)
    for item in items:
        name = item.nodeid.removeprefix("tests/")
        if name in left_out:
            unknown.discard(name)
            item.add_marker(pytest.mark.xfail(reason=left_out[name], strict=True))
    if unknown and "LINKSPAN_WHOLE" in os.environ:
        raise pytest.UsageError(f"the table names tests that do not exist: {', '.join(sorted(unknown))}")


class _Results:
    """Writes one line a test: its name, what became of it, and why."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: dict[str, tuple[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test is over; the worst one counts."""
        name = report.nodeid.removeprefix("tests/")
        outcome = "left out" if hasattr(report, "wasxfail") and report.skipped else report.outcome
        before, _ = self._seen.get(name, ("", ""))
        if before in {"failed", "left out", "skipped"} and outcome != "failed":
            return
        text = "" if report.outcome == "passed" else str(report.longrepr or "").strip().splitlines()[-1:]
        reason = getattr(report, "wasxfail", "") or "".join(text)
        crash = getattr(getattr(report, "longrepr", None), "reprcrash", None)
        if crash is not None and not hasattr(report, "wasxfail"):
            reason = str(crash.message).splitlines()[0]
        self._seen[name] = (outcome, reason)

    def pytest_sessionfinish(self) -> None:
        """Everything has run."""
        lines = [json.dumps({"test": name, "outcome": how, "why": why}) for name, (how, why) in self._seen.items()]
        self._path.write_text("\n".join(lines) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Results are written by the process that hears of all tests."""
    path = os.environ.get("LINKSPAN_RESULTS")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Results(Path(path)))
