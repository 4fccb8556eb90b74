"""Joining, over real TLS on loopback: the catalog is known before the token leaves."""

import hashlib
import ssl

import msgspec
import pytest
import trio

from mesh.identity.leaf import Leaf
from mesh.identity.live import LiveIdentity
from mesh.model.identity import Kind, SpiffeId
from mesh.model.snapshot import Roots
from mesh.sync.join import ROOTS_PATH, CatalogNotTrustedError, JoinAsk, Trust, find_pinned, join, pin_of, split_pem
from mesh.sync.link.address import HostPort
from mesh.sync.link.errors import BadAnswerError, RefusedError, UnreachableError
from mesh.wire.sync import JOIN_PATH, JoinRequest, JoinResponse
from tests.fakes.authority import DATACENTER, TRUST_DOMAIN, Authority, node_uri, server_uri, service_uri
from tests.fakes.catalog import response_of
from tests.fakes.http_peer import Asked, serve_http

AUTHORITY = Authority()
STRANGER = Authority(common_name="stranger")
TRUST = Trust(roots_pem=(AUTHORITY.root_pem,))


def node_name(trust_domain: str, datacenter: str) -> SpiffeId:
    """The identity that the joining host asks for."""
    return SpiffeId(trust_domain, Kind.NODE, datacenter, "vm1")


ASK = JoinAsk(node_name, "token", "s3cret", "vm-paris")


class Catalog:
    """A catalog's mesh port as whoever joins sees it: roots for everybody, a leaf for the right token."""

    def __init__(self, leaf: Leaf | None = None, roots_pem: str = "") -> None:
        self.leaf = leaf or AUTHORITY.leaf(server_uri(), dns_names=("localhost",))
        self.roots_pem = roots_pem or STRANGER.root_pem + AUTHORITY.root_pem
        self.asked: list[Asked] = []
        self.server_names: list[str | None] = []
        self.uri = ""

    async def start(self, nursery: trio.Nursery) -> HostPort:
        """Listen on loopback."""
        listeners = await nursery.start(trio.serve_tcp, self._handle, 0)
        return HostPort("127.0.0.1", listeners[0].socket.getsockname()[1])

    async def _handle(self, stream: trio.SocketStream) -> None:
        context = self._context()
        tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            await tls.do_handshake()
            await serve_http(tls, self._answer)
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(tls)

    def _context(self) -> ssl.SSLContext:
        from mesh.identity.context import server_context

        context = server_context(self.leaf, Roots("", 0, AUTHORITY.roots().roots), (), client_required=False)
        context.sni_callback = lambda _sock, name, _context: self.server_names.append(name)
        return context

    async def _answer(self, asked: Asked) -> tuple[int, bytes]:
        self.asked.append(asked)
        await trio.lowlevel.checkpoint()
        if asked.target == ROOTS_PATH:
            return 200, self.roots_pem.encode()
        assert asked.target == JOIN_PATH
        request = msgspec.json.decode(asked.body, type=JoinRequest)
        if request.token != "s3cret":
            return 403, b"Permission denied: this token was used or never existed"
        leaf = AUTHORITY.leaf(self.uri) if self.uri else AUTHORITY.sign(request.csr_pem)
        return 200, msgspec.json.encode(
            JoinResponse(response_of(leaf), (AUTHORITY.root_pem,), DATACENTER, TRUST_DOMAIN, ("web",))
        )


