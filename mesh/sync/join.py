"""Joining: the first certificate of a host or a pod, for a one-time token or a service-account token.

The catalog is verified before the token leaves: by its root certificate in a file, or by a pin (`sha256:` and the hex SHA-256 of
the root's DER), for which the root is fetched over a connection that nothing secret travels on.
"""

import hashlib
import hmac
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import trio

from mesh.identity.context import UnusableIdentityError, client_context
from mesh.identity.leaf import Leaf, make_leaf
from mesh.identity.peer import PeerRefusedError
from mesh.identity.request import make_key_and_csr
from mesh.model.identity import InvalidIdentityError, SpiffeId, parse_spiffe_id
from mesh.model.snapshot import Root, Roots
from mesh.sync.link.address import HostPort
from mesh.sync.link.dial import check_server, open_tls
from mesh.sync.link.errors import BadAnswerError, RefusedError, SyncError, UnreachableError
from mesh.sync.link.http import ConnectionBrokenError, HttpAnswer, HttpConnection
from mesh.wire.sync import JOIN_PATH, MAX_REQUEST_BYTES, JoinRequest, JoinResponse

ROOTS_PATH = "/v1/connect/ca/roots?pem=true"
JOIN_SERVER_NAME = "server.join"
"""The server name of whoever joins and cannot know the trust domain yet: mesh gateways pass it on to the catalog."""
PIN_PREFIX = "sha256:"
JOIN_TIMEOUT_S = 30.0
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

Name = Callable[[str, str], SpiffeId]
"""Makes the identity to ask for from the trust domain and the datacenter that the catalog shows."""


class CatalogNotTrustedError(SyncError):
    """What answered is not the catalog that the pin or the root file names. Nothing secret was sent."""


class Trust(msgspec.Struct, frozen=True):
    """How the catalog is known before joining: by a pin or by root certificates in PEM; exactly one of them."""

    pin: str = ""
    roots_pem: tuple[str, ...] = ()


class JoinAsk(msgspec.Struct, frozen=True):
    """What is asked for: `name` of the identity, proved by `token` under `method` ("token" or "kubernetes")."""

    name: Name
    method: str
    token: str
    network: str = ""
    server_name: str = ""

    def __repr__(self) -> str:
        return f"JoinAsk(method={self.method!r}, network={self.network!r})"


class Joined(msgspec.Struct, frozen=True):
    """The outcome: a leaf, the bundle to verify with from now on, and which services this identity may have leaves for."""

    leaf: Leaf
    roots: Roots
    datacenter: str
    services: tuple[str, ...] = ()


async def join(
    addresses: Sequence[HostPort],
    trust: Trust,
    ask: JoinAsk,
    make_key: Callable[[str], Awaitable[tuple[bytes, str]]] = make_key_and_csr,
    now_s: Callable[[], float] = time.time,
) -> Joined:
    """Join at the first address that answers.

    Raises:
        CatalogNotTrustedError: the catalog is not the one that `trust` names.
        RefusedError: the catalog refuses the token or the name.
        SyncError: unreachable or a bad answer.
    """
    failures: list[str] = []
    for address in addresses:
        try:
            with trio.fail_after(JOIN_TIMEOUT_S):
                return await _join_at(address, trust, ask, make_key, now_s)
        except UnreachableError as error:
            failures.append(str(error))
        except trio.TooSlowError:
            failures.append(f"{address}: joining took over {JOIN_TIMEOUT_S:.0f} s")
        except ConnectionBrokenError as error:
            failures.append(f"{address}: {error}")
    raise UnreachableError("; ".join(failures) or "no catalog address is set")


async def _join_at(
    address: HostPort,
    trust: Trust,
    ask: JoinAsk,
    make_key: Callable[[str], Awaitable[tuple[bytes, str]]],
    now_s: Callable[[], float],
) -> Joined:
    server_name = ask.server_name or JOIN_SERVER_NAME
    roots_pem = trust.roots_pem or (await _fetch_pinned_root(address, server_name, trust.pin),)
    trusted = Roots("", 0, tuple(Root(str(number), pem) for number, pem in enumerate(roots_pem)))
    try:
        context = client_context(None, trusted, ("http/1.1",))
    except UnusableIdentityError as error:
        raise CatalogNotTrustedError(f"the catalog's root certificate cannot be used: {error}") from error
    stream = await open_tls(address, context, server_name)
    try:
        server = _check_catalog(stream, trusted, now_s())
        uri = str(ask.name(server.trust_domain, server.datacenter))
        key_pem, csr_pem = await make_key(uri)
        body = msgspec.json.encode(JoinRequest(ask.method, ask.token, csr_pem, ask.network))
        answer = await _exchange(stream, server_name, "POST", JOIN_PATH, body)
    finally:
        await trio.aclose_forcefully(stream)
    return _read_answer(answer, uri, key_pem, server)


