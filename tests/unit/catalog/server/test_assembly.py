"""A catalog process put together: what it writes, what it refuses, how it ends and comes back."""

import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import trio

from catalog.api.http.serve import NotLoopbackError
from catalog.authority.root_file import AuthorityFileError
from catalog.server.assembly import Running, one_error, own_registration, run_catalog
from catalog.server.settings import Settings
from catalog.state.changes import Register
from catalog.state.records import Node
from catalog.store import StoreBusyError, StoreError


def settings(data: Path, **fields: object) -> Settings:
    return Settings(data, http="127.0.0.1:0", mesh="127.0.0.1:0", **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def catalog(chosen: Settings) -> AsyncIterator[Running]:
    """A running catalog, stopped gracefully at the end."""
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        yield await nursery.start(run_catalog, chosen, stop)
        stop.set()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_first_start_writes_what_only_its_owner_reads(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with catalog(settings(data, trust_domain="mesh.example")) as running:
        assert mode(data) == 0o700
        for name in ("ca.pem", "catalog.db", "operator.token"):
            assert mode(data / name) == 0o600
        token = (data / "operator.token").read_text().strip()
        async with httpx2.AsyncClient(base_url=f"http://{running.http}", trust_env=False) as client:
            operator = {"X-Consul-Token": token}
            assert (await client.get("/v1/catalog/services", headers=operator)).json() == {"consul": []}
            body = {"Node": "n1", "Address": "192.0.2.1"}
            refused = await client.put("/v1/catalog/register", json=body)
            assert refused.status_code == 403
            taken = await client.put("/v1/catalog/register", json=body, headers=operator)
            assert taken.text == "true"
        assert running.api.authority.trust_domain == "mesh.example"


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    """Registrations, trust domain, token; and the index does not go back."""
    async with catalog(settings(tmp_path)) as running:
        await running.api.submit(Register(Node("n1", "192.0.2.1")))
        index, trust_domain = running.api.parking.state.index, running.api.authority.trust_domain
    token = (tmp_path / "operator.token").read_text()
    async with catalog(settings(tmp_path)) as running:
        assert running.api.parking.state.node("n1") is not None
        assert running.api.parking.state.index >= index
        assert running.api.authority.trust_domain == trust_domain
    assert (tmp_path / "operator.token").read_text() == token


async def test_a_lost_token_file_is_not_made_again(tmp_path: Path) -> None:
    """Its hash is kept: whoever removed the file has the token, or asks somebody who has."""
    async with catalog(settings(tmp_path)):
        pass
    (tmp_path / "operator.token").unlink()
    async with catalog(settings(tmp_path)):
        assert not (tmp_path / "operator.token").exists()


async def test_a_crash_between_token_file_and_store_heals(tmp_path: Path) -> None:
    """A file without a hash opens nothing; the next start makes another."""
    (tmp_path / "operator.token").write_text("lso_old\n")
    async with catalog(settings(tmp_path)):
        assert (tmp_path / "operator.token").read_text() != "lso_old\n"


async def test_a_second_process_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async with catalog(settings(tmp_path)):
        with pytest.raises(StoreBusyError):
            await run_catalog(settings(tmp_path), trio.Event())


async def test_a_taken_port_is_told_before_anything_is_written(tmp_path: Path) -> None:
    async with catalog(settings(tmp_path / "a")) as running:
        taken = Settings(tmp_path / "b", http=running.http, mesh="127.0.0.1:0")
        with pytest.raises(OSError, match="in use"):
            await run_catalog(taken, trio.Event())
        taken = Settings(tmp_path / "b", http="127.0.0.1:0", mesh=running.mesh)
        with pytest.raises(OSError, match="in use"):
            await run_catalog(taken, trio.Event())
    assert not (tmp_path / "b").exists()


async def test_the_plain_port_stays_on_loopback(tmp_path: Path) -> None:
    with pytest.raises(NotLoopbackError):
        await run_catalog(Settings(tmp_path, http="0.0.0.0:0", mesh="127.0.0.1:0"), trio.Event())


async def test_the_plain_port_can_be_off(tmp_path: Path) -> None:
    async with catalog(Settings(tmp_path, http="", mesh="127.0.0.1:0")) as running:
        assert (running.http, running.mesh[:10]) == ("", "127.0.0.1:")


async def test_another_trust_domain_than_the_kept_one_is_refused(tmp_path: Path) -> None:
    async with catalog(settings(tmp_path, trust_domain="one.example")):
        pass
    with pytest.raises(AuthorityFileError, match=r"one\.example"):
        await run_catalog(settings(tmp_path, trust_domain="two.example"), trio.Event())


async def test_a_stop_leaves_no_descriptor_and_no_task(tmp_path: Path) -> None:
    async with catalog(settings(tmp_path)):
        pass
    tasks = trio.lowlevel.current_statistics().tasks_living
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, no paths
    async with catalog(settings(tmp_path)):
        pass
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 - same
    assert trio.lowlevel.current_statistics().tasks_living <= tasks


async def test_the_own_registration_is_what_clients_of_consul_expect() -> None:
    change = own_registration("server", "192.0.2.1", "dc1")
    assert [service.service for service in change.services] == ["consul"]
    assert [(check.check_id, check.status) for check in change.checks] == [("serfHealth", "passing")]


async def test_a_node_that_an_agent_holds_is_the_agents_to_describe(tmp_path: Path) -> None:
    """On one machine both have its name: a restart of the catalog must not undo the agent's address, network and health."""
    chosen = settings(tmp_path, node="host1")
    meta = {"linkspan-network": "paris"}
    async with catalog(chosen) as running:
        state = running.api.parking.state
        await running.api.submit(Register(Node("host1", "192.0.2.1", meta=meta), lease_ttl_s=12.0))
        assert [one.service for one in state.node_services("host1")] == ["consul"]
    async with catalog(chosen) as running:
        node = running.api.parking.state.node("host1")
        assert node is not None
        assert (node.address, node.meta) == ("192.0.2.1", meta)
        assert [one.service for one in running.api.parking.state.node_services("host1")] == ["consul"]


def test_of_several_errors_the_first_is_raised_and_the_rest_logged(caplog: pytest.LogCaptureFixture) -> None:
    inner = ExceptionGroup("inner", [StoreError("disk"), ValueError("other")])
    with pytest.raises(StoreError, match="disk"), one_error():
        raise ExceptionGroup("outer", [inner])
    assert "other" in caplog.text


async def test_a_lost_authority_is_not_made_anew_in_silence(tmp_path: Path) -> None:
    """Every host would be locked out by a certificate that nobody knows; whoever lost the file is told."""
    async with catalog(settings(tmp_path)):
        pass
    (tmp_path / "ca.pem").unlink()
    with pytest.raises(AuthorityFileError, match="restore it from a backup"):
        await run_catalog(settings(tmp_path), trio.Event())
    assert not (tmp_path / "ca.pem").exists()


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """Of the two that a catalog listens on, the operator must know which."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"cannot listen on {address}: Address already in use"):
            await run_catalog(Settings(tmp_path, http="", mesh=address), trio.Event())
