"""What is passed on to the catalog, and what never is."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import trio

from agents.vm.api.app import forwarding_app
from agents.vm.api.forward import CatalogAwayError, Headers, Passed
from agents.vm.api.host import Host

MakeHost = Callable[..., Host]
ClientOf = Callable[[Any], httpx2.AsyncClient]


class FakeCatalog:
    """Keeps what it was asked and answers one thing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.away = False

    async def __call__(self, method: str, target: str, headers: Headers, body: bytes) -> Passed:
        if self.away:
            raise CatalogAwayError("connection refused")
        self.asked.append((method, target, dict(headers), body))
        back = (("content-type", "application/json"), ("x-consul-index", "7"), ("connection", "close"), ("server", "s"))
        return Passed(200, back, b"[]")


async def test_reads_are_passed_on_whole(make_host: MakeHost, client_of: ClientOf) -> None:
    """Path and query as they came, the caller's token with them; Consul's headers come back, hop-by-hop ones do not."""
    catalog = FakeCatalog()
    async with client_of(forwarding_app(make_host(), catalog)) as client:
        answer = await client.get(
            "/v1/health/service/w%20b?index=5&wait=1s&tag=a&tag=b", headers={"X-Consul-Token": "t"}
        )
    assert (answer.status_code, answer.text, answer.headers["x-consul-index"]) == (200, "[]", "7")
    assert "server" not in answer.headers
    method, target, headers, _ = catalog.asked[0]
    assert (method, target) == ("GET", "/v1/health/service/w%20b?index=5&wait=1s&tag=a&tag=b")
    assert headers["x-consul-token"] == "t"
    assert "host" not in headers


async def test_a_write_needs_the_callers_own_token(make_host: MakeHost, client_of: ClientOf) -> None:
    """The node's certificate on the connection must not be lent."""
    catalog = FakeCatalog()
    async with client_of(forwarding_app(make_host(), catalog)) as client:
        refused = await client.put("/v1/config", content=b"{}")
        assert (refused.status_code, "needs a token" in refused.text) == (403, True)
        empty = await client.put("/v1/config", content=b"{}", headers={"X-Consul-Token": ""})
        assert empty.status_code == 403
        for headers, target in (({"Authorization": "Bearer x"}, ""), ({}, "?token=x"), ({"X-Consul-Token": "x"}, "")):
            answer = await client.put(f"/v1/config{target}", content=b"{}", headers=headers)
            assert answer.status_code == 200
    assert len(catalog.asked) == 3


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Basic eDp5")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer  ")],
        [("X-Consul-Token", ""), ("X-Consul-Token", "x")],
    ],
)
async def test_what_the_catalog_would_not_take_for_a_token_is_none(
    headers: list[tuple[str, str]], make_host: MakeHost, client_of: ClientOf
) -> None:
    """Else the catalog, finding no token, would judge the write by the node's certificate."""
    catalog = FakeCatalog()
    async with client_of(forwarding_app(make_host(), catalog)) as client:
        refused = await client.put("/v1/catalog/deregister", content=b"{}", headers=headers)
    assert (refused.status_code, catalog.asked) == (403, [])


async def test_the_token_goes_on_alone_and_in_one_header(make_host: MakeHost, client_of: ClientOf) -> None:
    """Whatever way it came in, the catalog must find the very token that was seen here."""
    catalog = FakeCatalog()
    async with client_of(forwarding_app(make_host(), catalog)) as client:
        await client.put("/v1/config", content=b"{}", headers={"Authorization": "bearer  t "})
        await client.put("/v1/config?token=q", content=b"{}", headers={"X-Consul-Token": "h"})
    assert [(headers.get("x-consul-token"), "authorization" in headers) for *_, headers, _ in catalog.asked] == [
        ("t", False),
        ("q", False),
    ]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/linkspan/leaf", 403),
        ("/v1/linkspan/sync?token=x", 403),
        ("/v1/LINKSPAN/leaf", 403),
        ("/v1/x/%2e%2e/linkspan/leaf", 403),
        ("/v1/x%2F..%2Flinkspan/leaf", 403),
        ("/v1//linkspan/leaf", 403),
        ("/v1/linkspan", 403),
        ("/v1/kv/%2e%2e/agent", 404),
        ("/metrics", 404),
    ],
)
async def test_endpoints_for_hosts_are_never_forwarded(
    target: str, status: int, make_host: MakeHost, client_of: ClientOf
) -> None:
    """A caller of the API must not get certificates in the node's name, however the path is spelt."""
    catalog = FakeCatalog()
    async with client_of(forwarding_app(make_host(), catalog)) as client:
        for method in ("GET", "POST"):
            answer = await client.request(method, target, headers={"X-Consul-Token": "t"})
            assert answer.status_code == status
    assert not catalog.asked


async def test_a_catalog_that_is_away_is_503(make_host: MakeHost, client_of: ClientOf) -> None:
    """With the reason."""
    catalog = FakeCatalog()
    catalog.away = True
    async with client_of(forwarding_app(make_host(), catalog)) as client:
        answer = await client.get("/v1/status/leader")
    assert (answer.status_code, answer.text) == (503, "the catalog cannot be reached: connection refused")


async def test_what_keeps_browsers_and_clients_right_comes_back(make_host: MakeHost, client_of: ClientOf) -> None:
    """A raw value's headers, and where a key with an odd path really is."""
    back = (
        ("content-type", "text/plain"),
        ("content-security-policy", "sandbox"),
        ("x-content-type-options", "nosniff"),
        ("location", "/v1/kv/a"),
    )

    async def catalog(_method: str, _target: str, _headers: Headers, _body: bytes) -> Passed:
        await trio.lowlevel.checkpoint()
        return Passed(307, back, b"")

    async with client_of(forwarding_app(make_host(), catalog)) as client:
        answer = await client.get("/v1/kv//a?raw")
    assert answer.status_code == 307
    assert {name: answer.headers[name] for name, _ in back} == dict(back)
