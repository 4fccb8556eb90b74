"""Operator, coordinate, event, peering and agent reads over a real socket (reference: class O, events of the documentation)."""

from typing import Any

import pytest
import trio

COORD = {"Adjustment": 0, "Error": 1.5, "Height": 0, "Vec": [0] * 8}


async def test_raft_names_the_one_server(site: Any) -> None:
    """It leads and votes; its address is the leader's."""
    await site.register("server", Service={"Service": "consul", "Port": 8300})
    answer = (await site.get("/v1/operator/raft/configuration")).json()
    (server,) = answer["Servers"]
    assert (server["Leader"], server["Voter"], server["Node"]) == (True, True, "server")
    assert server["Address"] == (await site.get("/v1/status/leader")).json()
    assert answer["Index"] == 0


async def test_autopilot_is_healthy_and_keeps_its_settings(site: Any) -> None:
    """With compare-and-set, as Consul's."""
    health = (await site.get("/v1/operator/autopilot/health")).json()
    assert (health["Healthy"], len(health["Servers"])) == (True, 1)
    state = (await site.get("/v1/operator/autopilot/state")).json()
    assert state["Leader"] in state["Servers"]
    path = "/v1/operator/autopilot/configuration"
    assert (await site.put(f"{path}?cas=1000", {"CleanupDeadServers": False})).text == "false"
    assert (await site.put(path, {"CleanupDeadServers": False})).text == "true"
    assert (await site.get(path)).json()["CleanupDeadServers"] is False


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("DELETE", "/v1/operator/raft/peer", 400, "Must specify either"),
        ("DELETE", "/v1/operator/raft/peer?address=10.0.0.1:8300", 500, "was not found in the Raft configuration"),
        ("POST", "/v1/operator/raft/transfer-leader", 500, "cannot find peer"),
        ("GET", "/v1/operator/keyring", 500, "keyring is empty"),
        ("PUT", "/v1/operator/keyring", 500, "keyring is empty"),
        ("POST", "/v1/operator/keyring", 500, "keyring is empty"),
        ("DELETE", "/v1/operator/keyring", 500, "keyring is empty"),
        ("GET", "/v1/operator/utilization", 404, "licence"),
        ("POST", "/v1/peering/token", 404, "no cluster peering"),
        ("POST", "/v1/peering/establish", 404, "no cluster peering"),
        ("GET", "/v1/peering/east", 404, "Peering not found"),
        ("DELETE", "/v1/peering/east", 404, "no cluster peering"),
        ("PUT", "/v1/acl/create", 410, "removed in Consul 1.11"),
        ("GET", "/v1/acl/list", 410, "removed in Consul 1.11"),
        ("GET", "/v1/internal/ui/services", 404, "not offered"),
        ("PUT", "/v1/agent/service/register", 404, "/v1/catalog/register"),
        ("PUT", "/v1/event/fire/x?node=%28", 400, "Invalid node filter"),
        ("PUT", "/v1/coordinate/update", 400, "body is empty"),
    ],
)
async def test_what_is_not_here_is_refused_in_words(site: Any, method: str, path: str, status: int, text: str) -> None:
    """As text, with the status that clients know."""
    answer = await site.request(method, path)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text
    assert answer.headers["Content-Type"].startswith("text/plain")


async def test_lists_of_peers_are_empty(site: Any) -> None:
    """Peerings and imports, and what is asked of a peer that is not there; elsewhere one may not be asked for."""
    await site.register("n1", Service={"Service": "web"})
    for path in (
        "/v1/peerings",
        "/v1/imported-services",
        "/v1/catalog/service/web?peer=east",
        "/v1/catalog/nodes?peer=east",
        "/v1/health/service/web?peer=east",
        "/v1/health/state/any?peer=east",
    ):
        answer = await site.get(path)
        assert (answer.status_code, answer.json()) == (200, []), path
        assert int(answer.headers["X-Consul-Index"]) >= 1
    assert (await site.get("/v1/catalog/services?peer=east")).json() == {}
    assert (await site.get("/v1/catalog/node/n1?peer=east")).status_code == 400


async def test_an_event_wakes_its_watcher_by_its_own_index(site: Any) -> None:
    """The index is the ID's, not the catalog's: it may be lower than the one before."""
    fired = (await site.put("/v1/event/fire/deploy", b"go")).json()
    first = await site.get("/v1/event/list?name=deploy")
    index = int(first.headers["X-Consul-Index"])
    number = int(fired["ID"].replace("-", ""), 16)
    assert index == (number >> 64) ^ (number & (2**64 - 1))
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            woken: list[Any] = []

            async def watch() -> None:
                woken.append(await site.get(f"/v1/event/list?name=deploy&index={index}&wait=10s"))

            nursery.start_soon(watch)
            await trio.sleep(0.05)
            await site.put("/v1/event/fire/other", b"")
            await trio.sleep(0.05)
            assert woken == []
            await site.put("/v1/event/fire/deploy", b"again")
    assert [event["Payload"] for event in woken[0].json()] == ["Z28=", "YWdhaW4="]


