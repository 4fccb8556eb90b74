"""Attacks on the agent's API with access control on: what one token registers must not push out what another one did."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio

from tests.fakes.agent.dev import open_dev

ROOT = "11111111-1111-1111-1111-111111111111"
CONFIG = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {"initial_management": ROOT}}}
WRITE_WEB = 'service "web" { policy = "write" }'


class Agent:
    """A dev process with access rules and a service `other` in it, which has a sidecar."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def ask(self, token: str, method: str, path: str, body: Any = None) -> httpx2.Response:
        headers = {"X-Consul-Token": token} if token else {}
        return await self.client.request(method, f"/v1/{path}", json=body, headers=headers)

    async def made(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.ask(ROOT, method, path, body)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None

    async def token(self, rules: str) -> str:
        await self.made("PUT", "acl/policy", {"Name": "p", "Rules": rules})
        return str((await self.made("PUT", "acl/token", {"Policies": [{"Name": "p"}]}))["SecretID"])

    async def snapshot(self) -> tuple[Any, Any]:
        """What is registered, as the operator sees it."""
        return await self.made("GET", "agent/services"), await self.made("GET", "agent/checks")


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    (tmp_path / "consul.json").write_text(json.dumps(CONFIG))
    async with (
        open_dev(tmp_path) as dev,
        httpx2.AsyncClient(base_url=f"http://{dev.address}", timeout=10, trust_env=False) as client,
    ):
        found = Agent(client)
        await found.made("PUT", "agent/service/register", {
            "Name": "other", "Port": 1, "Check": {"CheckID": "beat", "TTL": "60s"}, "Connect": {"SidecarService": {}},
        })  # fmt: skip
        await found.made("PUT", "agent/check/register", {"ID": "nodes", "Name": "nodes", "TTL": "60s"})
        yield found


ATTACKS = {
    "a check of another service": ("check/register", {"ID": "beat", "Name": "x", "ServiceID": "web", "TTL": "9s"}),
    "a check of the node": ("check/register", {"ID": "nodes", "Name": "x", "ServiceID": "web", "TTL": "9s"}),
    "its check among a service's": ("service/register", {"Name": "web", "Check": {"CheckID": "beat", "TTL": "9s"}}),
    "the node's among a service's": ("service/register", {"Name": "web", "Check": {"CheckID": "nodes", "TTL": "9s"}}),
    "its id": ("service/register", {"Name": "web", "ID": "other"}),
    "its sidecar's id": ("service/register", {"Name": "web", "ID": "other-sidecar-proxy"}),
    "a sidecar of its name": (
        "service/register",
        {"Name": "web", "Port": 1, "Connect": {"SidecarService": {"Name": "other"}}},
    ),
    "a proxy for it": (
        "service/register",
        {"Name": "web", "ID": "p", "Kind": "connect-proxy", "Port": 1, "Proxy": {"DestinationServiceName": "other"}},
    ),
}


@pytest.mark.parametrize(("path", "body"), ATTACKS.values(), ids=ATTACKS)
async def test_nothing_of_others_is_replaced(agent: Agent, path: str, body: Any) -> None:
    """Refused before the agent takes it in: whatever is there stays, here and in the catalog."""
    token = await agent.token(WRITE_WEB)
    await agent.made("PUT", "agent/service/register", {"Name": "web", "Port": 1})
    before = await agent.snapshot()
    answer = await agent.ask(token, "PUT", f"agent/{path}", body)
    assert (answer.status_code, "Permission denied" in answer.text) == (403, True), answer.text
    assert await agent.snapshot() == before


async def test_an_id_that_makes_anothers_sidecar_is_refused(agent: Agent) -> None:
    """`x` with a sidecar is also `x-sidecar-proxy`."""
    token = await agent.token(WRITE_WEB)
    await agent.made("PUT", "agent/service/register", {"Name": "db", "ID": "w-sidecar-proxy"})
    before = await agent.snapshot()
    body = {"Name": "web", "ID": "w", "Port": 1, "Connect": {"SidecarService": {}}}
    assert (await agent.ask(token, "PUT", "agent/service/register", body)).status_code == 403
    assert await agent.snapshot() == before


async def test_a_parked_reader_of_a_service_is_judged_when_it_wakes(agent: Agent) -> None:
    """By the rules of then, and for the service that has the id then."""
    token = await agent.token('service "other" { policy = "read" }')
    shown = await agent.ask(token, "GET", "agent/service/other")
    answers: list[httpx2.Response] = []

    async def read() -> None:
        answers.append(await agent.ask(token, "GET", f"agent/service/other?hash={shown.json()['ContentHash']}&wait=5s"))

    with trio.fail_after(8):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.sleep(0.2)
            policy = (await agent.made("GET", "acl/policy/name/p"))["ID"]
            await agent.made("PUT", f"acl/policy/{policy}", {"Name": "p", "Rules": ""})
            await agent.made("PUT", "agent/service/register", {"Name": "other", "Port": 2, "Tags": ["secret"]})
    assert answers[0].status_code == 403, answers[0].text


async def test_health_by_name_tells_nobody_what_runs_here(agent: Agent) -> None:
    """A name that may not be read is refused whether it is there or not."""
    token = await agent.token(WRITE_WEB)
    for who in ("", token):
        hidden, absent = [
            await agent.ask(who, "GET", f"agent/health/service/name/{name}") for name in ("other", "absent")
        ]
        assert (hidden.status_code, hidden.text) == (absent.status_code, absent.text.replace("absent", "other"))
