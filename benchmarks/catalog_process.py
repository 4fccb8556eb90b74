"""The catalog under test: a real `linkspan catalog` as anybody runs it, its jobs and its files."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from benchmarks import measure
from catalog.server.settings import OPERATOR_FILE, STORE_FILE
from catalog.state.changes import Entry, Register, encode_entry
from catalog.state.records import Check, Node, ServiceInstance
from catalog.state.state import State
from catalog.store.sqlite import open_sqlite
from mesh.model.endpoint import Health

START_S = 60.0
CONNECTIONS = 9_000
"""What one address may hold: all readers of a run come from this machine."""


@dataclass(frozen=True)
class Process:
    """A serving catalog. `start_s`: from its start until it said that it serves."""

    pid: int
    url: str
    http_port: int
    dns_port: int
    token: str
    start_s: float

    def job(self, do: str, **job: Any) -> dict[str, float]:
        """Do a job of `benchmarks.catalog_client` in a process of its own; its figures.

        Raises:
            RuntimeError: it failed.
        """
        job = {"do": do, "pid": self.pid, "port": self.http_port, "token": self.token, **job}
        command = [sys.executable, "-m", "benchmarks.catalog_client"]
        done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the client's job {do}: {done.stderr[-2000:]}")
        figures: dict[str, float] = json.loads(done.stdout)
        return figures

    def rss_mb(self) -> float:
        """Its resident megabytes."""
        return sum(measure.rss_mb(self.pid))


@contextmanager
def running(data: Path) -> Iterator[Process]:
    """A catalog over `data`, on free ports, stopped at the end.

    Raises:
        RuntimeError: it did not serve, or did not stop as it should.
    """
    log = data.with_suffix(".log")
    command = [str(Path(sys.executable).with_name("linkspan")), "catalog", "--data-dir", str(data)]
    command += ["--http", "127.0.0.1:0", "--mesh", "127.0.0.1:0", "--dns", "127.0.0.1:0"]
    command += ["--max-connections-per-address", str(CONNECTIONS)]
    started_s = time.perf_counter()
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
    try:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), True)
        line = process.stdout.readline().decode()
        start_s = time.perf_counter() - started_s
        found = re.search(r"serving (http://127\.0\.0\.1:(\d+)) .*DNS on 127\.0\.0\.1:(\d+)", line)
        if found is None:
            raise RuntimeError(f"the catalog does not serve: {line}{log.read_text()[-2000:]}")
        token = (data / OPERATOR_FILE).read_text().strip()
        yield Process(process.pid, found[1], int(found[2]), int(found[3]), token, start_s)
        process.send_signal(signal.SIGTERM)
        if process.wait(START_S):
            raise RuntimeError(f"the catalog ended with {process.returncode}: {log.read_text()[-2000:]}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def write_store(data: Path, instances: int) -> None:
    """The store of a catalog with so many instances: a snapshot of nine tenths, and the rest in the log."""
    trio.run(_write_store, data / STORE_FILE, instances)


async def _write_store(path: Path, instances: int) -> None:
    store, state, tail = await open_sqlite(path), State(), instances // 10
    for number in range(instances - tail):
        state.apply(_registration(number), state.index + 1, 0.0)
    await store.compact(state.index, state.encode())
    await store.commit(
        [
            (state.index + 1 + number, encode_entry(Entry(0.0, _registration(instances - tail + number))))
            for number in range(tail)
        ]
    )
    await store.close()


def _registration(number: int) -> Register:
    """One of 100 instances of a service, on one of 1,000 nodes, as a host's agent registers it."""
    name, service = f"node-{number % 1000}", f"service-{number // 100}"
    instance = ServiceInstance(service, f"{service}-{number}", name, tags=("v1",), meta={"version": "1"}, port=80)
    check = Check(f"alive-{number}", "alive", name, Health.PASSING, service_id=instance.id)
    return Register(Node(name, "192.0.2.1"), (instance,), (check,))
