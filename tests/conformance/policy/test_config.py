"""`/v1/config`, over a real socket."""

from typing import Any

import pytest

from tests.fakes.certificate_pair import make_pair

ENTRIES: list[dict[str, Any]] = [
    {"Kind": "service-defaults", "Name": "web", "Protocol": "http"},
    {
        "Kind": "service-router",
        "Name": "web",
        "Routes": [{"Match": {"HTTP": {"PathPrefix": "/admin"}}, "Destination": {"Service": "admin"}}],
    },
    {"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": 90}, {"Weight": 10, "Service": "canary"}]},
    {
        "Kind": "service-resolver",
        "Name": "web",
        "DefaultSubset": "v1",
        "Subsets": {"v1": {"Filter": 'Service.Meta.version == "1"'}},
        "ConnectTimeout": "5s",
    },
    {"Kind": "service-intentions", "Name": "web", "Sources": [{"Name": "api", "Action": "allow"}]},
    {
        "Kind": "exported-services",
        "Name": "default",
        "Services": [{"Name": "web", "Consumers": [{"Network": "vm-paris"}]}],
    },
]


async def put(site: Any, entry: Any, parameters: str = "") -> Any:
    return await site.put(f"/v1/config{parameters}", entry)


async def defaults(site: Any) -> None:
    for name in ("web", "admin", "canary"):
        assert (await put(site, {"Kind": "service-defaults", "Name": name, "Protocol": "http"})).text == "true"


@pytest.mark.parametrize("entry", ENTRIES, ids=[str(entry["Kind"]) for entry in ENTRIES])
async def test_an_entry_is_written_read_listed_and_deleted(site: Any, entry: dict[str, Any]) -> None:
    """Every kind of this version, in Consul's shape."""
    await defaults(site)
    kind, name = entry["Kind"], entry["Name"]
    answer = await put(site, entry)
    assert (answer.status_code, answer.text) == (200, "true"), answer.text
    shown = (await site.get(f"/v1/config/{kind}/{name}")).json()
    assert shown["CreateIndex"] <= shown["ModifyIndex"]
    if kind != "service-intentions":  # its sources come back with type and precedence
        assert {key: shown[key] for key in entry} == entry
    listed = (await site.get(f"/v1/config/{kind}")).json()
    assert shown in listed
    answer = await site.request("DELETE", f"/v1/config/{kind}/{name}")
    assert (answer.status_code, answer.text) == (200, "{}"), answer.text
    missing = await site.get(f"/v1/config/{kind}/{name}")
    assert (missing.status_code, "not found" in missing.text) == (404, True)
    assert int(missing.headers["X-Consul-Index"]) > shown["ModifyIndex"]


async def test_snake_case_and_other_letter_case_are_understood(site: Any) -> None:
    """Consul's files and API spell differently; both are read."""
    entry = {
        "kind": "service-resolver",
        "name": "web",
        "connect_timeout": "5s",
        "SUBSETS": {"v1": {"only_passing": True}},
    }
    assert (await put(site, entry)).text == "true"
    shown = (await site.get("/v1/config/service-resolver/web")).json()
    assert (shown["ConnectTimeout"], shown["Subsets"]) == ("5s", {"v1": {"OnlyPassing": True}})


async def test_what_consul_always_prints(site: Any) -> None:
    """Empty blocks of the kinds that carry them."""
    await put(site, ENTRIES[0])
    shown = (await site.get("/v1/config/service-defaults/web")).json()
    assert {key: shown[key] for key in shown if "Index" not in key} == {
        "Kind": "service-defaults",
        "Name": "web",
        "Protocol": "http",
        "TransparentProxy": {},
        "MeshGateway": {},
        "Expose": {},
    }


async def test_what_is_kept_without_effect_is_said(site: Any) -> None:
    """A header names the fields; an entry that is acted on whole has none."""
    answer = await put(site, {**ENTRIES[0], "MaxInboundConnections": 5, "Mode": "transparent"})
    assert (answer.text, "MaxInboundConnections" in answer.headers["X-Linkspan-Warning"]) == ("true", True)
    assert "X-Linkspan-Warning" not in (await put(site, ENTRIES[0])).headers
    failover = {"Kind": "service-resolver", "Name": "web", "Failover": {"*": {"Datacenters": ["dc9"]}}}
    answer = await put(site, failover)
    assert (answer.text, "dc9" in answer.headers["X-Linkspan-Warning"]) == ("true", True)


async def test_a_list_is_filtered(site: Any) -> None:
    """By kind, name and meta; an unknown selector is an error."""
    await defaults(site)
    await put(site, {**ENTRIES[0], "Meta": {"team": "a"}})
    answer = await site.get("/v1/config/service-defaults?filter=Meta.team == a")
    assert [row["Name"] for row in answer.json()] == ["web"]
    answer = await site.get('/v1/config/service-defaults?filter=Name != "web"')
    assert [row["Name"] for row in answer.json()] == ["admin", "canary"]
    assert (await site.get("/v1/config/service-defaults?filter=Nope == a")).status_code == 500


