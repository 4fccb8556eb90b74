"""`linkspan dev --config-dir`: definitions and settings of Consul's files at work, reloads, and access control."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from click.testing import CliRunner

from agents.vm.dev import DevSettings, dev, run_dev, settings_of, warnings_of
from catalog.server.config.read import load

MANAGEMENT = "8bd0a3ee-3c4d-4f0e-9a3c-6b6c2e4f1a11"
Start = Callable[[dict[str, Any]], Awaitable[httpx2.AsyncClient]]


@pytest.fixture
async def start(tmp_path: Path, nursery: trio.Nursery) -> Start:
    """Starts a dev process with that configuration; a client of it."""

    async def started(config: dict[str, Any]) -> httpx2.AsyncClient:
        (tmp_path / "config.json").write_text(json.dumps(config))
        settings = DevSettings(0, 0, "n1", config_dir=tmp_path, loaded=load(tmp_path))

        async def run(*, task_status: trio.TaskStatus[Any]) -> None:
            await run_dev(settings, trio.Event(), task_status)

        running = await nursery.start(run)
        return httpx2.AsyncClient(base_url=f"http://{running.http}", timeout=10, trust_env=False)

    return started


async def test_settings_and_definitions_of_one_file(start: Start, tmp_path: Path) -> None:
    """Services and node meta are there at once; a reload brings the new ones, and a bad file changes nothing."""
    web = {"name": "web", "port": 80}
    async with await start({"ports": {"dns": -1}, "node_meta": {"rack": "7"}, "services": [web]}) as client:
        assert list((await client.get("/v1/agent/services")).json()) == ["web"]
        node = (await client.get("/v1/catalog/node/n1")).json()["Node"]
        assert (node["Meta"]["rack"], node["Meta"]["linkspan-network"]) == ("7", "default")
        (tmp_path / "config.json").write_text(json.dumps({"services": [web, {"name": "api", "port": 81}]}))
        assert (await client.put("/v1/agent/reload")).status_code == 200
        assert sorted((await client.get("/v1/agent/services")).json()) == ["api", "web"]
        (tmp_path / "config.json").write_text(json.dumps({"node_nam": "x"}))
        refused = await client.put("/v1/agent/reload")
        assert (refused.status_code, "did you mean node_name" in refused.text) == (500, True)
        assert sorted((await client.get("/v1/agent/services")).json()) == ["api", "web"]


async def test_access_control_as_the_configuration_says(start: Start) -> None:
    """Closed: nobody reads or registers without a token, the named one manages, and the agent itself goes on."""
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"initial_management": MANAGEMENT}}
    async with await start({"acl": acl}) as client:
        token = {"X-Consul-Token": MANAGEMENT}
        for method, path in (
            ("PUT", "/v1/agent/service/register"),
            ("GET", "/v1/agent/self"),
            ("GET", "/v1/kv/x"),
            ("GET", "/v1/snapshot"),
            ("GET", "/v1/acl/tokens"),
        ):
            answer = await client.request(method, path, json={"Name": "web"})
            assert answer.status_code == 403, (path, answer.text)
        assert (await client.get("/v1/catalog/nodes")).json() == []
        registered = await client.put("/v1/agent/service/register", json={"Name": "web"}, headers=token)
        assert registered.status_code == 200
        assert [one["Node"]["Node"] for one in (await client.get("/v1/health/service/web", headers=token)).json()] == [
            "n1"
        ]
        assert (await client.get("/v1/acl/token/self", headers=token)).status_code == 200
        unknown = await client.get("/v1/agent/self", headers={"X-Consul-Token": "no-such-token"})
        assert unknown.status_code == 403


async def test_without_the_stanza_everybody_operates(start: Start) -> None:
    """As a dev process always was; the access control endpoints say that it is off."""
    async with await start({}) as client:
        assert (await client.put("/v1/kv/x", content=b"1")).text == "true"
        answer = await client.get("/v1/acl/tokens")
        assert (answer.status_code, answer.text) == (401, "ACL support disabled")


def test_flags_count_over_files(tmp_path: Path) -> None:
    """And what cannot be honoured is said."""
    (tmp_path / "a.json").write_text(
        '{"ports": {"http": 1}, "node_name": "file", "client_addr": "0.0.0.0", "encrypt": "k"}'
    )
    flags = dev.make_context("dev", ["--config-dir", str(tmp_path)]).params
    settings, _ = settings_of(flags, set())
    assert (settings.http_port, settings.node) == (1, "file")
    settings, _ = settings_of({**flags, "node": "flag"}, {"node"})
    assert settings.node == "flag"
    assert ["encrypt" in text or "client_addr" in text for text in warnings_of(settings.loaded)] == [True, True]


def test_a_bad_file_ends_the_command_with_one_line(tmp_path: Path) -> None:
    """File, key, and what to do; no traceback."""
    (tmp_path / "a.json").write_text('{"ports": {"htpp": 1}}')
    done = CliRunner().invoke(dev, ["--config-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output.strip() == f"Error: {tmp_path}/a.json: ports.htpp: unknown setting: did you mean http?"
