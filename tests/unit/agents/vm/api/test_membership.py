"""Members: this agent, and the catalog's nodes that have one."""

from collections.abc import Callable
from typing import Any

import httpx2
import msgspec
import pytest
import trio

from agents.vm.api.app import agent_app
from agents.vm.api.call import Endpoint
from agents.vm.api.forward import Headers, Passed
from agents.vm.api.host import Host
from agents.vm.api.rights import REFUSING, InProcess

MakeHost = Callable[..., Host]
ClientOf = Callable[[Any], httpx2.AsyncClient]


class Catalog:
    """Three nodes: this one, a dead one, and one that has no agent."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.changed: list[Any] = []

    async def __call__(self, method: str, target: str, headers: Headers, body: bytes) -> Passed:
        await trio.lowlevel.checkpoint()
        path = target.partition("?")[0]
        if path == "/v1/catalog/deregister":
            self.changed.append((headers, msgspec.json.decode(body)))
            return Passed(self.status, (), b"true")
        rows: dict[str, Any] = {
            "/v1/catalog/nodes": [
                {"Node": "vm1", "Address": "10.0.0.1"},
                {"Node": "vm2", "Address": "10.0.0.2", "ID": "i2"},
                {"Node": "external", "Address": "10.0.0.3"},
            ],
            "/v1/health/state/any": [
                {"Node": "vm1", "CheckID": "serfHealth", "Status": "passing"},
                {"Node": "vm2", "CheckID": "serfHealth", "Status": "critical"},
                {"Node": "external", "CheckID": "disk", "Status": "passing"},
            ],
        }
        return Passed(self.status, (), msgspec.json.encode(rows.get(path, "")))


async def test_members_are_the_catalogs_nodes_with_an_agent(make_host: MakeHost, client_of: ClientOf) -> None:
    """This one first, alive; a dead one has failed."""
    async with client_of(agent_app(make_host(upstream=Catalog()), Endpoint())) as client:
        found = (await client.get("/v1/agent/members")).json()
        own = (await client.get("/v1/agent/self")).json()["Member"]
    assert [(one["Name"], one["Addr"], one["Status"]) for one in found] == [
        ("vm1", "10.0.0.1", 1),
        ("vm2", "10.0.0.2", 4),
    ]
    assert found[0] == own


@pytest.mark.parametrize("upstream", [None, Catalog(500)])
async def test_without_a_catalog_it_knows_itself(upstream: Any, make_host: MakeHost, client_of: ClientOf) -> None:
    """Nothing is invented."""
    async with client_of(agent_app(make_host(upstream=upstream), Endpoint())) as client:
        assert [one["Name"] for one in (await client.get("/v1/agent/members")).json()] == ["vm1"]


async def test_the_wide_area_has_servers_only(make_host: MakeHost, client_of: ClientOf) -> None:
    """By name and datacenter."""
    for is_server, names in ((True, ["vm1.dc1"]), (False, [])):
        async with client_of(agent_app(make_host(is_server=is_server), Endpoint())) as client:
            assert [one["Name"] for one in (await client.get("/v1/agent/members?wan=1")).json()] == names


async def test_members_are_filtered_by_right(make_host: MakeHost, client_of: ClientOf) -> None:
    """node:read, each by itself."""

    class Judge:
        def __init__(self, token: str) -> None:
            self._token = token

        def allows(self, resource: str, name: str, access: str) -> bool:
            return (resource, name, access) == ("node", "vm2", "read")

    host = make_host(upstream=Catalog(), rights=InProcess(Judge))
    async with client_of(agent_app(host, Endpoint())) as client:
        assert [one["Name"] for one in (await client.get("/v1/agent/members")).json()] == ["vm2"]


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost:8301", "10.0.0.1", "10.0.0.2:8301", "[::1]:8301", "vm1"])
async def test_joining_a_member_changes_nothing(address: str, make_host: MakeHost, client_of: ClientOf) -> None:
    """Scripts that join at each start go on."""
    async with client_of(agent_app(make_host(upstream=Catalog()), Endpoint())) as client:
        assert (await client.put(f"/v1/agent/join/{address}")).status_code == 200


async def test_joining_a_stranger_says_how_hosts_join(make_host: MakeHost, client_of: ClientOf) -> None:
    """There is no gossip."""
    async with client_of(agent_app(make_host(upstream=Catalog()), Endpoint())) as client:
        answer = await client.put("/v1/agent/join/192.0.2.9")
    assert (answer.status_code, "linkspan join" in answer.text) == (500, True)


async def test_force_leave(make_host: MakeHost, client_of: ClientOf) -> None:
    """A dead node goes, by the caller's token; a living one stays; an unknown one is an error."""
    catalog = Catalog()
    async with client_of(agent_app(make_host(upstream=catalog), Endpoint())) as client:
        client.headers["X-Consul-Token"] = "t"
        assert (await client.put("/v1/agent/force-leave/vm1")).status_code == 200
        assert (await client.put("/v1/agent/force-leave/vm2", headers={"X-Consul-Token": ""})).status_code == 403
        assert catalog.changed == []
        assert (await client.put("/v1/agent/force-leave/vm2.dc1?wan=1&prune=1")).status_code == 200
        unknown = await client.put("/v1/agent/force-leave/nope?prune=1")
        assert (unknown.status_code, unknown.text) == (500, "agent: No node found with name 'nope'")
    assert catalog.changed == [((("x-consul-token", "t"),), {"Datacenter": "dc1", "Node": "vm2"})]


async def test_both_take_rights(make_host: MakeHost, client_of: ClientOf) -> None:
    """agent:write and operator:write."""
    async with client_of(agent_app(make_host(rights=REFUSING, upstream=Catalog()), Endpoint())) as client:
        for path in ("join/127.0.0.1", "force-leave/vm2"):
            assert (await client.put(f"/v1/agent/{path}")).status_code == 403
