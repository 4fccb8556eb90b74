"""Reaching one endpoint: the address (its own or a gateway's), the TLS handshake, and the proof that it is the service meant.

The proof holds for as long as the connection stands: who dialled asks `find_fault` whenever policy or time may have changed it.
"""

import random
import ssl
from weakref import WeakKeyDictionary

from mesh.decide.reach import GatewayMode, reach
from mesh.identity.peer import Peer, PeerRefusedError, explain_handshake_failure, inspect_peer, recheck_peer
from mesh.model.chain import Target
from mesh.model.endpoint import Endpoint, instance_label
from mesh.model.identity import SpiffeId, service_id, service_sni
from mesh.model.snapshot import Roots, Snapshot
from mesh.proxy.parts import Parts
from mesh.transport.dial import DialError, dial_tcp, notice_dead_peer
from mesh.transport.standing import root_digest, trusted_digests
from mesh.transport.tls import HandshakeError, handshake


class UnreachableError(OSError):
    """The endpoint could not be used: not reached, or not who it should be. The text says which."""


class Dialler:
    """Dials endpoints of other services by the current snapshot and our current certificate."""

    def __init__(self, parts: Parts, snapshot: Snapshot, mode: GatewayMode) -> None:
        self.parts = parts
        self.snapshot = snapshot
        self._mode = mode
        self._known: WeakKeyDictionary[ssl.SSLSocket, tuple[Peer, Target, bytes]] = WeakKeyDictionary()

    def is_local(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint is in our own network."""
        return endpoint.network == self.snapshot.local.network

    async def dial(self, endpoint: Endpoint, target: Target, alpn: tuple[str, ...]) -> ssl.SSLSocket:
        """A verified TLS connection to `endpoint`, which is an instance of `target`.

        Raises:
            UnreachableError: see there.
        """
        parts, local = self.parts, self.snapshot.local
        hops = reach(endpoint, local.network, self.snapshot.gateways, self._mode)
        if not hops:
            raise UnreachableError(f"no gateway to network {endpoint.network} is known")
        hop = random.choice(hops)  # noqa: S311 - spreads load, keeps no secret
        datacenter = target.datacenter or local.datacenter
        # A gateway must lead to the very instance that was picked, not to any of its service.
        which = target.subset if self.is_local(endpoint) else instance_label(endpoint)
        sni = service_sni(target.service, datacenter, local.trust_domain, which)
        timeouts = parts.timeouts
        try:
            sock = await dial_tcp(hop.address, hop.port, timeout_s=target.connect_timeout_s or timeouts.connect_s)
            notice_dead_peer(sock, must_read=True)
            context = parts.identity.client_context(alpn)
            tls = await handshake(sock, context, server_name=sni, timeout_s=timeouts.handshake_s)
        except DialError as error:
            raise UnreachableError(str(error.strerror)) from error
        except HandshakeError as error:
            cause = error.__cause__
            text = explain_handshake_failure(cause) if isinstance(cause, OSError) else str(error)
            raise UnreachableError(f"{hop.address}:{hop.port}: {text}") from error
        try:
            peer = inspect_peer(tls, self._roots, parts.wall_clock())
        except PeerRefusedError as error:
            tls.close()
            raise UnreachableError(f"{hop.address}:{hop.port}: {error.reason}") from error
        wanted = self._wanted(target)
        if peer.spiffe_id != wanted:
            tls.close()
            raise UnreachableError(f"{hop.address}:{hop.port} is {peer.spiffe_id}, not {wanted}")
        self._known[tls] = (peer, target, root_digest(tls))
        fault = self.find_fault(tls)
        if fault:
            # The bundle, or who is meant, has changed while hands were shaken.
            tls.close()
            raise UnreachableError(f"{hop.address}:{hop.port}: {fault}")
        return tls

    def find_fault(self, tls: ssl.SSLSocket) -> str:
        """Why a connection that was dialled may not go on: its peer's certificate is revoked, has expired, stands on a root that is gone, or is not who is meant now; empty: it may."""
        known = self._known.get(tls)
        if known is None:
            return ""
        peer, target, root = known
        try:
            recheck_peer(peer, self._roots, self.parts.wall_clock())
        except PeerRefusedError as error:
            return error.reason
        if root not in trusted_digests(self.parts.identity.roots):
            return f"the root of {peer.spiffe_id}'s certificate is trusted no more"
        wanted = self._wanted(target)
        return "" if peer.spiffe_id == wanted else f"{peer.spiffe_id} is not {wanted}, who is meant now"

    @property
    def _roots(self) -> Roots:
        return self.snapshot.roots or self.parts.identity.roots

    def _wanted(self, target: Target) -> SpiffeId:
        local = self.snapshot.local
        return service_id(local.trust_domain, target.datacenter or local.datacenter, target.service)
