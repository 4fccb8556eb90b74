"""Who is at the other end of an inbound connection, and what follows from it for every request on it."""

import hashlib
import ssl

from mesh.identity.peer import Peer
from mesh.model.identity import SpiffeId
from mesh.proxy.record import Pair, Recorder

OUTSIDE = "other"
"""The metric label of callers that are no service of this mesh."""


class Caller:
    """One peer by its certificate. `lines` tell the application who calls: its X-Forwarded-Client-Cert."""

    __slots__ = ("lines", "pair", "peer", "source")

    def __init__(self, peer: Peer, own_uri: str, certificate: bytes, recorder: Recorder, destination: str) -> None:
        self.peer = peer
        self.source = peer.spiffe_id.name or OUTSIDE
        self.pair = Pair(recorder, self.source, destination)
        digest = hashlib.sha256(certificate).hexdigest()
        self.lines = f"x-forwarded-client-cert: By={own_uri};Hash={digest};URI={peer.spiffe_id}\r\n".encode()

    @property
    def spiffe_id(self) -> SpiffeId:
        """Its identity."""
        return self.peer.spiffe_id


def certificate_of(tls: ssl.SSLSocket) -> bytes:
    """The peer's certificate in DER."""
    return tls.getpeercert(binary_form=True) or b""