def _check_catalog(stream: "trio.SSLStream[trio.SocketStream]", trusted: Roots, now_s: float) -> SpiffeId:
    """The catalog server's identity. Its trust domain is taken from its own certificate: the pinned root vouches for it."""
    certificate: dict[str, Any] = stream.getpeercert() or {}
    uris = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
    try:
        own_domain = parse_spiffe_id(uris[0]).trust_domain if uris else ""
        return check_server(stream, msgspec.structs.replace(trusted, trust_domain=own_domain), now_s)
    except (PeerRefusedError, InvalidIdentityError) as error:
        raise CatalogNotTrustedError(f"what answered is no catalog: {error}") from error


def _read_answer(answer: HttpAnswer, uri: str, key_pem: bytes, server: SpiffeId) -> Joined:
    if answer.status != 200:
        raise RefusedError(answer.status, answer.first_line)
    try:
        joined = msgspec.json.decode(answer.body, type=JoinResponse)
    except msgspec.DecodeError as error:
        raise BadAnswerError(f"the answer is no JoinResponse: {error}") from error
    if joined.leaf.uri != uri or (joined.trust_domain, joined.datacenter) != (server.trust_domain, server.datacenter):
        raise BadAnswerError(f"asked for a certificate of {uri}, got one of {joined.leaf.uri[:200]}")
    roots = Roots(joined.trust_domain, 0, tuple(Root(str(number), pem) for number, pem in enumerate(joined.roots_pem)))
    return Joined(make_leaf(joined.leaf, key_pem), roots, joined.datacenter, joined.services)


async def _fetch_pinned_root(address: HostPort, server_name: str, pin: str) -> str:
    """The root certificate that fits the pin. The connection is not verified, and nothing secret is sent on it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    stream = await open_tls(address, context, server_name)
    try:
        answer = await _exchange(stream, server_name, "GET", ROOTS_PATH)
    finally:
        await trio.aclose_forcefully(stream)
    if answer.status != 200:
        raise RefusedError(answer.status, answer.first_line)
    return find_pinned(answer.body.decode("utf-8", "replace"), pin)


async def _exchange(
    stream: "trio.SSLStream[trio.SocketStream]", host: str, method: str, path: str, body: bytes = b""
) -> HttpAnswer:
    headers = [("content-type", "application/json")]
    return await HttpConnection(stream, host).exchange(method, path, headers, body, max_body_bytes=MAX_REQUEST_BYTES)


def split_pem(text: str) -> tuple[str, ...]:
    """Every certificate block in a PEM text."""
    blocks = (block.partition(_END) for block in text.split(_BEGIN)[1:])
    return tuple(f"{_BEGIN}{inner}{_END}\n" for inner, end, _ in blocks if end)


def pin_of(root_pem: str) -> str:
    """The pin of a root certificate.

    Raises:
        ValueError: it is no PEM certificate.
    """
    return PIN_PREFIX + hashlib.sha256(ssl.PEM_cert_to_DER_cert(root_pem)).hexdigest()


def find_pinned(roots_pem: str, pin: str) -> str:
    """The certificate among `roots_pem` that has this pin.

    Raises:
        CatalogNotTrustedError: there is none.
    """
    wanted = pin.strip().lower()
    if not wanted.startswith(PIN_PREFIX) or len(wanted) != len(PIN_PREFIX) + 64:
        raise CatalogNotTrustedError(f"the pin {pin[:80]!r} is none: expected sha256: and 64 hex digits")
    for block in split_pem(roots_pem):
        try:
            found = pin_of(block)
        except ValueError:
            continue
        if hmac.compare_digest(found.encode(), wanted.encode()):
            return block
    raise CatalogNotTrustedError(
        f"the catalog shows no root certificate with the pin {wanted}: is this the right catalog?"
    )
