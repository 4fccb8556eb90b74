"""How a connection to the agent or the catalog is opened.

Over TLS the other end must show a certificate of the catalog (SPIFFE kind server): its host name proves nothing, for the
connection may have come through mesh gateways.
"""

import ssl
import time
from collections.abc import Callable
from typing import Protocol

import trio

from mesh.identity.live import LiveIdentity
from mesh.identity.peer import HasPeerCertificate, PeerRefusedError, check_peer, explain_handshake_failure
from mesh.model.identity import Kind, SpiffeId, server_sni
from mesh.model.snapshot import Roots
from mesh.sync.link.address import HostPort
from mesh.sync.link.errors import UnreachableError

CONNECT_TIMEOUT_S = 5.0
HANDSHAKE_TIMEOUT_S = 10.0


class Dialler(Protocol):
    """Opens connections to one address."""

    @property
    def name(self) -> str:
        """The address, for texts."""

    @property
    def host(self) -> str:
        """What goes into the Host header."""

    @property
    def generation(self) -> int:
        """Connections opened in an earlier generation are not used again."""

    async def dial(self) -> trio.abc.Stream:
        """A new connection, or `UnreachableError`."""


class UnixDialler:
    """Reaches the agent through its Unix socket: the socket's file rights are the access rule."""

    host = "localhost"
    generation = 0

    def __init__(self, path: str) -> None:
        self._path = path
        self.name = f"unix:{path}"

    async def dial(self) -> trio.abc.Stream:
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                return await trio.open_unix_socket(self._path)
        except (OSError, trio.TooSlowError) as error:
            raise UnreachableError(f"{self.name}: {_said(error)}") from error


class PlainDialler:
    """Reaches an agent's Consul API on loopback, without TLS."""

    generation = 0

    def __init__(self, address: HostPort) -> None:
        self._address = address
        self.name = self.host = str(address)

    async def dial(self) -> trio.abc.Stream:
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                return await trio.open_tcp_stream(self._address.host, self._address.port)
        except (OSError, trio.TooSlowError) as error:
            raise UnreachableError(f"{self.name}: {_said(error)}") from error


class CatalogDialler:
    """Reaches the catalog's mesh port with this process's own certificate, checked to be a catalog server's."""

    def __init__(self, address: HostPort, identity: LiveIdentity, now_s: Callable[[], float] = time.time) -> None:
        self._address = address
        self._identity = identity
        self._now_s = now_s
        self.name = str(address)

    @property
    def host(self) -> str:
        return self._server_name

    @property
    def generation(self) -> int:
        return self._identity.version

    @property
    def _server_name(self) -> str:
        own = self._identity.spiffe_id
        return server_sni(own.datacenter, own.trust_domain)

    async def dial(self) -> trio.abc.Stream:
        identity = self._identity
        stream = await open_tls(self._address, identity.client_context(("http/1.1",)), self._server_name)
        try:
            check_server(stream, identity.roots, self._now_s(), identity.spiffe_id.datacenter)
        except PeerRefusedError as error:
            await trio.aclose_forcefully(stream)
            raise UnreachableError(f"{self.name}: {error}") from error
        return stream


def check_server(connection: HasPeerCertificate, roots: Roots, now_s: float, datacenter: str = "") -> SpiffeId:
    """The peer's SPIFFE ID, if it is a catalog server's (of `datacenter`, if one is given).

    Raises:
        PeerRefusedError: it is not.
    """
    peer = check_peer(connection, roots, now_s)
    if peer.kind is not Kind.SERVER or (datacenter and peer.datacenter != datacenter):
        raise PeerRefusedError(f"{peer} is no catalog server{f' of datacenter {datacenter}' if datacenter else ''}")
    return peer


async def open_tls(address: HostPort, context: ssl.SSLContext, server_name: str) -> "trio.SSLStream[trio.SocketStream]":
    """Connect and finish the handshake; whom one has reached is still to be checked.

    Raises:
        UnreachableError: refused, too slow, or the handshake failed; the text says which.
    """
    try:
        with trio.fail_after(CONNECT_TIMEOUT_S):
            plain = await trio.open_tcp_stream(address.host, address.port)
    except (OSError, trio.TooSlowError) as error:
        raise UnreachableError(f"{address}: {_said(error)}") from error
    stream = trio.SSLStream(plain, context, server_hostname=server_name, https_compatible=True)
    try:
        with trio.fail_after(HANDSHAKE_TIMEOUT_S):
            await stream.do_handshake()
    except (trio.BrokenResourceError, trio.TooSlowError) as error:
        await trio.aclose_forcefully(stream)
        cause = error.__cause__
        text = (
            explain_handshake_failure(cause)
            if isinstance(cause, OSError)
            else "the peer closed the connection during the handshake"
        )
        raise UnreachableError(
            f"{address}: {_said(error) if isinstance(error, trio.TooSlowError) else text}"
        ) from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def _said(error: BaseException) -> str:
    if isinstance(error, trio.TooSlowError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
