"""`/v1/agent/service*`: what Consul's users send and what they get, over a real socket."""

from typing import Any

import httpx2
import pytest
import trio

FULL: dict[str, Any] = {
    "Name": "web",
    "ID": "web-1",
    "Tags": ["a", "b"],
    "Meta": {"version": "1"},
    "Address": "192.0.2.1",
    "Port": 80,
    "TaggedAddresses": {"lan": {"Address": "192.0.2.1", "Port": 80}, "wan": {"Address": "198.51.100.1", "Port": 8080}},
    "EnableTagOverride": True,
    "Weights": {"Passing": 10, "Warning": 2},
    "Locality": {"Region": "r1", "Zone": "z1"},
    "Token": "",
}
PROXY: dict[str, Any] = {
    "Name": "web-proxy",
    "Kind": "connect-proxy",
    "Port": 20000,
    "Proxy": {
        "DestinationServiceName": "web",
        "DestinationServiceID": "web-1",
        "LocalServiceAddress": "127.0.0.1",
        "LocalServicePort": 80,
        "Mode": "transparent",
        "TransparentProxy": {"OutboundListenerPort": 15001, "DialedDirectly": True},
        "MeshGateway": {"Mode": "local"},
        "Expose": {
            "Checks": True,
            "Paths": [{"ListenerPort": 1, "Path": "/x", "LocalPathPort": 2, "Protocol": "http"}],
        },
        "AccessLogs": {"Enabled": True, "JSONFormat": "{}"},
        "EnvoyExtensions": [{"Name": "builtin/lua", "Arguments": {"Script": "x"}}],
        "Config": {"protocol": "http", "snake_key": 1},
        "Upstreams": [
            {"DestinationName": "db", "LocalBindPort": 5432, "Config": {"a": 1}, "MeshGateway": {"Mode": "remote"}}
        ],
    },
}


async def register(api: httpx2.AsyncClient, body: Any, **query: str) -> httpx2.Response:
    return await api.put("/v1/agent/service/register", json=body, params=query)


async def test_every_field_is_shown_and_reaches_the_catalog(api: httpx2.AsyncClient) -> None:
    """At once: a registration is readable as soon as it is answered."""
    answer = await register(api, FULL)
    assert (answer.status_code, answer.content) == (200, b"")
    found = (await api.get("/v1/health/service/web")).json()[0]["Service"]
    shown = (await api.get("/v1/agent/services")).json()["web-1"]
    expected = {key: value for key, value in FULL.items() if key not in {"Name", "Token"}}
    assert shown == {**expected, "Service": "web", "Datacenter": "dc1"}
    assert {key: found[key] for key in expected} == expected


async def test_every_field_of_a_proxy(api: httpx2.AsyncClient) -> None:
    """Keys of free maps stay as they were written."""
    assert (await register(api, PROXY)).status_code == 200
    shown = (await api.get("/v1/agent/service/web-proxy")).json()["Proxy"]
    upstream = {**PROXY["Proxy"]["Upstreams"][0], "DestinationType": "service"}
    assert shown == {**PROXY["Proxy"], "Upstreams": [upstream]}
    held = (await api.get("/v1/catalog/service/web-proxy")).json()[0]["ServiceProxy"]
    assert held["Expose"]["Paths"][0]["ListenerPort"] == 1
    assert held["Config"] == {"protocol": "http", "snake_key": 1}


