"""The process around a proxy or gateway: readiness, pages, signals, and what it may never import."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import msgspec
import pytest
import trio
import trio.testing

from mesh.identity.live import LiveIdentity
from mesh.model.intention import IntentionSet
from mesh.model.snapshot import Local, MeshSettings
from mesh.sync.client import SyncClient
from mesh.sync.follow import ProxyPlan
from mesh.sync.follower import Follower
from mesh.sync.link.address import HostPort
from mesh.sync.options import Hosting
from mesh.sync.process import Process, describe, run_process
from tests.fakes.authority import DATACENTER, TRUST_DOMAIN, Authority, service_uri
from tests.fakes.catalog import FakeCatalog
from tests.fakes.http_peer import MemoryDialler

AUTHORITY = Authority()
LOCAL = Local("web", "vm", "", "")
FORBIDDEN = (
    "cryptography",
    "httpx2",
    "anycorn",
    "starlette",
    "structlog",
    "consul",
    "kubernetes",
    "yaml",
    "prometheus_client",
)


def free_port() -> int:
    """A port that was free a moment ago: the process does not tell which one it got."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def fetch(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of an admin page."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join([chunk async for chunk in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


class Scene:
    """A process with a catalog that has nothing yet; `look` runs beside it."""

    def __init__(self, directory: Path, nursery: trio.Nursery) -> None:
        self.port = free_port()
        self.catalog = FakeCatalog(AUTHORITY)
        self.scraped = self.drained = False
        self.supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.supervisor.bind(str(directory / "notify"))
        self.supervisor.settimeout(5)
        self._nursery = nursery
        hosting = Hosting(HostPort("127.0.0.1", self.port), HostPort("127.0.0.1", 0), str(directory / "access.log"))
        self.process = Process(hosting, LOCAL, {"NOTIFY_SOCKET": str(directory / "notify")})

    async def main(self, process: Process, inner: trio.Nursery) -> None:
        """What a command does: follow, serve, say so."""
        assert await self.page("/ready") == (503, b"not ready: not listening yet\n")
        process.serves(self.drain, self.scrape)
        assert await self.page("/ready") == (503, b"not ready: nothing from the catalog yet\n")
        follower = Follower(
            SyncClient([MemoryDialler(self._nursery, self.catalog)]), ProxyPlan("web", "vm"), process.holder
        )
        process.follows(follower, LiveIdentity(AUTHORITY.leaf(service_uri("web")), AUTHORITY.roots()))
        inner.start_soon(follower.run)
        inner.start_soon(self.look)

    async def look(self) -> None:
        """Feed the catalog, look at every page, and end the process."""
        self.catalog.put("roots", AUTHORITY.roots())
        self.catalog.put("mesh", MeshSettings(DATACENTER, TRUST_DOMAIN))
        await self.process.holder.wait_newer(1)
        assert b"1 missing, intentions/web first" in (await self.page("/ready"))[1]
        self.catalog.put("intentions/web", IntentionSet("web", 1))
        while (await self.page("/ready"))[0] != 200:  # noqa: ASYNC110 - an operator polls this page too: nothing else tells
            await trio.sleep(0.001)
        _, metrics = await self.page("/metrics")
        for name in (b"catalog_index 4\n", b"config_age_seconds ", b"certificate_expiry_timestamp_seconds "):
            assert b"\nlinkspan_" + name in metrics
        _, snapshot = await self.page("/snapshot")
        assert b"PRIVATE KEY" not in snapshot
        assert msgspec.json.decode(snapshot)["identity"]["uri"] == service_uri("web")
        os.kill(os.getpid(), signal.SIGTERM)

    async def page(self, path: str) -> tuple[int, bytes]:
        """Fetch an admin page."""
        return await fetch(self.port, path)

    async def drain(self) -> None:
        await trio.lowlevel.checkpoint()
        self.drained = True

    def scrape(self) -> None:
        self.scraped = True


async def test_ready_when_everything_is_there_and_drained_at_the_end(tmp_path: Path, nursery: trio.Nursery):
    """Each missing part is named on the way; the supervisor hears READY once; SIGTERM drains and ends the process."""
    scene = Scene(tmp_path, nursery)
    with trio.fail_after(10), scene.supervisor:
        await scene.process.run(scene.main)
        heard = [scene.supervisor.recv(1000).splitlines()[0] for _ in range(3)]
    assert heard == [b"STATUS=waiting for the catalog", b"READY=1", b"STOPPING=1"]
    assert scene.drained
    assert scene.scraped
    nursery.cancel_scope.cancel()


async def test_a_signal_before_anything_is_there_ends_it_too():
    """A process that still waits for the catalog can be stopped."""
    process = Process(Hosting(), LOCAL, {})

    async def main(_process: Process, inner: trio.Nursery) -> None:
        inner.start_soon(trio.to_thread.run_sync, os.kill, os.getpid(), signal.SIGTERM)
        await trio.sleep_forever()

    with trio.fail_after(5):
        await process.run(main)


def test_an_expired_certificate_is_not_ready():
    """It would be refused by every peer."""
    process = Process(Hosting(), LOCAL, {})
    assert process.why_not_ready() == "not listening yet"


def test_an_address_in_use_is_one_line():
    """The command fails with the kernel's words, without a trace."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        hosting = Hosting(HostPort("127.0.0.1", taken.getsockname()[1]))

        async def main(_process: Process, _nursery: trio.Nursery) -> None:
            await trio.sleep_forever()

        with pytest.raises(click.ClickException, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use"):
            run_process(hosting, LOCAL, main)


def test_a_description_holds_no_key():
    """The operator's page shows what is decided from, and never a secret."""
    process = Process(Hosting(), LOCAL, {})
    identity = LiveIdentity(AUTHORITY.leaf(service_uri("web")), AUTHORITY.roots())
    page = msgspec.json.encode(describe(process.holder.current, None, identity))
    assert b"PRIVATE" not in page
    assert service_uri("web").encode() in page


PROBE = """
import sys
from mesh.cli import main
command = main.get_command(None, sys.argv[1])
assert command is not None
print(sorted(name for name in sys.argv[2:] if name in sys.modules))
"""


@pytest.mark.parametrize("command", ["proxy", "gateway"])
def test_data_plane_processes_import_nothing_heavy(command: str):
    """Their memory is counted (40 MB): whatever the composed command imports, none of these is among it."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, command, *FORBIDDEN], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
