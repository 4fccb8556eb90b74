"""`/v1/health/*`, shape by shape, over a real socket."""

from typing import Any

import pytest


async def check(site: Any, node: str, check_id: str, status: str, service_id: str = "") -> None:
    fields = {"CheckID": check_id, "Name": check_id, "Status": status, "ServiceID": service_id}
    await site.register(node, Check=fields)


@pytest.fixture
async def web(site: Any) -> Any:
    """Three instances: web-1 passes, web-2 warns, web-3's node is critical."""
    for number, status in ((1, "passing"), (2, "warning"), (3, "passing")):
        await site.register(f"n{number}", Service={"Service": "web", "ID": f"web-{number}", "Port": 80})
        await check(site, f"n{number}", f"c{number}", status, f"web-{number}")
    await check(site, "n3", "disk", "critical")
    return site


async def test_an_instance_comes_with_node_and_checks(web: Any) -> None:
    """The node's own checks are among them."""
    rows = (await web.get("/v1/health/service/web")).json()
    assert [row["Service"]["ID"] for row in rows] == ["web-1", "web-2", "web-3"]
    assert [entry["CheckID"] for entry in rows[2]["Checks"]] == ["disk", "c3"]
    first = rows[0]
    assert set(first) == {"Node", "Service", "Checks"}
    assert first["Node"]["Node"] == "n1"
    service = first["Service"]
    assert service == {
        "ID": "web-1",
        "Service": "web",
        "Tags": [],
        "Address": "",
        "Meta": {},
        "Port": 80,
        "Weights": {"Passing": 1, "Warning": 1},
        "EnableTagOverride": False,
        "Proxy": {"Mode": "", "MeshGateway": {}, "Expose": {}},
        "Connect": {},
        "CreateIndex": service["CreateIndex"],
        "ModifyIndex": service["ModifyIndex"],
    }
    (shown,) = first["Checks"]
    assert {key: value for key, value in shown.items() if "Index" not in key} == {
        "Node": "n1",
        "CheckID": "c1",
        "Name": "c1",
        "Status": "passing",
        "Notes": "",
        "Output": "",
        "ServiceID": "web-1",
        "ServiceName": "web",
        "ServiceTags": [],
        "Type": "",
        "Interval": "",
        "Timeout": "",
        "ExposedPort": 0,
        "Definition": {},
    }


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ("passing", ["web-1"]),
        ("passing=1", ["web-1"]),
        ("passing=false", ["web-1", "web-2", "web-3"]),
        ('filter=Checks.Status == "x"', []),
        ('filter=Checks.Status == "warning"', ["web-2"]),
        ('filter=Service.Nope == "x"', None),
        ('filter=Service.ID == "web-2"', ["web-2"]),
        ('filter="n3" in Node.Node or Service.ID matches "1$"', ["web-1", "web-3"]),
        ("near=n2", ["web-2", "web-1", "web-3"]),
    ],
)
async def test_instances_are_selected(web: Any, parameters: str, found: list[str] | None) -> None:
    answer = await web.get(f"/v1/health/service/web?{parameters}")
    if found is None:
        assert answer.status_code == 500
        return
    assert [row["Service"]["ID"] for row in answer.json()] == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("checks/web", ["c1", "c2", "c3"]),
        ("checks/nothing", []),
        ("node/n3", ["c3", "disk"]),
        ("node/nobody", []),
        ("state/any", ["c1", "c2", "c3", "disk"]),
        ("state/passing", ["c1", "c3"]),
        ("state/warning", ["c2"]),
        ("state/critical", ["disk"]),
        ("state/any?filter=ServiceName == web", ["c1", "c2", "c3"]),
        ("state/any?near=n2", ["c2", "c1", "c3", "disk"]),
    ],
)
async def test_checks_by_service_node_and_state(web: Any, path: str, found: list[str]) -> None:
    assert [entry["CheckID"] for entry in (await web.get(f"/v1/health/{path}")).json()] == found


async def test_an_unknown_state_is_400(site: Any) -> None:
    answer = await site.get("/v1/health/state/fine")
    assert (answer.status_code, "use any, passing, warning or critical" in answer.text) == (400, True)


async def test_an_unset_status_is_critical(site: Any) -> None:
    await site.register("n1", Check={"Name": "c"})
    (entry,) = (await site.get("/v1/health/node/n1")).json()
    assert (entry["CheckID"], entry["Status"]) == ("c", "critical")


async def test_a_missing_service_is_an_empty_list(site: Any) -> None:
    answer = await site.get("/v1/health/service/nothing")
    assert (answer.status_code, answer.json()) == (200, [])
    assert int(answer.headers["X-Consul-Index"]) >= 1


async def test_connect_shows_the_sidecar_with_its_checks(web: Any) -> None:
    proxy = {"DestinationServiceName": "web", "DestinationServiceID": "web-1"}
    service = {"Kind": "connect-proxy", "Service": "web-sidecar-proxy", "Port": 21000, "Proxy": proxy}
    await web.register("n1", Service=service)
    (row,) = (await web.get("/v1/health/connect/web")).json()
    assert (row["Service"]["Kind"], row["Service"]["Proxy"]["DestinationServiceID"]) == ("connect-proxy", "web-1")


async def test_checks_keep_their_definition_and_output(site: Any) -> None:
    entry = {
        "Name": "c",
        "Status": "warning",
        "Output": "slow",
        "Notes": "note",
        "Type": "http",
        "Interval": "10s",
        "Definition": {"HTTP": "http://x/", "Interval": "10s"},
    }
    await site.register("n1", Check=entry)
    (shown,) = (await site.get("/v1/health/node/n1")).json()
    assert {key: shown[key] for key in entry} == entry