async def test_both_key_styles_are_taken(api: httpx2.AsyncClient) -> None:
    """snake_case as in files, and any letter case; an empty or null check is none."""
    body = {
        "name": "web", "tagged_addresses": {"lan": {"address": "192.0.2.1", "port": 1}}, "enable_tag_override": True,
        "PORT": 5, "check": None, "checks": [{}], "connect": {"sidecar_service": None},
    }  # fmt: skip
    assert (await register(api, body)).status_code == 200
    shown = (await api.get("/v1/agent/service/web")).json()
    assert (shown["Port"], shown["TaggedAddresses"]["lan"]["Port"], shown["EnableTagOverride"]) == (5, 1, True)
    assert (await api.get("/v1/agent/checks")).json() == {}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "Missing service name"),
        ({"Name": "web", "Prot": 1}, 'Request decode failed: json: unknown field "Prot"'),
        ({"Name": "web", "Check": {"TTL": "1s", "Odd": 1}}, 'json: unknown field "Odd"'),
        ({"Name": "web", "Kind": "odd"}, "kind"),
        ({"Name": "web", "Weights": {"Passing": 0, "Warning": 1}}, "weights"),
        ({"Name": "web", "Weights": {"Passing": -1, "Warning": 1}}, "weights"),
        ({"Name": "web", "Port": 80, "SocketPath": "/x"}, "socket_path"),
        ({"Name": "web", "Port": 70000}, "65535"),
        ({"Name": "web", "Meta": {"consul-x": "1"}}, "reserved"),
        ({"Name": "web", "Meta": {"a": "v" * 513}}, "512"),
        ({"Name": "web", "Meta": {f"k{n}": "v" for n in range(65)}}, "64"),
        ({"Name": "web", "Namespace": "team"}, "namespace"),
        ({"Name": "web", "Kind": "connect-proxy", "Port": 1}, "must name the service it fronts"),
        ({"Name": "web", "Check": {"TTL": "1s", "HTTP": "http://x", "Interval": "1s"}}, "exactly one of"),
        ({"Name": "web", "Check": {"HTTP": "http://x"}}, "interval"),
        ({"Name": "web", "Check": {"TTL": "x"}}, "no duration"),
        ({"Name": "web", "Check": {"TTL": "1s", "Status": "green"}}, "status"),
        ({"Name": "web", "Check": {"DockerContainerID": "c", "Args": ["x"], "Interval": "1s"}}, "docker checks"),
        ({"Name": "web", "Check": {"Script": "x", "Interval": "1s"}}, "removed"),
        ({"Name": "web", "Connect": {"SidecarService": {"ID": "own"}}}, "web-sidecar-proxy"),
    ],
)
async def test_what_is_refused(body: Any, text: str, api: httpx2.AsyncClient) -> None:
    """400, says what is wrong, and changes nothing."""
    answer = await register(api, body)
    assert answer.status_code == 400
    assert text in answer.text
    assert (await api.get("/v1/agent/services")).json() == {}


async def test_checks_are_replaced_when_asked_for(api: httpx2.AsyncClient) -> None:
    """Otherwise the old ones stay."""
    for number, query, left in (
        ("1", {}, ["c1"]),
        ("2", {}, ["c1", "c2"]),
        ("3", {"replace-existing-checks": "true"}, ["c3"]),
    ):
        body = {"Name": "web", "Checks": [{"CheckID": f"c{number}", "TTL": "9s"}]}
        assert (await register(api, body, **query)).status_code == 200
        assert sorted((await api.get("/v1/agent/checks")).json()) == left
        held = (await api.get("/v1/health/checks/web")).json()
        assert sorted(check["CheckID"] for check in held) == left


async def test_default_ids_of_checks(api: httpx2.AsyncClient) -> None:
    """`service:<id>`, or with numbers where there are several; an unset check starts critical."""
    await register(api, {"Name": "one", "Check": {"TTL": "9s"}})
    await register(api, {"Name": "two", "Checks": [{"TTL": "9s"}, {"TTL": "9s", "Status": "passing"}]})
    checks = (await api.get("/v1/agent/checks")).json()
    assert {key: one["Status"] for key, one in checks.items()} == {
        "service:one": "critical",
        "service:two:1": "critical",
        "service:two:2": "passing",
    }
    assert checks["service:one"]["Name"] == "Service 'one' check"


async def test_a_sidecar_is_a_second_registration(api: httpx2.AsyncClient) -> None:
    """Port from 21000, a tcp and an alias check, and it goes with its service."""
    body = {"Name": "web", "ID": "w", "Port": 80, "Tags": ["x"], "Connect": {"SidecarService": {}}}
    assert (await register(api, body)).status_code == 200
    assert (await register(api, {**body, "ID": "w2"})).status_code == 200
    services = (await api.get("/v1/agent/services")).json()
    sidecar = services["w-sidecar-proxy"]
    assert (sidecar["Service"], sidecar["Kind"], sidecar["Port"]) == ("web-sidecar-proxy", "connect-proxy", 21000)
    assert services["w2-sidecar-proxy"]["Port"] == 21001
    assert sidecar["Proxy"] == {
        "DestinationServiceName": "web", "DestinationServiceID": "w", "LocalServiceAddress": "127.0.0.1",
        "LocalServicePort": 80,
    }  # fmt: skip
    checks = (await api.get("/v1/agent/checks")).json()
    assert [
        (one["CheckID"], one["Type"], one["Name"]) for one in checks.values() if one["ServiceID"] == sidecar["ID"]
    ] == [
        ("service:w-sidecar-proxy:1", "tcp", "Connect Sidecar Listening"),
        ("service:w-sidecar-proxy:2", "alias", "Connect Sidecar Aliasing w"),
    ]
    assert (await api.put("/v1/agent/service/deregister/w")).status_code == 200
    assert sorted((await api.get("/v1/agent/services")).json()) == ["w2", "w2-sidecar-proxy"]


