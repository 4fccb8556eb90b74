"""`/v1/query*`, over a real socket."""

from typing import Any

import pytest

NODES = ("n1", "n2", "n3")


async def create(site: Any, **fields: Any) -> str:
    answer = await site.request("POST", "/v1/query", fields)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["ID"])


async def run(site: Any, name: str, parameters: str = "") -> list[str]:
    answer = await site.get(f"/v1/query/{name}/execute{parameters}")
    assert answer.status_code == 200, answer.text
    return [row["Service"]["ID"] for row in answer.json()["Nodes"]]


@pytest.fixture
async def web(site: Any) -> Any:
    """web-1 passes with the tag v1, web-2 warns with v2, web-3 is critical."""
    for number, status in ((1, "passing"), (2, "warning"), (3, "critical")):
        await site.register(
            f"n{number}",
            NodeMeta={"rack": str(number)},
            Service={"Service": "web", "ID": f"web-{number}", "Tags": [f"v{number}"], "Meta": {"env": f"e{number}"}},
        )
        check = {"CheckID": f"c{number}", "Name": "c", "Status": status, "ServiceID": f"web-{number}"}
        await site.register(f"n{number}", NodeMeta={"rack": str(number)}, Check=check)
    return site


async def test_a_query_is_written_read_listed_replaced_and_deleted(site: Any) -> None:
    """In Consul's shape; what was not given prints empty."""
    assert (await site.get("/v1/query")).json() == []
    query_id = await create(site, Name="my-query", Service={"Service": "web", "Tags": ["a", "!b"]}, DNS={"TTL": "10s"})
    (shown,) = (await site.get(f"/v1/query/{query_id}")).json()
    assert shown == {
        "ID": query_id,
        "Name": "my-query",
        "Session": "",
        "Token": "",
        "Template": {"Type": "", "Regexp": "", "RemoveEmptyTags": False},
        "Service": {
            "Service": "web",
            "SamenessGroup": "",
            "Failover": {"NearestN": 0, "Datacenters": [], "Targets": []},
            "OnlyPassing": False,
            "IgnoreCheckIDs": [],
            "Near": "",
            "Tags": ["a", "!b"],
            "NodeMeta": {},
            "ServiceMeta": {},
            "Connect": False,
            "Peer": "",
        },
        "DNS": {"TTL": "10s"},
        "CreateIndex": shown["CreateIndex"],
        "ModifyIndex": shown["ModifyIndex"],
    }
    assert (await site.get("/v1/query")).json() == [shown]
    answer = await site.put(f"/v1/query/{query_id}", {"Name": "other", "Service": {"Service": "api"}})
    assert (answer.status_code, answer.text) == (200, "")
    (shown,) = (await site.get(f"/v1/query/{query_id}")).json()
    assert (shown["Name"], shown["Service"]["Service"]) == ("other", "api")
    answer = await site.request("DELETE", f"/v1/query/{query_id}")
    assert (answer.status_code, answer.text) == (200, "")
    answer = await site.get(f"/v1/query/{query_id}")
    assert (answer.status_code, answer.text) == (404, "Query not found")
    assert int(answer.headers["X-Consul-Index"]) >= 1


async def test_what_a_query_finds(web: Any) -> None:
    """Never what is critical, with OnlyPassing no warnings; tags, also forbidden ones; meta; ignored checks."""
    for name, service in (
        ("all", {}),
        ("passing", {"OnlyPassing": True}),
        ("v2", {"Tags": ["V2"]}),
        ("not-v2", {"Tags": ["!v2"]}),
        ("rack", {"NodeMeta": {"rack": "2"}}),
        ("env", {"ServiceMeta": {"env": "e1"}}),
        ("ignoring", {"IgnoreCheckIDs": ["c3"]}),
        ("connect", {"Connect": True}),
    ):
        await create(web, Name=name, Service={"Service": "web", **service})
    found = {name: sorted(await run(web, name)) for name in ("all", "passing", "v2", "not-v2", "rack", "env")}
    assert found == {
        "all": ["web-1", "web-2"],
        "passing": ["web-1"],
        "v2": ["web-2"],
        "not-v2": ["web-1"],
        "rack": ["web-2"],
        "env": ["web-1"],
    }
    assert sorted(await run(web, "ignoring")) == ["web-1", "web-2", "web-3"]
    assert await run(web, "connect") == []


async def test_the_answer_of_a_query(web: Any) -> None:
    """Service, nodes as in health, DNS, datacenter, fail-overs; by id or name."""
    query_id = await create(web, Name="one", Service={"Service": "web", "OnlyPassing": True}, DNS={"TTL": "7s"})
    for name in (query_id, "one", "ONE"):
        answer = (await web.get(f"/v1/query/{name}/execute")).json()
        (row,) = answer.pop("Nodes")
        assert answer == {"Service": "web", "DNS": {"TTL": "7s"}, "Datacenter": "dc1", "Failovers": 0}
        assert set(row) == {"Node", "Service", "Checks"}


async def test_order_and_limit(web: Any) -> None:
    """The nearest first, whether the query or the caller says so; then as many as are asked for."""
    await create(web, Name="near", Service={"Service": "web", "Near": "n2"})
    for _ in range(10):
        assert (await run(web, "near"))[0] == "web-2"
        assert (await run(web, "near", "?near=n1"))[0] == "web-1"
    assert await run(web, "near", "?limit=1") == ["web-2"]
    firsts = set()
    await create(web, Name="any", Service={"Service": "web"})
    for _ in range(60):
        firsts.add((await run(web, "any"))[0])
    assert firsts == {"web-1", "web-2"}


