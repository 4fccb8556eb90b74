"""`/v1/catalog/*`, shape by shape, over a real socket."""

from typing import Any

import pytest

WEB = {
    "ID": "web-1",
    "Service": "web",
    "Tags": ["v1", "Primary"],
    "Port": 80,
    "Meta": {"team": "a"},
    "TaggedAddresses": {"wan": {"Address": "198.51.100.7", "Port": 8080}},
    "Weights": {"Passing": 3, "Warning": 1},
}
SIDECAR = {
    "Kind": "connect-proxy",
    "ID": "web-1-sidecar-proxy",
    "Service": "web-sidecar-proxy",
    "Port": 21000,
    "Proxy": {
        "DestinationServiceName": "web",
        "DestinationServiceID": "web-1",
        "LocalServicePort": 80,
        "Upstreams": [{"DestinationName": "db", "LocalBindPort": 9191}],
        "Config": {"protocol": "http"},
    },
}


async def test_a_registration_is_read_back_whole(site: Any) -> None:
    """Node, instance and check, in Consul's shape; what was not given is there, empty."""
    await site.register("n1", ID="40e4a748-2192-161a-0510-9bf59fe950b5", NodeMeta={"rack": "7"}, Service=WEB)
    (row,) = (await site.get("/v1/catalog/service/web")).json()
    index = row["ModifyIndex"]
    assert row == {
        "ID": "40e4a748-2192-161a-0510-9bf59fe950b5",
        "Node": "n1",
        "Address": "192.0.2.1",
        "Datacenter": "dc1",
        "TaggedAddresses": {},
        "NodeMeta": {"rack": "7"},
        "ServiceKind": "",
        "ServiceID": "web-1",
        "ServiceName": "web",
        "ServiceTags": ["v1", "Primary"],
        "ServiceAddress": "",
        "ServiceTaggedAddresses": {"wan": {"Address": "198.51.100.7", "Port": 8080}},
        "ServiceWeights": {"Passing": 3, "Warning": 1},
        "ServiceMeta": {"team": "a"},
        "ServicePort": 80,
        "ServiceSocketPath": "",
        "ServiceEnableTagOverride": False,
        "ServiceProxy": {"Mode": "", "MeshGateway": {}, "Expose": {}},
        "ServiceConnect": {},
        "CreateIndex": index,
        "ModifyIndex": index,
    }


async def test_nodes_and_node(site: Any) -> None:
    await site.register("n1", TaggedAddresses={"wan": "198.51.100.1"}, Service=WEB)
    answer = await site.get("/v1/catalog/nodes")
    (node,) = answer.json()
    assert {key: node[key] for key in ("ID", "Node", "Address", "Datacenter", "TaggedAddresses", "Meta")} == {
        "ID": "",
        "Node": "n1",
        "Address": "192.0.2.1",
        "Datacenter": "dc1",
        "TaggedAddresses": {"wan": "198.51.100.1"},
        "Meta": {},
    }
    shown = (await site.get("/v1/catalog/node/n1")).json()
    assert shown["Node"] == node
    assert shown["Services"]["web-1"]["Service"] == "web"
    listed = (await site.get("/v1/catalog/node-services/n1")).json()
    assert [service["ID"] for service in listed["Services"]] == ["web-1"]


async def test_an_unknown_node_is_null(site: Any) -> None:
    """200 with null, and an index to block on."""
    answer = await site.get("/v1/catalog/node/nobody")
    assert (answer.status_code, answer.json()) == (200, None)
    assert int(answer.headers["X-Consul-Index"]) >= 1
    assert (await site.get("/v1/catalog/node-services/nobody")).json() == {"Node": None, "Services": []}


async def test_services_map_names_to_all_tags(site: Any) -> None:
    await site.register("n1", Service=WEB)
    await site.register("n1", Service={"Service": "db"})
    await site.register("n2", Service={**WEB, "ID": "web-2", "Tags": ["v2"]})
    assert (await site.get("/v1/catalog/services")).json() == {"db": [], "web": ["Primary", "v1", "v2"]}


async def test_the_service_consul_stands_on_the_servers_own_node(guarded: Any) -> None:
    """Clients of Consul expect `consul` in the services and serfHealth on its node."""
    from catalog.server.assembly import own_registration

    await guarded.engine.submit(own_registration("server", "127.0.0.1", "dc1"))
    operator = guarded.as_operator()
    assert (await guarded.get("/v1/catalog/services", headers=operator)).json() == {"consul": []}
    (one,) = (await guarded.get("/v1/health/service/consul?passing", headers=operator)).json()
    assert (one["Service"]["Port"], one["Checks"][0]["CheckID"]) == (8300, "serfHealth")


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ("", ["web-1", "web-2", "web-3"]),
        ("tag=v1", ["web-1", "web-3"]),
        ("tag=V1&tag=primary", ["web-1"]),
        ("tag=none", []),
        ("node-meta=rack:7", ["web-1", "web-2"]),
        ("node-meta=rack:7&node-meta=zone:b", ["web-2"]),
        ("near=n3", ["web-3", "web-1", "web-2"]),
        ('filter=ServiceMeta.team == "a"', ["web-1"]),
        ('filter=ServiceTags contains "v1" and Node != "n1"', ["web-3"]),
    ],
)
async def test_instances_are_selected(site: Any, parameters: str, found: list[str]) -> None:
    """Tags match in any case and all must be there; node-meta must all hold; near is first; filters run here."""
    await site.register("n1", NodeMeta={"rack": "7"}, Service=WEB)
    await site.register("n2", NodeMeta={"rack": "7", "zone": "b"}, Service={"Service": "web", "ID": "web-2"})
    await site.register("n3", Service={"Service": "web", "ID": "web-3", "Tags": ["v1"]})
    rows = (await site.get(f"/v1/catalog/service/web?{parameters}")).json()
    assert [row["ServiceID"] for row in rows] == found


