"""The agent paths of a catalog without an agent."""

import msgspec
import pytest

from catalog.api.http.errors import NotFoundError, PermissionDeniedError
from catalog.api.operator.agent import AgentEndpoints, rfc_moment
from tests.fakes.catalog_calls import make_call, open_api, powerless


async def test_clients_find_what_they_probe() -> None:
    """Datacenter, version, leader; no services and no checks, for there is no host."""
    async with open_api() as api:
        agent = AgentEndpoints(api)
        self = msgspec.json.decode((await agent.self(make_call())).body)
        assert self["Config"]["Datacenter"] == "dc1"
        assert self["Config"]["Version"].startswith("1.")
        assert self["Stats"]["consul"]["leader_addr"] == api.leader
        (member,) = msgspec.json.decode((await agent.members(make_call())).body)
        assert (member["Addr"], member["Status"]) == ("127.0.0.1", 1)
        assert (await agent.nothing(make_call())).body == b"{}"
        roots = agent.paths()["/v1/agent/connect/ca/roots"]["GET"]
        assert msgspec.json.decode((await roots.handler(make_call())).body)["TrustDomain"] == "test.consul"


async def test_metrics_in_both_forms() -> None:
    """Consul's JSON, and Prometheus' text when it is asked for."""
    async with open_api() as api:
        agent = AgentEndpoints(api)
        shown = msgspec.json.decode((await agent.metrics(make_call())).body)
        assert {"Timestamp", "Gauges", "Points", "Counters", "Samples"} == set(shown)
        text = (await agent.metrics(make_call("GET", "format=prometheus"))).body.decode()
        assert "\nlinkspan_catalog_nodes 0\n" in text
        assert rfc_moment(0) == "1970-01-01 00:00:00 +0000 UTC"


async def test_a_registration_is_told_where_to_go() -> None:
    """Refused with the address of an agent, or of the catalog's own endpoint."""
    async with open_api() as api:
        with pytest.raises(NotFoundError, match="/v1/catalog/register"):
            await AgentEndpoints(api).refuse(make_call("PUT"))


async def test_rights() -> None:
    """Who may not read the agent learns nothing, not even a name in the list of members."""
    async with open_api() as api:
        agent = AgentEndpoints(api)
        for handler in (agent.self, agent.version, agent.nothing, agent.metrics, agent.refuse):
            with pytest.raises(PermissionDeniedError):
                await handler(powerless(make_call()))
        assert (await agent.members(powerless(make_call()))).body == b"[]"