async def test_blocking_on_a_hash(api: httpx2.AsyncClient) -> None:
    """A call with the present hash waits for a change of that service; another's does not wake it."""
    await register(api, {"Name": "web", "Port": 1})
    first = await api.get("/v1/agent/service/web")
    digest = first.headers["X-Consul-ContentHash"]
    assert first.json()["ContentHash"] == digest
    answers: list[int] = []

    async def wait() -> None:
        answer = await api.get("/v1/agent/service/web", params={"hash": digest, "wait": "9s"})
        answers.append(answer.json()["Port"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(0.05)
        await register(api, {"Name": "api", "Port": 1})
        assert answers == []
        await register(api, {"Name": "web", "Port": 2})
    assert answers == [2]
    assert (await api.get("/v1/agent/service/web", params={"hash": digest, "wait": "9s"})).json()["Port"] == 2


async def test_filters(api: httpx2.AsyncClient) -> None:
    """Consul's language; a syntax error is 500."""
    for name in ("a", "b"):
        await register(api, {"Name": name, "Tags": [name], "Check": {"TTL": "9s"}})
    kept = await api.get("/v1/agent/services", params={"filter": '"a" in Tags'})
    assert list(kept.json()) == ["a"]
    checks = await api.get("/v1/agent/checks", params={"filter": 'ServiceName == "b"'})
    assert list(checks.json()) == ["service:b"]
    bad = await api.get("/v1/agent/services", params={"filter": "Tags ="})
    assert (bad.status_code, "boolean expression" in bad.text) == (500, True)


UNKNOWN_SERVICE = 'Unknown service ID "nope". Ensure that the service ID is passed, not the service name.'
UNKNOWN_CHECK = 'Unknown check ID "nope". Ensure that the check ID is passed, not the check name.'


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "service/nope", UNKNOWN_SERVICE),
        ("PUT", "service/deregister/nope", UNKNOWN_SERVICE),
        ("PUT", "service/maintenance/nope?enable=true", UNKNOWN_SERVICE),
        ("PUT", "check/deregister/nope", UNKNOWN_CHECK),
        ("PUT", "check/pass/nope", UNKNOWN_CHECK),
        ("PUT", "check/warn/nope", UNKNOWN_CHECK),
        ("PUT", "check/fail/nope", UNKNOWN_CHECK),
    ],
)
async def test_unknown_ids(method: str, path: str, text: str, api: httpx2.AsyncClient) -> None:
    """404, with Consul's long texts."""
    answer = await api.request(method, f"/v1/agent/{path}")
    assert (answer.status_code, answer.text) == (404, text)


@pytest.mark.parametrize(
    ("beat", "status", "word"), [("pass", 200, "passing"), ("warn", 429, "warning"), ("fail", 503, "critical")]
)
async def test_health_of_a_service(beat: str, status: int, word: str, api: httpx2.AsyncClient) -> None:
    """One word and a code for load balancers; JSON holds the service and its checks."""
    await register(api, {"Name": "web", "ID": "w", "Check": {"TTL": "9s"}})
    await api.put(f"/v1/agent/check/{beat}/service:w")
    for path in ("id/w", "name/web"):
        text = await api.get(f"/v1/agent/health/service/{path}?format=text")
        assert (text.status_code, text.text) == (status, word)
        shown = await api.get(f"/v1/agent/health/service/{path}")
        assert shown.status_code == status
        one = shown.json() if path == "id/w" else shown.json()[0]
        assert one["AggregatedStatus"] == word
        assert (one["Service"]["ID"], one["Checks"][0]["CheckID"]) == ("w", "service:w")


async def test_health_in_maintenance_and_of_nobody(api: httpx2.AsyncClient) -> None:
    """503 `maintenance`, of the service or of the whole node; unknown is 404."""
    await register(api, {"Name": "web"})
    for path in ("service/maintenance/web", "maintenance"):
        await api.put(f"/v1/agent/{path}?enable=true")
        answer = await api.get("/v1/agent/health/service/id/web?format=text")
        assert (answer.status_code, answer.text) == (503, "maintenance")
        await api.put(f"/v1/agent/{path}?enable=false")
    assert (await api.get("/v1/agent/health/service/id/web?format=text")).status_code == 200
    for path in ("id", "name"):
        assert (await api.get(f"/v1/agent/health/service/{path}/nope?format=text")).status_code == 404