async def test_services_are_filtered_by_instance(site: Any) -> None:
    await site.register("n1", NodeMeta={"rack": "7"}, Service=WEB)
    await site.register("n2", Service={"Service": "web", "ID": "web-2", "Tags": ["v2"]})
    await site.register("n2", Service={"Service": "db"})
    assert (await site.get("/v1/catalog/services?node-meta=rack:7")).json() == {"web": ["Primary", "v1"]}
    assert (await site.get('/v1/catalog/services?filter=ServiceName == "db"')).json() == {"db": []}
    node = (await site.get('/v1/catalog/node/n2?filter=Service == "db"')).json()
    assert list(node["Services"]) == ["db"]
    assert [row["Node"] for row in (await site.get("/v1/catalog/nodes?filter=Meta.rack == 7")).json()] == ["n1"]


async def test_connect_lists_sidecars_and_native_instances(site: Any) -> None:
    await site.register("n1", Service=WEB)
    await site.register("n1", Service=SIDECAR)
    await site.register("n2", Service={"Service": "web", "ID": "native", "Connect": {"Native": True}})
    rows = (await site.get("/v1/catalog/connect/web")).json()
    assert [row["ServiceID"] for row in rows] == ["web-1-sidecar-proxy", "native"]
    proxy = rows[0]["ServiceProxy"]
    assert proxy["DestinationServiceName"] == "web"
    assert proxy["Upstreams"] == [{"DestinationName": "db", "LocalBindPort": 9191}]
    assert proxy["Config"] == {"protocol": "http"}
    assert rows[1]["ServiceConnect"] == {"Native": True}


async def test_deregistration(site: Any) -> None:
    """A check, an instance with its checks, a node with all: each gives true, also when it was not there."""
    check = {"CheckID": "c1", "Name": "alive", "Status": "passing", "ServiceID": "web-1"}
    await site.register("n1", Service=WEB, Check=check, Checks=[{"CheckID": "c2", "Name": "node"}])

    async def deregister(**fields: str) -> None:
        answer = await site.put("/v1/catalog/deregister", {"Node": "n1", **fields})
        assert (answer.status_code, answer.text) == (200, "true")

    async def checks() -> list[str]:
        return [check["CheckID"] for check in (await site.get("/v1/health/node/n1")).json()]

    assert await checks() == ["c1", "c2"]
    await deregister(CheckID="c2")
    assert await checks() == ["c1"]
    await deregister(ServiceID="web-1")
    assert await checks() == []
    assert (await site.get("/v1/catalog/services")).json() == {}
    await deregister()
    await deregister()
    assert (await site.get("/v1/catalog/nodes")).json() == []


async def test_an_identical_registration_leaves_the_index_alone(site: Any) -> None:
    """Measured: idempotent registrations wake nobody."""
    await site.register("n1", Service=WEB)
    before = await site.index_of("/v1/catalog/service/web")
    await site.register("n1", Service=WEB)
    assert await site.index_of("/v1/catalog/service/web") == before


async def test_skip_node_update_leaves_the_node(site: Any) -> None:
    await site.register("n1", NodeMeta={"rack": "7"})
    answer = await site.put("/v1/catalog/register", {"Node": "n1", "SkipNodeUpdate": True, "Service": WEB})
    assert answer.text == "true"
    (node,) = (await site.get("/v1/catalog/nodes")).json()
    assert (node["Address"], node["Meta"]) == ("192.0.2.1", {"rack": "7"})


async def test_what_python_consul2_sends_is_understood(site: Any) -> None:
    """Lower-case keys, its own spelling of SkipNodeUpdate."""
    body = {"node": "n1", "address": "192.0.2.1", "service": {"service": "web", "id": "w", "tags": None}}
    assert (await site.put("/v1/catalog/register", body)).text == "true"
    update = {"node": "n1", "address": "", "skipnodeupdate": True, "check": {"name": "c", "status": "passing"}}
    assert (await site.put("/v1/catalog/register", update)).text == "true"
    assert (await site.put("/v1/catalog/deregister", {"node": "n1", "serviceid": "w"})).text == "true"


async def test_datacenters(site: Any) -> None:
    assert (await site.get("/v1/catalog/datacenters")).json() == ["dc1"]
