"""A whole catalog on real loopback sockets, in memory: plain port and mesh port, with clients for both.

It must never be imported by anything but tests. `async with open_site() as site: await site.get("/v1/catalog/nodes")`.
"""

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx2
import msgspec
import trio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from catalog.access.acl.settings import EVERYONE
from catalog.access.tokens import SECRET_BYTES, make_operator_token
from catalog.api.api import Api
from catalog.api.app import application, routes
from catalog.api.http.serve import DEFAULT_LIMITS, Limits, Listener, Server, listen, listen_plain
from catalog.authority.authority import Authority
from catalog.authority.request import CheckedRequest
from catalog.authority.signer import make_root
from catalog.engine import Catalog
from catalog.server.assembly import own_registration
from catalog.server.certificate import ServerCertificate
from catalog.store.memory import MemoryStore
from mesh.identity.context import client_context
from mesh.identity.keygen import make_key_and_csr_pem
from mesh.identity.leaf import Leaf, make_leaf
from mesh.model.identity import Kind, SpiffeId
from mesh.wire.http1.host import host_rule

TRUST_DOMAIN = "test.consul"
DATACENTER = "dc1"


class Site:
    """The running catalog as a test sees it. `client` speaks to the plain port."""

    def __init__(
        self, api: Api, engine: Catalog, server: Server, certificate: ServerCertificate, plain: str, mesh: str
    ) -> None:
        self.api = api
        self.engine = engine
        self.server = server
        self.certificate = certificate
        self.address = plain
        self.mesh_address = mesh
        self.operator_token = ""
        self.stop = trio.Event()
        self.client = httpx2.AsyncClient(base_url=f"http://{plain}", timeout=10, trust_env=False)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    async def request(self, method: str, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        """One request to the plain port; `body` is JSON unless it is bytes already."""
        return await send(self.client, method, path, body, **options)

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("GET", path, **options)

    async def put(self, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        return await self.request("PUT", path, body, **options)

    async def register(self, node: str, **fields: Any) -> None:
        """Register a node with an address, and what else is given."""
        answer = await self.put("/v1/catalog/register", {"Node": node, "Address": "192.0.2.1", **fields})
        assert (answer.status_code, answer.text) == (200, "true"), answer.text

    async def index_of(self, path: str) -> int:
        """The index that a read answers with now."""
        return int((await self.get(path)).headers["X-Consul-Index"])

    def as_operator(self) -> dict[str, str]:
        """The headers of the operator."""
        return {"X-Consul-Token": self.operator_token}

    async def leaf(self, kind: Kind, name: str, *, trust_domain: str = TRUST_DOMAIN) -> Leaf:
        """A certificate that the authority signed, whatever the rules say."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        checked = CheckedRequest(key.public_key(), SpiffeId(trust_domain, kind, DATACENTER, name))
        return make_leaf(await self.api.authority.sign(checked, time.time()), pem)

    def csr(self, kind: Kind, name: str) -> str:
        """A certificate request for a name."""
        pem = make_key_and_csr_pem(str(SpiffeId(TRUST_DOMAIN, kind, DATACENTER, name))).decode()
        return pem[pem.index("-----BEGIN CERTIFICATE REQUEST") :]

    def mesh_context(self, leaf: Leaf | None) -> ssl.SSLContext:
        """A client's TLS context for the mesh port, with or without a certificate."""
        return client_context(leaf, self.api.roots(), ("http/1.1",))

    @asynccontextmanager
    async def member(self, leaf: Leaf | None) -> AsyncIterator[httpx2.AsyncClient]:
        """A client of the mesh port."""
        context = self.mesh_context(leaf)
        async with httpx2.AsyncClient(
            base_url=f"https://{self.mesh_address}", verify=context, timeout=10, trust_env=False
        ) as client:
            yield client


async def send(client: httpx2.AsyncClient, method: str, path: str, body: Any = None, **options: Any) -> httpx2.Response:
    """One request; `body` is JSON unless it is bytes already."""
    content = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
    return await client.request(method, path, content=content, **options)


@asynccontextmanager
async def open_site(
    *,
    everyone_operates: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    with_own: bool = False,
    allowed_hosts: tuple[str, ...] = (),
    **settings: Any,
) -> AsyncIterator[Site]:
    """A running catalog; `everyone_operates` is dev mode, `with_own` registers its own node, `settings` are `Api`'s."""
    engine = await Catalog.open(MemoryStore())
    authority = Authority(make_root(TRUST_DOMAIN, time.time()), DATACENTER)
    api = Api(engine, authority, node="server", **({"acl": EVERYONE} if everyone_operates else {}), **settings)
    certificate = ServerCertificate(authority, api.roots, time.time)
    plain = listen_plain("127.0.0.1:0", host_rule(allowed_hosts))
    mesh = Listener(listen("127.0.0.1:0"), certificate.context)
    server = Server(application(routes(api)), [plain, mesh], limits)
    site = Site(api, engine, server, certificate, plain.address, mesh.address)
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        site.operator_token, change = make_operator_token(bytes(range(SECRET_BYTES)))
        await engine.submit(change)
        if with_own:
            await engine.submit(own_registration("server", "127.0.0.1", DATACENTER))
        await nursery.start(partial(server.run, site.stop, on_stop=api.parking.stop))
        try:
            yield site
        finally:
            with trio.CancelScope(shield=True):
                await site.client.aclose()
            site.stop.set()
            nursery.cancel_scope.cancel()
