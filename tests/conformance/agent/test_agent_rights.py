"""With access rules, every endpoint of the agent takes a right; a registration is told to the catalog with its token."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.fakes.agent.dev import open_dev

ROOT = "11111111-1111-1111-1111-111111111111"
CONFIG = {"acl": {"enabled": True, "default_policy": "deny", "tokens": {"initial_management": ROOT}}}
RULES = """
service "web" { policy = "write" }
service "seen" { policy = "read" }
node "n1" { policy = "read" }
"""
READS = (
    "self", "metrics", "monitor", "host", "connect/ca/leaf/other", "service/other",
    "health/service/id/other", "health/service/name/other",
)  # fmt: skip
WRITES = (
    "maintenance?enable=true", "reload", "leave", "join/127.0.0.1", "force-leave/n1", "token/default",
    "service/deregister/other", "service/maintenance/other?enable=true", "check/deregister/service:other",
    "check/pass/service:other",
)  # fmt: skip


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a dev process with access rules, that denies by default, and a service `other` in it."""
    (tmp_path / "consul.json").write_text(json.dumps(CONFIG))
    async with (
        open_dev(tmp_path) as dev,
        httpx2.AsyncClient(base_url=f"http://{dev.address}", timeout=10, trust_env=False) as client,
    ):
        for name in ("other", "seen"):
            body = {"Name": name, "Check": {"TTL": "60s"}}
            assert (await register(client, ROOT, body)).status_code == 200
        yield client


async def register(api: httpx2.AsyncClient, token: str, body: Any) -> httpx2.Response:
    return await api.put("/v1/agent/service/register", json=body, headers=_with(token))


def _with(token: str) -> dict[str, str]:
    return {"X-Consul-Token": token} if token else {}


async def _limited(api: httpx2.AsyncClient) -> str:
    policy = {"Name": "p", "Rules": RULES}
    made = await api.put("/v1/acl/policy", json=policy, headers=_with(ROOT))
    assert made.status_code == 200, made.text
    token = await api.put("/v1/acl/token", json={"Policies": [{"Name": "p"}]}, headers=_with(ROOT))
    return str(token.json()["SecretID"])


async def test_without_a_token_nothing_is_shown_or_done(api: httpx2.AsyncClient) -> None:
    """403, or an empty list."""
    for path in READS:
        answer = await api.get(f"/v1/agent/{path}")
        assert (answer.status_code, "Permission denied" in answer.text) == (403, True), path
    for path in WRITES:
        answer = await api.put(f"/v1/agent/{path}", json={"Token": "x"} if "token" in path else None)
        assert (answer.status_code, "Permission denied" in answer.text) == (403, True), path
    for path, empty in (("services", {}), ("checks", {}), ("members", [])):
        assert (await api.get(f"/v1/agent/{path}")).json() == empty
    assert (await register(api, "", {"Name": "web"})).status_code == 403
    check = await api.put("/v1/agent/check/register", json={"Name": "c", "TTL": "1s"})
    assert check.status_code == 403


async def test_a_wrong_token_is_none(api: httpx2.AsyncClient) -> None:
    """403, and not a hint more than that."""
    answer = await api.get("/v1/agent/self", headers=_with("22222222-2222-2222-2222-222222222222"))
    assert answer.status_code == 403
    assert "22222222" not in answer.text


async def test_a_limited_token_reaches_its_own(api: httpx2.AsyncClient) -> None:
    """It registers its service, which the catalog then shows; others' it cannot touch, nor take over."""
    token = await _limited(api)
    assert (await register(api, token, {"Name": "web", "Check": {"TTL": "60s"}})).status_code == 200
    held = await api.get("/v1/health/service/web", headers=_with(ROOT))
    assert [one["Service"]["ID"] for one in held.json()] == ["web"]
    assert sorted((await api.get("/v1/agent/services", headers=_with(token))).json()) == ["seen", "web"]
    checks = (await api.get("/v1/agent/checks", headers=_with(token))).json()
    assert sorted(checks) == ["service:seen", "service:web"]
    assert [one["Name"] for one in (await api.get("/v1/agent/members", headers=_with(token))).json()] == ["n1"]
    for body in ({"Name": "seen"}, {"Name": "web", "ID": "other"}):
        assert (await register(api, token, body)).status_code == 403
    assert (await api.get("/v1/agent/connect/ca/leaf/web", headers=_with(token))).status_code == 200
    assert (await api.get("/v1/agent/connect/ca/leaf/seen", headers=_with(token))).status_code == 403
    gone = await api.put("/v1/agent/service/deregister/web", headers=_with(token))
    assert gone.status_code == 200
    assert (await api.get("/v1/health/service/web", headers=_with(ROOT))).json() == []


async def test_tokens_are_never_shown(api: httpx2.AsyncClient) -> None:
    """Neither in services nor in checks."""
    for path in ("services", "checks", "service/other"):
        assert ROOT not in (await api.get(f"/v1/agent/{path}", headers=_with(ROOT))).text


async def test_the_operator_sets_the_agents_tokens(api: httpx2.AsyncClient) -> None:
    """With agent:write."""
    answer = await api.put("/v1/agent/token/default", json={"Token": "x"}, headers=_with(ROOT))
    assert (answer.status_code, answer.text) == (200, "")
