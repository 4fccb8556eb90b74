"""`/v1/agent/token/*`."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from agents.vm.api.app import agent_app
from agents.vm.api.call import Endpoint
from agents.vm.api.host import Host
from agents.vm.api.rights import REFUSING, InProcess

MakeHost = Callable[..., Host]
ClientOf = Callable[[Any], httpx2.AsyncClient]


class Master:
    """Who holds the token `master` may do all."""

    def __init__(self, token: str) -> None:
        self._token = token

    def allows(self, resource: str, name: str, access: str) -> bool:
        return self._token == "master"


async def test_without_access_rules_there_are_no_tokens(make_host: MakeHost, client_of: ClientOf) -> None:
    """401, as in Consul."""
    async with client_of(agent_app(make_host(), Endpoint())) as client:
        answer = await client.put("/v1/agent/token/default", json={"Token": "x"})
    assert (answer.status_code, answer.text) == (401, "ACL support disabled")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("default", "default"),
        ("agent", "agent"),
        ("agent_recovery", "agent_recovery"),
        ("agent_master", "agent_recovery"),
        ("replication", "replication"),
        ("config_file_service_registration", "config_file_service_registration"),
        ("dns", "dns"),
    ],
)
async def test_each_kind_is_set_and_taken_away(path: str, kind: str, make_host: MakeHost, client_of: ClientOf) -> None:
    """An empty token takes it away; it is never shown."""
    host = make_host(rights=InProcess(Master))
    headers = {"X-Consul-Token": "master"}
    async with client_of(agent_app(host, Endpoint())) as client:
        for secret, held in (("s3cret", {kind: "s3cret"}), ("", {}), ("", {})):
            answer = await client.put(f"/v1/agent/token/{path}", json={"Token": secret}, headers=headers)
            assert (answer.status_code, answer.text) == (200, "")
            assert host.tokens == held


async def test_refusals(make_host: MakeHost, client_of: ClientOf) -> None:
    """Without agent:write; of a kind that there is not; of a body that is none."""
    async with client_of(agent_app(make_host(rights=REFUSING), Endpoint())) as client:
        assert (await client.put("/v1/agent/token/default", json={"Token": "x"})).status_code == 403
    async with client_of(agent_app(make_host(rights=InProcess(Master)), Endpoint())) as client:
        client.headers["X-Consul-Token"] = "master"
        unknown = await client.put("/v1/agent/token/nope", json={"Token": "x"})
        assert (unknown.status_code, unknown.text) == (404, 'Token "nope" is unknown')
        assert (await client.put("/v1/agent/token/default", content=b"{")).status_code == 400
