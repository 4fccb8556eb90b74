"""`/v1/connect/intentions*`, over a real socket."""

from typing import Any

import pytest

EXACT = "/v1/connect/intentions/exact"


async def write(site: Any, source: str, destination: str, **body: Any) -> None:
    answer = await site.put(f"{EXACT}?source={source}&destination={destination}", body)
    assert (answer.status_code, answer.text) == (200, "true"), answer.text


async def allowed(site: Any, source: str, destination: str) -> bool:
    answer = await site.get(f"/v1/connect/intentions/check?source={source}&destination={destination}")
    assert set(answer.json()) == {"Allowed"}
    return bool(answer.json()["Allowed"])


async def test_an_intention_is_read_back(site: Any) -> None:
    await write(site, "web", "api", Action="allow", Description="shop", SourceType="consul")
    shown = (await site.get(f"{EXACT}?source=web&destination=api")).json()
    index = shown["ModifyIndex"]
    assert shown == {
        "SourceNS": "default",
        "SourceName": "web",
        "DestinationNS": "default",
        "DestinationName": "api",
        "SourceType": "consul",
        "Action": "allow",
        "Meta": {},
        "Description": "shop",
        "Precedence": 9,
        "CreateIndex": index,
        "ModifyIndex": index,
    }


async def test_precedence_is_consuls(site: Any) -> None:
    """9, 8, 6, 5; the list is sorted by it."""
    for source, destination in (("*", "*"), ("web", "*"), ("*", "api"), ("web", "api")):
        await write(site, source, destination, Action="allow")
    rows = (await site.get("/v1/connect/intentions")).json()
    assert [(row["SourceName"], row["DestinationName"], row["Precedence"]) for row in rows] == [
        ("web", "api", 9),
        ("*", "api", 8),
        ("web", "*", 6),
        ("*", "*", 5),
    ]
    filtered = (await site.get('/v1/connect/intentions?filter=SourceName == "web"')).json()
    assert [row["Precedence"] for row in filtered] == [9, 6]


async def test_the_first_match_decides(site: Any) -> None:
    """By precedence; nothing matching is the default: deny."""
    assert not await allowed(site, "web", "api")
    await write(site, "*", "*", Action="allow")
    assert await allowed(site, "web", "api")
    await write(site, "web", "api", Action="deny")
    assert not await allowed(site, "web", "api")
    assert await allowed(site, "shop", "api")


async def test_permissions_check_as_denied(site: Any) -> None:
    """L7 makes `check` false (measured); it needs a destination that speaks HTTP."""
    permission = {"Action": "allow", "HTTP": {"PathPrefix": "/v1", "Methods": ["GET"]}}
    refused = await site.put(f"{EXACT}?source=web&destination=api", {"Permissions": [permission]})
    assert refused.status_code == 500
    await site.put("/v1/config", {"Kind": "service-defaults", "Name": "api", "Protocol": "http"})
    await write(site, "web", "api", Permissions=[permission])
    shown = (await site.get(f"{EXACT}?source=web&destination=api")).json()
    assert shown["Permissions"] == [permission]
    assert "Action" not in shown
    assert not await allowed(site, "web", "api")


async def test_match_by_source_and_destination(site: Any) -> None:
    for source, destination in (("web", "api"), ("*", "api"), ("web", "db"), ("*", "*")):
        await write(site, source, destination, Action="allow")

    async def match(parameters: str) -> dict[str, list[tuple[str, str]]]:
        found = (await site.get(f"/v1/connect/intentions/match?{parameters}")).json()
        return {name: [(row["SourceName"], row["DestinationName"]) for row in rows] for name, rows in found.items()}

    assert await match("by=destination&name=api") == {"api": [("web", "api"), ("*", "api"), ("*", "*")]}
    assert await match("by=source&name=web") == {"web": [("web", "api"), ("web", "db"), ("*", "api"), ("*", "*")]}
    both = await match("by=destination&name=db&name=none")
    assert both == {"db": [("web", "db"), ("*", "*")], "none": [("*", "*")]}


async def test_delete_gives_true_also_for_a_missing_one(site: Any) -> None:
    await write(site, "web", "api", Action="allow")
    for _ in range(2):
        answer = await site.request("DELETE", f"{EXACT}?source=web&destination=api")
        assert (answer.status_code, answer.text) == (200, "true")
    answer = await site.get(f"{EXACT}?source=web&destination=api")
    assert (answer.status_code, answer.text) == (404, "Intention not found")


async def test_a_namespace_in_the_name_is_accepted(site: Any) -> None:
    """The one there is (measured trap 13); a mismatch of names in the body is ignored."""
    await write(site, "default/web", "default/default/api", Action="allow", SourceName="x", DestinationName="y")
    assert await allowed(site, "web", "api")
    answer = await site.get(f"{EXACT}?source=team/web&destination=api")
    assert (answer.status_code, "'source'" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("?source=web", {"Action": "allow"}, 400, "'destination'"),
        ("?destination=web", {"Action": "allow"}, 400, "'source'"),
        ("?source=web&destination=api", {}, 500, "Action or Permissions"),
        ("?source=web&destination=api", {"Action": "maybe"}, 400, "Action"),
        ("?source=web&destination=api", {"Acton": "allow"}, 400, "Acton"),
        ("?source=web&destination=api", {"Action": 1}, 400, "Action"),
        ("?source=web&destination=api", [], 400, "object"),
        ("?source=we_b&destination=api", {"Action": "allow"}, 500, "we_b"),
        ("?source=web&destination=api", b"{", 400, "decode failed"),
    ],
)
async def test_bad_intentions_are_refused(site: Any, path: str, body: Any, status: int, text: str) -> None:
    answer = await site.put(f"{EXACT}{path}", body)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text