@pytest.mark.parametrize(
    "trust",
    [TRUST, Trust(pin=pin_of(AUTHORITY.root_pem)), Trust(pin=pin_of(AUTHORITY.root_pem).upper().replace("SHA", "sha"))],
)
async def test_joining_gives_an_identity(nursery: trio.Nursery, trust: Trust):
    """By root file or by pin: the name is made from the catalog's own domain, the leaf fits its key, the bundle is there."""
    catalog = Catalog()
    address = await catalog.start(nursery)
    joined = await join([address], trust, ASK)
    assert LiveIdentity(joined.leaf, joined.roots).leaf.uri == node_uri("vm1")
    assert (joined.datacenter, joined.services) == (DATACENTER, ("web",))
    request = msgspec.json.decode(catalog.asked[-1].body, type=JoinRequest)
    assert (request.method, request.token, request.network) == ("token", "s3cret", "vm-paris")
    assert set(catalog.server_names) == {"server.join"}
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("trust", "catalog", "words"),
    [
        (Trust(pin="sha256:" + "0" * 64), Catalog(), "no root certificate with the pin"),
        (Trust(pin="0123"), Catalog(), "expected sha256:"),
        (Trust(pin=""), Catalog(), "expected sha256:"),
        (Trust(roots_pem=("junk",)), Catalog(), "cannot be used"),
        (TRUST, Catalog(AUTHORITY.leaf(service_uri("web"))), "no catalog server"),
        (TRUST, Catalog(AUTHORITY.leaf()), "0 URI SANs"),
        (TRUST, Catalog(AUTHORITY.leaf("https://example.org/")), "no catalog"),
    ],
)
async def test_the_token_goes_to_no_stranger(nursery: trio.Nursery, trust: Trust, catalog: Catalog, words: str):
    """A wrong pin, a broken root file, a server that is no catalog: refused before anything secret is sent."""
    address = await catalog.start(nursery)
    with pytest.raises(CatalogNotTrustedError, match=words):
        await join([address], trust, ASK)
    assert all(b"s3cret" not in asked.body for asked in catalog.asked)
    nursery.cancel_scope.cancel()


async def test_another_authoritys_server_is_refused_in_the_handshake(nursery: trio.Nursery):
    """A server that does not chain to the trusted root never hears the request; the pin cannot be fooled by showing our root."""
    catalog = Catalog(STRANGER.leaf(server_uri()))
    address = await catalog.start(nursery)
    for trust in (TRUST, Trust(pin=pin_of(AUTHORITY.root_pem))):
        with pytest.raises(UnreachableError, match="unknown CA"):
            await join([address], trust, ASK)
    assert [asked.target for asked in catalog.asked] == [ROOTS_PATH]
    nursery.cancel_scope.cancel()


async def test_a_refused_token_is_final(nursery: trio.Nursery):
    """The catalog's words reach the operator."""
    address = await Catalog().start(nursery)
    with pytest.raises(RefusedError, match="403: Permission denied: this token was used"):
        await join([address], TRUST, msgspec.structs.replace(ASK, token="wrong"))
    nursery.cancel_scope.cancel()


async def test_a_leaf_of_another_name_is_refused(nursery: trio.Nursery):
    """What was asked for is what must come."""
    catalog = Catalog()
    catalog.uri = node_uri("vm2")
    address = await catalog.start(nursery)
    with pytest.raises(BadAnswerError, match="got one of"):
        await join([address], TRUST, ASK)
    nursery.cancel_scope.cancel()


async def test_the_next_address_is_tried(nursery: trio.Nursery):
    """One catalog that is away is no reason to fail."""
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    dead = HostPort("127.0.0.1", listener.socket.getsockname()[1])
    await listener.aclose()
    with pytest.raises(UnreachableError, match=str(dead)):
        await join([dead], TRUST, ASK)
    with pytest.raises(UnreachableError, match="no catalog address"):
        await join([], TRUST, ASK)
    assert (await join([dead, await Catalog().start(nursery)], TRUST, ASK)).datacenter == DATACENTER
    nursery.cancel_scope.cancel()


def test_the_token_is_not_in_the_repr():
    """A logged request shows no secret."""
    assert "s3cret" not in repr(ASK)


def test_pins_are_the_hash_of_the_whole_certificate():
    """As `openssl x509 -outform der | sha256sum` prints it."""
    der = ssl.PEM_cert_to_DER_cert(AUTHORITY.root_pem)
    assert pin_of(AUTHORITY.root_pem) == "sha256:" + hashlib.sha256(der).hexdigest()


def test_pem_texts_are_split():
    """Words around blocks do not matter, half blocks are left out, blocks that are no base64 do not fit a pin."""
    text = "root one\n" + AUTHORITY.root_pem + "junk" + STRANGER.root_pem + "-----BEGIN CERTIFICATE-----\nhalf"
    assert len(split_pem(text)) == 2
    broken = "-----BEGIN CERTIFICATE-----\n\u00fc\n-----END CERTIFICATE-----\n"
    assert find_pinned(broken + text, pin_of(STRANGER.root_pem)).strip() == STRANGER.root_pem.strip()