async def test_coordinates_block_on_their_own(site: Any) -> None:
    """They are read with an index, like other tables."""
    await site.register("n1")
    before = await site.index_of("/v1/coordinate/nodes")
    assert (await site.put("/v1/coordinate/update", {"Node": "n1", "Coord": COORD})).status_code == 200
    answer = await site.get(f"/v1/coordinate/node/n1?index={before}&wait=5s")
    assert answer.json() == [{"Node": "n1", "Segment": "", "Coord": {**COORD, "Vec": [0.0] * 8}}]
    assert (await site.get("/v1/coordinate/node/nobody")).status_code == 404


async def test_usage_counts(site: Any) -> None:
    """By datacenter, of which there is one."""
    await site.register("n1", Service={"Service": "web"})
    usage = (await site.get("/v1/operator/usage")).json()
    assert (usage["Usage"]["dc1"]["Nodes"], usage["Usage"]["dc1"]["ServiceInstances"]) == (1, 1)
    assert usage["KnownLeader"] is True


async def test_the_node_that_asks_is_called_agent(site: Any) -> None:
    """`near=_agent`: of a catalog its own node; of a host's agent the one in its certificate."""
    for name in ("a", "server", "z"):
        await site.register(name)
    near = (await site.get("/v1/catalog/nodes?near=_agent")).json()
    assert [node["Node"] for node in near] == ["server", "a", "z"]


async def test_what_prometheus_asks_first(site: Any) -> None:
    """A catalog without an agent names its datacenter."""
    config = (await site.get("/v1/agent/self")).json()["Config"]
    assert (config["Datacenter"], config["Server"]) == ("dc1", True)
    assert (await site.get("/")).status_code == 200
    text = (await site.get("/v1/agent/metrics?format=prometheus")).text
    assert "# TYPE linkspan_catalog_nodes gauge" in text


async def test_a_snapshot_goes_and_comes(site: Any) -> None:
    """Over HTTP: what was after it is gone, what was before is back, and indexes go on."""
    await site.register("n1", Service={"Service": "web"})
    saved = await site.get("/v1/snapshot")
    assert saved.content[:2] == b"\x1f\x8b"
    await site.register("n2")
    index = await site.index_of("/v1/catalog/nodes")
    assert (await site.put("/v1/snapshot", saved.content)).status_code == 200
    after = await site.get(f"/v1/catalog/nodes?index={index}&wait=5s")
    assert [node["Node"] for node in after.json()] == ["n1"]
    assert int(after.headers["X-Consul-Index"]) > index
    assert (await site.put("/v1/snapshot", b"junk")).status_code == 400


async def test_who_may_not_restore_may_not_send_much(guarded: Any) -> None:
    """A body beyond the usual bound is read only from somebody who manages tokens."""
    large = b"x" * (600 * 1024)
    refused = await guarded.put("/v1/snapshot", large)
    assert refused.status_code == 413
    read = await guarded.put("/v1/snapshot", large, headers=guarded.as_operator())
    assert (read.status_code, "not gzip" in read.text) == (400, True)


GUARDED = (
    ("GET", "/v1/operator/raft/configuration"),
    ("DELETE", "/v1/operator/raft/peer?id=x"),
    ("POST", "/v1/operator/raft/transfer-leader"),
    ("GET", "/v1/operator/autopilot/configuration"),
    ("PUT", "/v1/operator/autopilot/configuration"),
    ("GET", "/v1/operator/autopilot/health"),
    ("GET", "/v1/operator/autopilot/state"),
    ("GET", "/v1/operator/keyring"),
    ("PUT", "/v1/operator/keyring"),
    ("GET", "/v1/operator/usage"),
    ("GET", "/v1/operator/utilization"),
    ("PUT", "/v1/event/fire/x"),
    ("GET", "/v1/peerings"),
    ("POST", "/v1/peering/token"),
    ("GET", "/v1/snapshot"),
    ("PUT", "/v1/snapshot"),
    ("GET", "/v1/connect/ca/configuration"),
    ("PUT", "/v1/connect/ca/configuration"),
    ("GET", "/v1/agent/metrics"),
    ("PUT", "/v1/agent/service/register"),
)


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_without_a_token_none_of_it(guarded: Any, method: str, path: str) -> None:
    """403 before anything else is looked at; with the operator's token it is answered."""
    answer = await guarded.request(method, path)
    assert (answer.status_code, "Permission denied" in answer.text) == (403, True), answer.text
    allowed = await guarded.request(method, path, headers=guarded.as_operator())
    assert allowed.status_code != 403
