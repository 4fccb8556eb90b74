"""The Unix socket's app: sync, leaf, registration, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agents.vm.api.host import Host
from agents.vm.relay.relay import Relay
from agents.vm.relay.socket_app import ProxyEndpoints, socket_app
from mesh.sync.cache import ResourceCache
from mesh.sync.link.errors import RefusedError, UnreachableError
from mesh.wire.sync import LeafResponse, Resource, SyncRequest, SyncResponse

WEB = "spiffe://td/ns/default/dc/dc1/svc/web"


class FakeCatalog:
    """Gives every resource version 1, and a leaf to whoever asks, or an error."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.signed: list[str] = []

    async def call(self, request: SyncRequest) -> SyncResponse:
        new = [want.name for want in request.wants if not want.version]
        if not new:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        return SyncResponse(3, tuple(Resource(name, "1", msgspec.Raw(b'{"a": 1}')) for name in new))

    async def leaf(self, csr_pem: str) -> LeafResponse:
        if self.error is not None:
            raise self.error
        self.signed.append(csr_pem)
        return LeafResponse("cert", WEB, "01", 0, 1)


def leaf_body(uri: str) -> bytes:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    request = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return json.dumps({"csr_pem": request.public_bytes(serialization.Encoding.PEM).decode()}).encode()


@pytest.fixture
def scene(
    tmp_path: Path,
    make_host: Callable[..., Host],
    client_of: Callable[[Any], httpx2.AsyncClient],
    nursery: trio.Nursery,
) -> tuple[FakeCatalog, httpx2.AsyncClient]:
    catalog = FakeCatalog()
    relay = Relay(catalog, ResourceCache(tmp_path / "r.json", "n"), lambda: 0.5)
    nursery.start_soon(relay.run)
    host = make_host()
    return catalog, client_of(socket_app(host, ProxyEndpoints(host, relay, catalog, "td")))


async def test_sync_is_answered_from_the_book(scene: tuple[FakeCatalog, httpx2.AsyncClient]) -> None:
    """A resource's body goes through untouched; what is no request is 400."""
    _, client = scene
    async with client:
        answer = await client.post("/v1/linkspan/sync", content=b'{"wants": [{"name": "chain/a"}]}')
        assert answer.json() == {
            "index": 3,
            "changed": [{"name": "chain/a", "version": "1", "body": {"a": 1}}],
            "removed": [],
        }
        for body in (b"", b"[]", b'{"wants": 1}'):
            assert (await client.post("/v1/linkspan/sync", content=body)).status_code == 400
        assert (await client.get("/v1/linkspan/sync")).status_code == 405


@pytest.mark.parametrize(
    "name", ["chain/my_db", "chain/Web", "chain/", "chain", "roots/x", "weather/a", "", "/", "mesh/"]
)
async def test_one_proxys_impossible_want_is_its_own_trouble(
    scene: tuple[FakeCatalog, httpx2.AsyncClient], name: str
) -> None:
    """The catalog refuses a call that holds it, and there is one call for all proxies of the host: it must not get in."""
    _, client = scene
    async with client:
        refused = await client.post("/v1/linkspan/sync", json={"wants": [{"name": "chain/a"}, {"name": name}]})
        assert (refused.status_code, "there is no resource" in refused.text) == (400, True)
        other = await client.post("/v1/linkspan/sync", json={"wants": [{"name": "endpoints/b"}, {"name": "networks"}]})
        assert [one["name"] for one in other.json()["changed"]] == ["endpoints/b", "networks"]


async def test_leaf_needs_a_registration_here(scene: tuple[FakeCatalog, httpx2.AsyncClient]) -> None:
    """Refused before the catalog sees it; after registering on the same socket it is passed on."""
    catalog, client = scene
    async with client:
        refused = await client.post("/v1/linkspan/leaf", content=leaf_body(WEB))
        assert (refused.status_code, "register it first" in refused.text) == (403, True)
        assert not catalog.signed
        registered = await client.put("/v1/agent/service/register", json={"Name": "web"})
        assert registered.status_code == 200
        given = await client.post("/v1/linkspan/leaf", content=leaf_body(WEB))
        assert (given.status_code, given.json()["uri"]) == (200, WEB)
        assert len(catalog.signed) == 1
        assert (await client.post("/v1/linkspan/leaf", content=b"{}")).status_code == 400


@pytest.mark.parametrize(
    ("error", "status"), [(RefusedError(403, "not granted"), 403), (UnreachableError("away"), 503)]
)
async def test_the_catalogs_refusal_is_passed_on(
    error: Exception, status: int, scene: tuple[FakeCatalog, httpx2.AsyncClient]
) -> None:
    """With its own status and text."""
    catalog, client = scene
    catalog.error = error
    async with client:
        await client.put("/v1/agent/service/register", json={"Name": "web"})
        answer = await client.post("/v1/linkspan/leaf", content=leaf_body(WEB))
    assert answer.status_code == status
    assert answer.text


async def test_nothing_else_is_served(scene: tuple[FakeCatalog, httpx2.AsyncClient]) -> None:
    """The socket is no way to the catalog."""
    _, client = scene
    async with client:
        for target in ("/v1/catalog/services", "/v1/linkspan/join", "/ui/"):
            assert (await client.get(target)).status_code == 404
