"""Kill -9 of a serving catalog: whatever it acknowledged over HTTP is there after its restart."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import trio

ROUNDS = 20
REGISTRATIONS = 1000
WRITERS = 8


@asynccontextmanager
async def catalog_process(data: Path, **environment: str) -> AsyncIterator[tuple[trio.Process, str]]:
    """A `linkspan catalog` on free ports over `data`, and the URL of its plain port."""
    process = await trio.lowlevel.open_process(
        [
            str(Path(sys.executable).with_name("linkspan")),
            "catalog",
            "--data-dir",
            str(data),
            "--http",
            "127.0.0.1:0",
            "--mesh",
            "127.0.0.1:0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        line = b""
        with trio.fail_after(20):
            while b"serving http://" not in line:
                chunk = await process.stdout.receive_some()
                assert chunk, "the catalog ended before it served"
                line += chunk
        yield process, "http://" + line.split(b"serving http://")[1].split()[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
        if process.stdout is not None:
            await process.stdout.aclose()


async def write_until_it_dies(url: str, token: str, round_: int, acknowledged: list[str]) -> None:
    """Register from several connections at once; keep the names of those that were answered with true."""
    numbers = iter(range(REGISTRATIONS))

    async def write() -> None:
        async with httpx2.AsyncClient(base_url=url, headers={"X-Consul-Token": token}, trust_env=False) as client:
            for number in numbers:
                name = f"r{round_}-n{number}"
                body = {"Node": name, "Address": "192.0.2.1", "Service": {"Service": "web", "ID": f"web-{name}"}}
                try:
                    answer = await client.put("/v1/catalog/register", json=body)
                except httpx2.TransportError:
                    return  # killed: whether this one was kept, nobody was told
                assert answer.text == "true", answer.text
                acknowledged.append(name)

    async with trio.open_nursery() as nursery:
        for _ in range(WRITERS):
            nursery.start_soon(write)


async def kill_after(process: trio.Process, acknowledged: list[str], count: int) -> None:
    """Kill -9 once so many were acknowledged: in the middle of writing."""
    while len(acknowledged) < count:  # noqa: ASYNC110 - a count is no event
        await trio.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)


@pytest.mark.slow
async def test_every_acknowledged_registration_survives(tmp_path: Path) -> None:
    """Twenty rounds over one data directory, each killed at another point, each followed by a whole check."""
    kept: set[str] = set()
    for round_ in range(ROUNDS + 1):
        async with catalog_process(tmp_path) as (process, url):
            operator = {"X-Consul-Token": (tmp_path / "operator.token").read_text().strip()}
            async with httpx2.AsyncClient(base_url=url, headers=operator, trust_env=False) as client:
                found = {row["Node"] for row in (await client.get("/v1/catalog/service/web")).json()}
            assert kept <= found, f"round {round_}: lost {sorted(kept - found)[:5]}"
            if round_ == ROUNDS:
                return
            acknowledged: list[str] = []
            token = operator["X-Consul-Token"]
            with trio.fail_after(60):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(write_until_it_dies, url, token, round_, acknowledged)
                    nursery.start_soon(kill_after, process, acknowledged, 1 + round_ * REGISTRATIONS // (ROUNDS + 2))
            assert len(acknowledged) < REGISTRATIONS
            kept |= set(acknowledged)


@pytest.mark.slow
async def test_a_stop_is_graceful_and_told(tmp_path: Path) -> None:
    """SIGTERM: who waits is answered, systemd is told, the exit code is 0, and the data opens at once again."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(5)
        async with catalog_process(tmp_path / "data", NOTIFY_SOCKET=str(tmp_path / "notify")) as (process, url):
            assert await trio.to_thread.run_sync(supervisor.recv, 100) == b"READY=1\nSTATUS=serving"
            answers: list[int] = []

            async def wait() -> None:
                async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
                    index = (await client.get("/v1/catalog/nodes")).headers["X-Consul-Index"]
                    answer = await client.get(f"/v1/catalog/nodes?index={index}&wait=60s")
                    answers.append(answer.status_code)

            with trio.fail_after(15):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(wait)
                    await trio.sleep(0.5)
                    process.terminate()
                    assert await process.wait() == 0
            assert answers == [200]
            assert supervisor.recv(100) == b"STOPPING=1\nSTATUS=draining"
    async with catalog_process(tmp_path / "data"):
        pass
