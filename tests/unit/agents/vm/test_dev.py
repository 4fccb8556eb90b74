"""`linkspan dev` over real sockets: one process, visible at once, closed cleanly."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio

from agents.vm.api.call import CallError
from agents.vm.dev import AppCall, DevSettings, filter_items, run_dev
from agents.vm.host.serve import ListenError, listen_loopback
from agents.vm.local.registrar import RegistrarError


async def test_register_beat_lapse_and_leave(tmp_path: Path, nursery: trio.Nursery) -> None:
    """A registration is readable as soon as it is answered; a TTL lapses on time; `agent/leave` ends the process."""
    sock, done = tmp_path / "dev.sock", trio.Event()
    settings = DevSettings(0, 0, "n1", socket=sock, data_dir=tmp_path / "data", enable_script_checks=True)

    async def run(*, task_status: trio.TaskStatus[Any]) -> None:
        await run_dev(settings, trio.Event(), task_status)
        done.set()

    running = await nursery.start(run)
    async with httpx2.AsyncClient(base_url=f"http://{running.http}") as client:
        body = {"name": "web", "port": 80, "check": {"ttl": "100ms"}}
        assert (await client.put("/v1/agent/service/register", json=body)).status_code == 200
        found = (await client.get("/v1/health/service/web")).json()
        assert [check["CheckID"] for check in found[0]["Checks"]] == ["serfHealth", "service:web"]
        index = (await client.get("/v1/health/service/web")).headers["x-consul-index"]
        await client.put("/v1/agent/check/pass/service:web")
        waiting = await client.get(f"/v1/health/service/web?passing=1&index={index}&wait=5s")
        assert len(waiting.json()) == 1
        with trio.fail_after(2):
            while (await client.get("/v1/health/service/web?passing=1")).json():
                await trio.lowlevel.checkpoint()
        assert "consul" in (await client.get("/v1/catalog/services")).json()
        assert list((await client.get("/v1/agent/services?filter=Port == 80")).json()) == ["web"]
        assert (await client.get("/v1/agent/self")).json()["Config"]["Server"] is True
        assert (await client.get("/v1/nope")).status_code == 404
        assert (await client.put("/v1/agent/leave")).status_code == 200
    with trio.fail_after(10):
        await done.wait()
    assert not sock.exists()


async def test_what_was_registered_outlives_a_restart(tmp_path: Path, nursery: trio.Nursery) -> None:
    """With a data directory, both the catalog and the agent remember."""
    settings = DevSettings(0, 0, "n1", data_dir=tmp_path / "data")
    for turn in range(2):
        stop, over = trio.Event(), trio.Event()

        async def run(*, task_status: trio.TaskStatus[Any], stop: trio.Event = stop, over: trio.Event = over) -> None:
            await run_dev(settings, stop, task_status)
            over.set()

        running = await nursery.start(run)
        async with httpx2.AsyncClient(base_url=f"http://{running.http}") as client:
            if not turn:
                await client.put("/v1/agent/service/register", json={"Name": "web", "Port": 80})
            else:
                assert "web" in (await client.get("/v1/catalog/services")).json()
                assert "web" in (await client.get("/v1/agent/services")).json()
        stop.set()
        with trio.fail_after(10):
            await over.wait()


async def test_a_taken_port_is_said_with_the_flag_to_change_it() -> None:
    """One line, before anything is written."""
    with listen_loopback("127.0.0.1:0") as taken:
        port = taken.getsockname()[1]
        for settings, flag in (
            (DevSettings(port, 0), "--http-port"),
            (DevSettings(0, port), "--mesh-port"),
            (DevSettings(0, 0, dns_port=port), "--dns-port"),
        ):
            with pytest.raises(ListenError, match=flag):
                await run_dev(settings, trio.Event())


def test_filters_speak_consuls_language() -> None:
    """What cannot be read is 500, as in Consul."""
    forms = {"a": {"Service": "x"}, "b": {"Service": "y"}}
    assert list(filter_items('Service == "x"', "services", forms)) == ["a"]
    with pytest.raises(CallError) as caught:
        filter_items("Service = ", "services", forms)
    assert caught.value.status == 500


def test_a_filter_knows_the_fields_of_its_listing() -> None:
    """A check's field is none of a service's."""
    with pytest.raises(CallError, match="Status"):
        filter_items('Status == "passing"', "services", {})
    assert filter_items('Status == "passing"', "checks", {}) == {}


async def test_the_catalog_is_called_without_a_socket() -> None:
    """Method, path, query and body arrive; no answer is an error."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["method"], scope["path"], scope["query_string"], (await receive())["body"]))
        if scope["path"] != "/dumb":
            await send({"type": "http.response.start", "status": 201, "headers": []})
            await send({"type": "http.response.body", "body": b"made"})

    call = AppCall(app)
    assert await call("PUT", "/v1/a%20b?c=d", b"x") == (201, b"made")
    assert seen == [("PUT", "/v1/a b", b"c=d", b"x")]
    with pytest.raises(RegistrarError):
        await call("GET", "/dumb")
