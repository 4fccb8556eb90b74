"""`/v1/agent/self` and its siblings."""

from collections.abc import Callable
from typing import Any

import httpx2
import trio

from agents.vm.api.app import agent_app
from agents.vm.api.call import Endpoint
from agents.vm.api.forward import Passed
from agents.vm.api.host import Host
from agents.vm.api.rights import REFUSING

MakeHost = Callable[..., Host]
ClientOf = Callable[[Any], httpx2.AsyncClient]


async def test_self_has_consuls_keys_and_members_is_self(make_host: MakeHost, client_of: ClientOf) -> None:
    """Clients read exactly these keys."""
    async with client_of(agent_app(make_host(), Endpoint())) as client:
        found = (await client.get("/v1/agent/self")).json()
        members = (await client.get("/v1/agent/members")).json()
        front = await client.get("/")
        version = (await client.get("/v1/agent/version")).json()
    assert sorted(found) == ["Config", "Coord", "DebugConfig", "Member", "Meta", "Stats", "xDS"]
    assert (found["Config"]["NodeName"], found["Config"]["Datacenter"]) == ("vm1", "dc1")
    assert found["Meta"] == {"linkspan-network": "vm-paris"}
    assert members == [found["Member"]]
    assert all(isinstance(value, str) for part in found["Stats"].values() for value in part.values())
    assert found["Stats"]["consul"]["leader_addr"] == "", "the catalog is away"
    assert (front.status_code, "no UI" in front.text) == (200, True)
    assert version["HumanVersion"] == found["Config"]["Version"]


async def test_the_leader_is_the_catalogs(make_host: MakeHost, client_of: ClientOf) -> None:
    """Clients compare it with `/v1/status/leader`; an odd answer is none."""
    for body, leader in ((b'"10.0.0.9:8300"', "10.0.0.9:8300"), (b"{", "")):

        async def upstream(method: str, target: str, headers: Any, body: bytes, *, answer: bytes = body) -> Passed:
            await trio.lowlevel.checkpoint()
            assert (method, target) == ("GET", "/v1/status/leader")
            return Passed(200, (), answer)

        async with client_of(agent_app(make_host(upstream=upstream), Endpoint())) as client:
            found = (await client.get("/v1/agent/self")).json()
        assert found["Stats"]["consul"]["leader_addr"] == leader


async def test_the_hosts_verbs_take_rights(make_host: MakeHost, client_of: ClientOf) -> None:
    """With access rules and none of them, nothing is shown or done."""
    host = make_host(rights=REFUSING)
    async with client_of(agent_app(host, Endpoint())) as client:
        for method, path in (
            ("GET", "self"), ("PUT", "reload"), ("PUT", "leave"), ("PUT", "maintenance?enable=true"),
        ):  # fmt: skip
            assert (await client.request(method, f"/v1/agent/{path}")).status_code == 403
    assert not host.state.checks


async def test_maintenance_reload_and_leave(make_host: MakeHost, client_of: ClientOf) -> None:
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
        await client.put("/v1/agent/maintenance?enable=false")
        for verb in ("reload", "leave"):
            assert (await client.put(f"/v1/agent/{verb}")).status_code == 200
    assert not host.state.checks
    assert done == ["reload", "leave"]
