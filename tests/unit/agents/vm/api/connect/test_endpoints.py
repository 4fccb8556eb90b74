"""Roots, leaf and authorize as clients see them."""

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
from agents.vm.api.rights import REFUSING, TRUSTING, InProcess
from mesh.wire.sync import LeafResponse

MakeHost = Callable[..., Host]
ClientOf = Callable[[Any], httpx2.AsyncClient]

WEB = "spiffe://td.example/ns/default/dc/dc1/svc/web"


class Catalog:
    """Roots, leaves, and one intention: web may call db."""

    def __init__(self) -> None:
        self.targets: list[str] = []

    async def __call__(self, method: str, target: str, headers: Headers, body: bytes) -> Passed:
        await trio.lowlevel.checkpoint()
        self.targets.append(target)
        found: dict[str, Any] = {
            "/v1/connect/ca/roots": {"TrustDomain": "td.example", "Roots": []},
            "/v1/linkspan/leaf": LeafResponse("PEM", WEB, "A0B", 0, 4e9),
            "/v1/connect/intentions/check": {"Allowed": "source=web&" in target},
        }
        headers = (("content-type", "application/json"), ("x-consul-index", "7"), ("date", "now"))
        return Passed(200, headers, msgspec.json.encode(found[target.partition("?")[0]]))

    async def own(self, method: str, target: str, body: bytes = b"", token: str = "") -> tuple[int, bytes]:
        return 200, (await self(method, target, (), body)).body


class Judge:
    """`good` may write web."""

    def __init__(self, token: str) -> None:
        self._token = token

    def allows(self, resource: str, name: str, access: str) -> bool:
        return (self._token, resource, name, access) == ("good", "service", "web", "write")


async def test_roots_are_the_catalogs(make_host: MakeHost, client_of: ClientOf) -> None:
    """With its index, which is blocked on there."""
    catalog = Catalog()
    async with client_of(agent_app(make_host(upstream=catalog), Endpoint())) as client:
        answer = await client.get("/v1/agent/connect/ca/roots?index=6&wait=5s&x=y")
    assert answer.json()["TrustDomain"] == "td.example"
    assert answer.headers["x-consul-index"] == "7"
    assert catalog.targets == ["/v1/connect/ca/roots?index=6&wait=5s"]


async def test_a_leaf_with_its_key(make_host: MakeHost, client_of: ClientOf) -> None:
    """Consul's keys; an index that is none and a name that is none are refused."""
    host = make_host(own_call=Catalog().own, key_rights=TRUSTING)
    async with client_of(agent_app(host, Endpoint())) as client:
        answer = await client.get("/v1/agent/connect/ca/leaf/web")
        leaf = answer.json()
        assert set(leaf) == {
            "SerialNumber", "CertPEM", "PrivateKeyPEM", "Service", "ServiceURI", "ValidAfter", "ValidBefore",
            "CreateIndex", "ModifyIndex",
        }  # fmt: skip
        assert (leaf["Service"], leaf["ServiceURI"], leaf["ValidAfter"]) == ("web", WEB, "1970-01-01T00:00:00Z")
        assert leaf["SerialNumber"] == "0a:0b"
        assert answer.headers["x-consul-index"] == str(leaf["ModifyIndex"])
        for path in ("web?index=x", "a%20b", "web?index=1&wait=x"):
            assert (await client.get(f"/v1/agent/connect/ca/leaf/{path}")).status_code == 400


@pytest.mark.parametrize(
    ("token", "rights", "status"),
    [
        ("", {}, 403),
        ("good", {}, 403),
        ("", {"key_rights": InProcess(Judge)}, 403),
        ("good", {"key_rights": InProcess(Judge)}, 200),
        ("good", {"rights": InProcess(Judge), "key_rights": REFUSING}, 200),
        ("bad", {"rights": InProcess(Judge), "key_rights": TRUSTING}, 403),
    ],
)
async def test_a_key_is_not_for_everybody(
    token: str, rights: dict[str, Any], status: int, make_host: MakeHost, client_of: ClientOf
) -> None:
    """Being on this machine is not enough: without rules for keys, nobody gets one."""
    catalog = Catalog()
    async with client_of(agent_app(make_host(own_call=catalog.own, **rights), Endpoint())) as client:
        headers = {"X-Consul-Token": token} if token else {}
        answer = await client.get("/v1/agent/connect/ca/leaf/web", headers=headers)
    assert answer.status_code == status
    assert ("/v1/linkspan/leaf" in catalog.targets) is (status == 200)


@pytest.mark.parametrize(
    ("body", "authorized", "reason"),
    [
        ({"Target": "db", "ClientCertURI": WEB, "ClientCertSerial": "0a"}, True, "web => db: allow"),
        ({"Target": "db", "ClientCertURI": WEB.replace("web", "api")}, False, "api => db: deny"),
        ({"Target": "db", "ClientCertURI": WEB.replace("td.", "other.")}, False, "external trust domain"),
        ({"Target": "db", "ClientCertURI": "spiffe://td.example/agent/client/dc/dc1/id/n"}, False, "a node's"),
    ],
)
async def test_authorize(
    body: dict[str, str], authorized: bool, reason: str, make_host: MakeHost, client_of: ClientOf
) -> None:
    """The catalog's verdict on the certificate's name; strangers are never allowed."""
    async with client_of(agent_app(make_host(upstream=Catalog()), Endpoint())) as client:
        answer = await client.post("/v1/agent/connect/authorize", json=body)
    assert answer.status_code == 200
    assert answer.json()["Authorized"] is authorized
    assert reason in answer.json()["Reason"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "Target service must be specified"),
        ({"Target": "db"}, "ClientCertURI not a valid Connect identifier"),
        ({"Target": "db", "Odd": 1}, 'json: unknown field "Odd"'),
    ],
)
async def test_what_authorize_refuses(
    body: dict[str, Any], text: str, make_host: MakeHost, client_of: ClientOf
) -> None:
    """400, and what is wrong."""
    async with client_of(agent_app(make_host(upstream=Catalog()), Endpoint())) as client:
        answer = await client.post("/v1/agent/connect/authorize", json=body)
    assert (answer.status_code, text in answer.text) == (400, True), answer.text


async def test_a_catalog_in_trouble_is_passed_on(make_host: MakeHost, client_of: ClientOf) -> None:
    """Never an allowance."""

    async def trouble(method: str, target: str, headers: Headers, body: bytes) -> Passed:
        await trio.lowlevel.checkpoint()
        if "check" in target:
            return Passed(500, (), b"broken")
        return Passed(200, (), b'{"TrustDomain": "td.example"}') if "roots" in target else Passed(500, (), b"")

    async with client_of(agent_app(make_host(upstream=trouble), Endpoint())) as client:
        answer = await client.post("/v1/agent/connect/authorize", json={"Target": "db", "ClientCertURI": WEB})
        assert (answer.status_code, answer.text) == (500, "broken")
    async with client_of(agent_app(make_host(), Endpoint())) as client:
        answer = await client.post("/v1/agent/connect/authorize", json={"Target": "db", "ClientCertURI": WEB})
        assert answer.status_code == 503
