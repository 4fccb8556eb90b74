"""The whole agent against a real catalog on loopback: join, register, serve proxies, forward, survive, leave."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import trio

from agents.vm.host.agent import AgentSettings, LapsedError, load_agent
from agents.vm.host.enrolment import EnrolmentError
from agents.vm.host.join import JoinSettings, enrol
from catalog.server.assembly import Running, run_catalog
from catalog.server.settings import OPERATOR_FILE, Settings
from mesh.identity.keep import LeafStore
from mesh.sync.client import SyncClient
from mesh.sync.leaf import ask_leaf
from mesh.sync.link.dial import UnixDialler
from mesh.sync.link.errors import RefusedError
from mesh.wire.sync import SyncRequest, Want

FILES = """
service:
  name: web
  port: 8080
  check: {ttl: 30s, status: passing}
  connect: {sidecar_service: {port: 20000}}
"""


class Scene(msgspec.Struct):
    """A catalog, a joined host, and clients of both."""

    catalog: Running
    settings: AgentSettings
    data: Path
    operator: httpx2.AsyncClient
    agent: httpx2.AsyncClient
    proxy: SyncClient


@asynccontextmanager
async def joined_host(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Scene]:
    data = tmp_path / "catalog"
    settings = Settings(data_dir=data, http="127.0.0.1:0", mesh="127.0.0.1:0")
    stop = trio.Event()
    catalog = await nursery.start(run_catalog, settings, stop)
    token = (data / OPERATOR_FILE).read_text().strip()
    headers = {"X-Consul-Token": token}
    async with (
        httpx2.AsyncClient(base_url=f"http://{catalog.http}", headers=headers) as operator,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{free_port()}") as agent,
    ):
        body = {"Node": "vm1", "Services": ["web", "api"], "Gateway": False, "Network": "vm-paris", "TTL": "1h"}
        made = (await operator.post("/v1/linkspan/token", json=body)).json()
        state = tmp_path / "state"
        where = JoinSettings((catalog.mesh,), made["CaPin"], "vm1", "vm-paris", "10.0.0.1", state)
        await enrol(where, lambda: made["Token"])
        folder = tmp_path / "services"
        folder.mkdir()
        (folder / "web.yaml").write_text(FILES)
        sock = tmp_path / "agent.sock"
        settings_of_agent = AgentSettings(state, sock, folder, http=f"127.0.0.1:{agent.base_url.port}")
        yield Scene(catalog, settings_of_agent, data, operator, agent, SyncClient([UnixDialler(str(sock))]))
    stop.set()


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def eventually(look: Any, within_s: float = 10) -> Any:
    """What `look` finds as soon as it finds something."""
    with trio.fail_after(within_s):
        while True:
            try:
                found = await look()
            except (httpx2.HTTPError, OSError):
                found = None
            if found:
                return found
            await trio.lowlevel.checkpoint()


async def run_until_signal(settings: AgentSettings, done: trio.Event) -> None:
    await (await trio.to_thread.run_sync(load_agent, settings)).run()
    done.set()


async def hang_up_is_passed_on(scene: Scene) -> None:
    """A forwarded long poll whose caller goes away is not left parked in the catalog."""
    parking = scene.catalog.api.parking
    index = (await scene.agent.get("/v1/health/service/web")).headers["x-consul-index"]

    async def park() -> None:
        await scene.agent.get(f"/v1/health/service/web?index={index}&wait=60s", timeout=90)

    before = len(parking)
    with trio.fail_after(10):
        async with trio.open_nursery() as caller:
            caller.start_soon(park)
            while len(parking) <= before:
                await trio.lowlevel.checkpoint()
            caller.cancel_scope.cancel()
        while len(parking) > before:
            await trio.lowlevel.checkpoint()


@pytest.mark.slow
async def test_a_host_in_the_mesh(tmp_path: Path, nursery: trio.Nursery) -> None:
    """From the first certificate to leaving, over real sockets and mutual TLS."""
    async with joined_host(tmp_path, nursery) as scene:
        done = trio.Event()
        nursery.start_soon(run_until_signal, scene.settings, done)

        async def registered() -> Any:
            return (await scene.operator.get("/v1/health/service/web-sidecar-proxy")).json()

        found = (await eventually(registered))[0]
        assert found["Node"]["Meta"] == {"linkspan-network": "vm-paris"}
        assert found["Service"]["Proxy"]["DestinationServiceID"] == "web"
        assert {check["CheckID"]: check["Status"] for check in found["Checks"]}["serfHealth"] == "passing"

        body = {"name": "api", "port": 1}  # as python-consul2 sends it
        assert (await scene.agent.put("/v1/agent/service/register", json=body)).status_code == 200
        assert (await scene.operator.get("/v1/catalog/service/api")).json()[0]["Node"] == "vm1"
        body = {"name": "db", "port": 1}  # not granted: known here, and not in the catalog
        assert (await scene.agent.put("/v1/agent/service/register", json=body)).status_code == 200
        assert (await scene.operator.get("/v1/catalog/service/db")).json() == []
        rebound = await scene.agent.get("/v1/agent/self", headers={"Host": "evil.example"})
        assert (rebound.status_code, "--allowed-host evil.example" in rebound.text) == (403, True)

        assert "web" in (await scene.agent.get("/v1/catalog/services")).json()
        assert (await scene.agent.put("/v1/config", json={})).status_code == 403
        assert (await scene.agent.post("/v1/linkspan/sync", json={})).status_code == 403

        told = await scene.proxy.call(SyncRequest((Want("endpoints/web"), Want("roots"))))
        assert sorted(one.name for one in told.changed) == ["endpoints/web", "roots"]
        uri = f"spiffe://{scene.catalog.api.authority.trust_domain}/ns/default/dc/dc1/svc"
        assert (await ask_leaf(scene.proxy, f"{uri}/web")).uri == f"{uri}/web"
        with pytest.raises(RefusedError, match="grants the service"):
            await ask_leaf(scene.proxy, f"{uri}/db")
        with pytest.raises(RefusedError, match="not registered on this host"):
            await ask_leaf(scene.proxy, f"{uri}/other")

        await hang_up_is_passed_on(scene)

        (scene.settings.config_dir or tmp_path).joinpath("web.yaml").write_text(FILES.replace("8080", "8081"))
        os.kill(os.getpid(), signal.SIGHUP)

        async def reloaded() -> bool:
            return (await scene.operator.get("/v1/catalog/service/web")).json()[0]["ServicePort"] == 8081

        await eventually(reloaded)
        await scene.proxy.aclose()
        assert (await scene.agent.put("/v1/agent/leave")).status_code == 200
        with trio.fail_after(10):
            await done.wait()
        assert (await scene.operator.get("/v1/catalog/node/vm1")).json() is None
        assert not scene.settings.socket.exists()


@pytest.mark.slow
async def test_a_lapsed_certificate_is_replaced_by_joining_again(tmp_path: Path, nursery: trio.Nursery) -> None:
    """The agent says what to do, and takes the new certificate from disk."""
    async with joined_host(tmp_path, nursery) as scene:
        agent = await trio.to_thread.run_sync(load_agent, scene.settings)
        store = LeafStore(scene.settings.state_dir / "identity")
        good = store.load()
        assert good is not None
        assert await agent.rejoined() == good
        assert "2 services" not in agent.status
        store.save(msgspec.structs.replace(good, not_after_s=1.0))
        with pytest.raises(LapsedError, match="linkspan join"):
            await agent.rejoined()
        lapsed = await trio.to_thread.run_sync(load_agent, scene.settings)
        assert "has lapsed" in lapsed.status
        (scene.settings.state_dir / "identity" / "leaf.json").chmod(0o644)
        with pytest.raises(LapsedError, match="read by others"):
            await agent.rejoined()


async def test_a_host_that_has_not_joined_is_told_to(tmp_path: Path) -> None:
    """And so is one whose certificate is gone."""
    settings = AgentSettings(tmp_path, tmp_path / "agent.sock")
    with pytest.raises(EnrolmentError, match="run 'linkspan join'"):
        load_agent(settings)