async def test_failover_to_a_datacenter_that_nobody_knows_finds_nothing(web: Any) -> None:
    for name, failover in (
        ("dcs", {"Datacenters": ["dc9"], "NearestN": 2}),
        ("targets", {"Targets": [{"Datacenter": "dc9"}, {"Peer": "east"}]}),
    ):
        await create(web, Name=name, Service={"Service": "db", "Failover": failover})
        answer = (await web.get(f"/v1/query/{name}/execute")).json()
        assert (answer["Nodes"], answer["Datacenter"], answer["Failovers"]) == ([], "dc1", 0)


async def test_templates(web: Any) -> None:
    """The longest prefix is taken, holes are filled, groups too; explain shows what comes of it."""
    await create(
        web,
        Name="geo-",
        Template={"Type": "name_prefix_match", "Regexp": "^geo-(.*?)-([^\\-]+?)$", "RemoveEmptyTags": True},
        Service={"Service": "${match(1)}", "Tags": ["${match(2)}", "${match(9)}"]},
    )
    await create(web, Name="", Template={"Type": "name_prefix_match"}, Service={"Service": "${name.full}"})
    assert await run(web, "geo-web-v1") == ["web-1"]
    assert sorted(await run(web, "web")) == ["web-1", "web-2"]
    explained = (await web.get("/v1/query/geo-web-v1/explain")).json()["Query"]
    assert (explained["Service"]["Service"], explained["Service"]["Tags"]) == ("web", ["v1"])
    await create(web, Name="geo-web-v1", Service={"Service": "none"})
    assert await run(web, "geo-web-v1") == []  # a query of that very name wins


async def test_a_query_lives_as_long_as_its_session(web: Any) -> None:
    """From the session's end on it is not found, and its name is free."""
    assert (
        await web.request("POST", "/v1/query", {"Session": "nope", "Service": {"Service": "web"}})
    ).status_code == 500
    session = (await web.put("/v1/session/create", {"Node": "n1", "Checks": []})).json()["ID"]
    query_id = await create(web, Name="bound", Session=session, Service={"Service": "web"})
    assert sorted(await run(web, "bound")) == ["web-1", "web-2"]
    await web.put(f"/v1/session/destroy/{session}")
    assert (await web.get("/v1/query/bound/execute")).status_code == 404
    assert (await web.get(f"/v1/query/{query_id}")).status_code == 404
    assert (await web.get("/v1/query")).json() == []
    await create(web, Name="bound", Service={"Service": "web"})
    assert len((await web.get("/v1/query")).json()) == 1


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"Service": {"Service": "web"}}, 500, "Must be bound to a session"),
        ({"Name": "x"}, 500, "Must provide a Service name"),
        ({"Name": "taken", "Service": {"Service": "web"}}, 500, "aliases an existing query name"),
        ({"ID": "x", "Name": "x", "Service": {"Service": "web"}}, 500, "ID must be empty"),
        ({"Name": "x", "Service": {"Service": "web", "Failover": {"NearestN": -1}}}, 500, "Bad NearestN"),
        ({"Name": "x", "Service": {"Service": "web"}, "DNS": {"TTL": "ten"}}, 500, "Bad DNS TTL"),
        ({"Name": "x", "Service": {"Service": "web"}, "DNS": {"TTL": "-1s"}}, 500, "must be >=0"),
        ({"Name": "x", "Service": {"Service": "web"}, "Template": {"Type": "like"}}, 500, "Bad Template.Type"),
        (
            {"Name": "x", "Service": {"Service": "web"}, "Template": {"Type": "name_prefix_match", "Regexp": "("}},
            500,
            "Bad Regexp",
        ),
        ({"Name": "x", "Service": {"Service": "${nam}"}, "Template": {"Type": "name_prefix_match"}}, 500, "Bad format"),
        ({"Name": "x", "Service": {"Service": "web"}, "Extra": 1}, 400, "Extra"),
        ({"Name": "x", "Service": {"Service": 5}}, 400, "Service"),
        (b"{", 400, "decode failed"),
    ],
)
async def test_bad_queries(site: Any, body: Any, status: int, text: str) -> None:
    """What cannot be read is 400, what breaks a rule 500."""
    await create(site, Name="taken", Service={"Service": "web"})
    answer = await site.request("POST", "/v1/query", body)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/query/nope", 404),
        ("GET", "/v1/query/nope/execute", 404),
        ("GET", "/v1/query/nope/explain", 404),
        ("DELETE", "/v1/query/nope", 500),
        ("PUT", "/v1/query", 405),
        ("GET", "/v1/query/taken/execute?limit=x", 400),
        ("GET", "/v1/query?dc=dc2", 500),
    ],
)
async def test_statuses(site: Any, method: str, path: str, status: int) -> None:
    await create(site, Name="taken", Service={"Service": "web"})
    assert (await site.request(method, path)).status_code == status


async def test_rights(guarded: Any) -> None:
    """Without a right nothing is written, listed or found."""
    body = {"Name": "web", "Service": {"Service": "web"}}
    assert (await guarded.request("POST", "/v1/query", body)).status_code == 403
    answer = await guarded.request("POST", "/v1/query", body, headers=guarded.as_operator())
    query_id = answer.json()["ID"]
    assert (await guarded.get("/v1/query")).json() == []
    for path in (f"/v1/query/{query_id}", "/v1/query/web/explain"):
        assert (await guarded.get(path)).status_code == 403
        assert (await guarded.get(path, headers=guarded.as_operator())).status_code == 200
    assert (await guarded.request("DELETE", f"/v1/query/{query_id}")).status_code == 403
