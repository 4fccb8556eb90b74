"""`/v1/agent/self` and its siblings."""

from collections.abc import Callable
from typing import Any

import httpx2

from agents.vm.api.app import agent_app
from agents.vm.api.call import Endpoint
from agents.vm.api.host import Host

MakeHost = Callable[..., Host]
ClientOf = Callable[[Any], httpx2.AsyncClient]


async def test_self_has_consuls_keys_and_members_is_self(make_host: MakeHost, client_of: ClientOf) -> None:
    """Clients read exactly these keys."""
    async with client_of(agent_app(make_host(), Endpoint())) as client:
        found = (await client.get("/v1/agent/self")).json()
        members = (await client.get("/v1/agent/members?wan=1")).json()
        version = (await client.get("/v1/agent/version")).json()
    assert sorted(found) == ["Config", "Coord", "DebugConfig", "Member", "Meta", "Stats", "xDS"]
    assert (found["Config"]["NodeName"], found["Config"]["Datacenter"]) == ("vm1", "dc1")
    assert found["Meta"] == {"linkspan-network": "vm-paris"}
    assert members == [found["Member"]]
    assert version["HumanVersion"] == found["Config"]["Version"]


async def test_maintenance_reload_leave_and_metrics(make_host: MakeHost, client_of: ClientOf) -> None:
    """The host's own verbs."""
    done: list[str] = []

    async def reload() -> None:
        done.append("reload")

    async def leave() -> None:
        done.append("leave")

    host = make_host(reload=reload, leave=leave)
    async with client_of(agent_app(host, Endpoint())) as client:
        await client.put("/v1/agent/maintenance?enable=true&reason=why")
        assert host.state.checks["_node_maintenance"].definition.notes == "why"
        text = (await client.get("/v1/agent/metrics?format=prometheus")).text
        assert "linkspan_agent_checks_critical 1\n" in text
        assert (await client.get("/v1/agent/metrics")).json()["Gauges"][0]["Value"] == 0
        await client.put("/v1/agent/maintenance?enable=false")
        for verb in ("reload", "leave"):
            assert (await client.put(f"/v1/agent/{verb}")).status_code == 200
    assert not host.state.checks
    assert done == ["reload", "leave"]