@pytest.mark.parametrize("parameters", ["", "by=source", "name=web", "by=both&name=web"])
async def test_bad_matches_are_400(site: Any, parameters: str) -> None:
    assert (await site.get(f"/v1/connect/intentions/match?{parameters}")).status_code == 400


async def test_a_peers_source_is_only_read(site: Any) -> None:
    """`peer:` names one on GET; written it is in the entry alone."""
    sources = [{"Name": "web", "Peer": "east", "Action": "allow"}, {"Name": "web", "Action": "deny"}]
    await site.put("/v1/config", {"Kind": "service-intentions", "Name": "api", "Sources": sources})
    shown = (await site.get(f"{EXACT}?source=peer:east/web&destination=api")).json()
    assert (shown["SourcePeer"], shown["Action"]) == ("east", "allow")
    assert (await site.get(f"{EXACT}?source=web&destination=api")).json()["Action"] == "deny"
    answer = await site.put(f"{EXACT}?source=peer:east/web&destination=api", {"Action": "allow"})
    assert answer.status_code == 400
    assert not await allowed(site, "web", "api")


async def test_a_token_that_nobody_checks_lets_nobody_in(site: Any) -> None:
    """A permission may ask for one: it is kept and shown; its provider must be there."""
    await site.put("/v1/config", {"Kind": "service-defaults", "Name": "api", "Protocol": "http"})
    rule = {"Action": "allow", "JWT": {"Providers": [{"Name": "okta"}]}}
    answer = await site.put(f"{EXACT}?source=web&destination=api", {"Permissions": [rule]})
    assert (answer.status_code, "okta" in answer.text) == (500, True)
    keys = {"Remote": {"URI": "https://keys.example.com"}}
    await site.put("/v1/config", {"Kind": "jwt-provider", "Name": "okta", "JSONWebKeySet": keys})
    answer = await site.put(f"{EXACT}?source=web&destination=api", {"Permissions": [rule]})
    assert (answer.text, "Permissions[0].JWT" in answer.headers["X-Linkspan-Warning"]) == ("true", True)
    shown = (await site.get(f"{EXACT}?source=web&destination=api")).json()
    assert shown["Permissions"] == [rule]
    assert not await allowed(site, "web", "api")


async def test_selectors_of_the_list(site: Any) -> None:
    """Consul's; an unknown one is an error, also of an empty list."""
    for expression, status in (('SourceName == "web"', 200), ("Precedence == 9", 200), ("Nope == 1", 500)):
        assert (await site.get(f"/v1/connect/intentions?filter={expression}")).status_code == status
    await write(site, "web", "api", Action="allow", Description="x")
    assert len((await site.get("/v1/connect/intentions?filter=Precedence == 9 and Meta is empty")).json()) == 1


async def test_the_form_of_before_1_9(site: Any) -> None:
    """By id: made once a pair, read, replaced, deleted; others have no id."""
    path = "/v1/connect/intentions"
    body = {
        "SourceName": "web",
        "DestinationName": "api",
        "SourceType": "consul",
        "Action": "allow",
        "Meta": {"a": "b"},
    }
    made = (await site.request("POST", path, body)).json()["ID"]
    again = await site.request("POST", path, body)
    assert (again.status_code, "duplicate intention found" in again.text) == (500, True)
    shown = (await site.get(f"{path}/{made}")).json()
    assert (shown["ID"], shown["SourceName"], shown["Action"], shown["Meta"]) == (made, "web", "allow", {"a": "b"})
    assert shown["CreatedAt"].endswith("Z")
    answer = await site.put(f"{path}/{made}", {**body, "DestinationName": "db", "Action": "deny"})
    assert answer.json() == {"ID": made}
    rows = (await site.get(path)).json()
    assert [(row["DestinationName"], row["Action"], row["ID"]) for row in rows] == [("db", "deny", made)]
    for _ in range(2):
        answer = await site.request("DELETE", f"{path}/{made}")
        assert (answer.status_code, answer.text) == (200, "true")
    answer = await site.get(f"{path}/{made}")
    assert (answer.status_code, answer.text) == (404, "Intention not found")
    assert (await site.get(f"{path}/no-id")).status_code == 400
    assert (await site.request("POST", path, {"SourceName": "web"})).status_code == 400


async def test_rights(guarded: Any) -> None:
    """intention:write is asked on the destination; nothing is written without."""
    path = "/v1/connect/intentions"
    body = {"SourceName": "web", "DestinationName": "api", "Action": "allow"}
    assert (await guarded.request("POST", path, body)).status_code == 403
    assert (await guarded.put(f"{EXACT}?source=web&destination=api", {"Action": "allow"})).status_code == 403
    made = (await guarded.request("POST", path, body, headers=guarded.as_operator())).json()["ID"]
    assert (await guarded.request("DELETE", f"{path}/{made}")).status_code == 403
    assert (await guarded.put(f"{path}/{made}", body)).status_code == 403