async def test_what_the_catalog_alone_makes(site: Any) -> None:
    """bound-api-gateway is asked for and never written; Enterprise kinds are unknown."""
    assert (await site.get("/v1/config/bound-api-gateway")).json() == []
    for kind in ("bound-api-gateway", "sameness-group", "control-plane-request-limit"):
        assert (await put(site, {"Kind": kind, "Name": "x"})).status_code == 400


async def test_a_private_key_is_shown_to_its_writers_alone(guarded: Any) -> None:
    """Who may only read gets the certificate without it; who may write neither is refused."""
    entry = {"Kind": "inline-certificate", "Name": "site", **make_pair()}
    assert (await guarded.put("/v1/config", entry)).status_code == 403
    assert (await guarded.put("/v1/config", entry, headers=guarded.as_operator())).text == "true"
    path = "/v1/config/inline-certificate/site"
    assert (await guarded.get(path, headers=guarded.as_operator())).json()["PrivateKey"] == entry["PrivateKey"]
    assert "BEGIN PRIVATE KEY" not in (await guarded.get(path)).text
    assert "BEGIN PRIVATE KEY" not in (await guarded.get("/v1/config/inline-certificate")).text


async def test_compare_and_set(site: Any) -> None:
    """0: only if there is none; an index: only if it is the entry's. The answer says whether."""
    entry = ENTRIES[0]
    assert (await put(site, entry, "?cas=0")).text == "true"
    assert (await put(site, entry, "?cas=0")).text == "false"
    index = (await site.get("/v1/config/service-defaults/web")).json()["ModifyIndex"]
    assert (await put(site, entry, f"?cas={index + 1}")).text == "false"
    assert (await put(site, entry, f"?cas={index}")).text == "true"
    index = (await site.get("/v1/config/service-defaults/web")).json()["ModifyIndex"]
    assert (await site.request("DELETE", f"/v1/config/service-defaults/web?cas={index - 1}")).text == "false"
    assert (await site.request("DELETE", f"/v1/config/service-defaults/web?cas={index}")).text == "true"


async def test_intentions_and_their_entry_are_one(site: Any) -> None:
    await put(site, ENTRIES[4])
    answer = await site.get("/v1/connect/intentions/exact?source=api&destination=web")
    assert answer.json()["Action"] == "allow"


async def test_a_protocol_mismatch_is_refused_at_the_write(site: Any) -> None:
    """Routing needs HTTP; what others rest on cannot be taken away."""
    answer = await put(site, ENTRIES[1])
    assert (answer.status_code, "web" in answer.text) == (500, True)
    await defaults(site)
    assert (await put(site, ENTRIES[1])).text == "true"
    answer = await site.request("DELETE", "/v1/config/service-defaults/web")
    assert answer.status_code == 500


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ({"Name": "web"}, "Kind"),
        ({"Kind": "service-default", "Name": "web"}, "service-default"),
        ({"Kind": "service-defaults"}, "Name"),
        ({"Kind": "service-defaults", "Name": "web", "Protcol": "http"}, "Protcol"),
        ({"Kind": "service-defaults", "Name": "web", "Protocol": 1}, "Protocol"),
        ({"Kind": "service-defaults", "Name": "web", "Protocol": "smtp"}, "Protocol"),
        ({"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": 90}]}, "100"),
        ({"Kind": "service-resolver", "Name": "web", "ConnectTimeout": "5"}, "5"),
        ({"Kind": "service-resolver", "Name": "web", "Subsets": {"v1": {"Filter": "=="}}}, "Filter"),
        ([], "object"),
        (b'{"Kind": ', "decode failed"),
        (b"", "empty"),
    ],
)
async def test_bad_entries_are_refused_by_name(site: Any, entry: Any, names: str) -> None:
    """What cannot be read is 400; what can, and breaks a rule, is 500 (measured trap 3)."""
    answer = await put(site, entry)
    breaks_a_rule = names in {"100", "Filter"} or (names == "Protocol" and entry["Protocol"] == "smtp")
    assert (answer.status_code, names in answer.text) == (500 if breaks_a_rule else 400, True), answer.text


@pytest.mark.parametrize("path", ["/v1/config/nothing", "/v1/config/nothing/web"])
async def test_an_unknown_kind_is_400(site: Any, path: str) -> None:
    assert (await site.get(path)).status_code == 400


async def test_a_bad_cas_is_400(site: Any) -> None:
    assert (await put(site, ENTRIES[0], "?cas=soon")).status_code == 400
