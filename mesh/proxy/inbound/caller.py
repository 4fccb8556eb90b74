"""Who is at the other end of an inbound connection, and what follows from it for every request on it."""

import hashlib
import ssl

from mesh.decide.authorise import Policy, Verdict
from mesh.identity.peer import Peer
from mesh.model.identity import SpiffeId
from mesh.proxy.record import Pair, Recorder

OUTSIDE = "other"
"""The metric label of callers that are no service of this mesh."""


class Caller:
    """One peer by its certificate. `lines` tell the application who calls: its X-Forwarded-Client-Cert."""

    __slots__ = ("_policy", "_verdict", "lines", "pair", "peer", "root", "source")

    def __init__(self, peer: Peer, own_uri: str, certificate: bytes, recorder: Recorder, destination: str) -> None:
        self.peer = peer
        self.root = b""
        """The digest of the root that its certificate was verified by (`mesh.transport.standing`)."""
        self.source = peer.spiffe_id.name or OUTSIDE
        self.pair = Pair(recorder, self.source, destination)
        digest = hashlib.sha256(certificate).hexdigest()
        self.lines = f"x-forwarded-client-cert: By={own_uri};Hash={digest};URI={peer.spiffe_id}\r\n".encode()
        self._policy: Policy | None = None
        self._verdict: Verdict | None = None

    @property
    def spiffe_id(self) -> SpiffeId:
        """Its identity."""
        return self.peer.spiffe_id

    def verdict(self, policy: Policy) -> Verdict:
        """The policy's verdict on the connection, asked once for each policy."""
        if self._policy is not policy or self._verdict is None:
            self._verdict = policy.connection(self.peer.spiffe_id)
            self._policy = policy
        return self._verdict


def certificate_of(tls: ssl.SSLSocket) -> bytes:
    """The peer's certificate in DER."""
    return tls.getpeercert(binary_form=True) or b""
