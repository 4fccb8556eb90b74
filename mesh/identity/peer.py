"""The judgement on a peer's certificate after a handshake, and words for handshakes that OpenSSL refused.

OpenSSL has verified chain and purpose; this checks again what it does not repeat (expiry, revocation) and what it does not
know (SPIFFE: exactly one URI SAN, our trust domain). Every mesh connection passes here before its first byte is used.
"""

import ssl
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from mesh.identity.leaf import normal_serial
from mesh.model.identity import InvalidIdentityError, SpiffeId, parse_spiffe_id
from mesh.model.snapshot import Roots


class PeerRefusedError(Exception):
    """The peer's certificate is not acceptable. `reason` is one line that says which rule it breaks."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HasPeerCertificate(Protocol):
    """A TLS connection after its handshake: `ssl.SSLSocket`, `ssl.SSLObject`, `trio.SSLStream`."""

    def getpeercert(self) -> Mapping[str, Any] | None:
        """The peer's certificate as `ssl` decodes it."""


class Peer(msgspec.Struct, frozen=True):
    """Who is at the other end, and by which certificate."""

    spiffe_id: SpiffeId
    serial: str
    not_after_s: float


def check_peer(connection: HasPeerCertificate | Mapping[str, Any] | None, roots: Roots, now_s: float) -> SpiffeId:
    """The SPIFFE ID of the peer of a finished handshake (or of its decoded certificate).

    Raises:
        PeerRefusedError: see `inspect_peer`.
    """
    return inspect_peer(connection, roots, now_s).spiffe_id


def inspect_peer(connection: HasPeerCertificate | Mapping[str, Any] | None, roots: Roots, now_s: float) -> Peer:
    """The peer with its certificate's serial and end, for those who must check again later (`recheck_peer`).

    Raises:
        PeerRefusedError: no certificate, not exactly one URI SAN, no SPIFFE ID, another trust domain, expired, revoked.
    """
    certificate = connection if connection is None or isinstance(connection, Mapping) else connection.getpeercert()
    if not certificate:
        raise PeerRefusedError("the peer showed no certificate")
    uris = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
    if len(uris) != 1:
        raise PeerRefusedError(f"the peer's certificate has {len(uris)} URI SANs, not exactly one")
    try:
        spiffe_id = parse_spiffe_id(uris[0])
    except InvalidIdentityError as error:
        raise PeerRefusedError(f"the peer's certificate: {error}") from error
    peer = Peer(spiffe_id, _serial(certificate), _not_after_s(certificate))
    recheck_peer(peer, roots, now_s)
    return peer


def recheck_peer(peer: Peer, roots: Roots, now_s: float) -> None:
    """Check what changes during a connection's life: trust domain, expiry, revocation.

    Raises:
        PeerRefusedError: one of them fails now.
    """
    spiffe_id = peer.spiffe_id
    if spiffe_id.trust_domain != roots.trust_domain:
        raise PeerRefusedError(f"{spiffe_id} is of another trust domain than ours, {roots.trust_domain!r}")
    if now_s >= peer.not_after_s:
        raise PeerRefusedError(f"the certificate of {spiffe_id} expired {now_s - peer.not_after_s:.0f} s ago")
    if any(peer.serial == normal_serial(serial) for serial in roots.revoked_serials):
        raise PeerRefusedError(f"the certificate of {spiffe_id} with serial {peer.serial} is revoked")


def _serial(certificate: Mapping[str, Any]) -> str:
    serial = certificate.get("serialNumber")
    if not isinstance(serial, str):
        raise PeerRefusedError("the peer's certificate has no serial number")
    return normal_serial(serial)


def _not_after_s(certificate: Mapping[str, Any]) -> float:
    try:
        return float(ssl.cert_time_to_seconds(certificate["notAfter"]))
    except (KeyError, TypeError, ValueError) as error:
        raise PeerRefusedError("the peer's certificate has no readable end of life") from error


# OpenSSL's X509_V_ERR_* (verify(1), "Diagnostics").
_VERIFY_TEXTS = {
    2: "unknown CA: the certificate's issuer is not in our trust bundle",
    7: "unknown CA: its signature fits no root of that name in our trust bundle (another authority of the same name, or a changed certificate)",
    9: "the certificate is not valid yet: compare the clocks of both machines",
    10: "the certificate has expired",
    18: "unknown CA: the certificate is self-signed",
    19: "unknown CA: its root is not in our trust bundle",
    20: "unknown CA: the certificate's issuer is not in our trust bundle",
    21: "unknown CA: the certificate came alone and its issuer is not in our trust bundle",
    23: "the certificate is revoked",
    24: "its issuer is no certificate authority",
    26: "the certificate is not made for this use (client or server authentication)",
    79: "its issuer is no certificate authority",
}
# Reasons as `ssl` names them: what went wrong here, or the alert that the peer sent.
_REASON_TEXTS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the peer demands a client certificate and got none",
    "TLSV1_ALERT_UNKNOWN_CA": "the peer refused our certificate: unknown CA",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the peer refused our certificate: expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the peer refused our certificate: revoked",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the peer refused our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the peer refused our certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "the peer refused us",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the peer does not speak TLS 1.3",
    "UNSUPPORTED_PROTOCOL": "the peer does not speak TLS 1.3",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS",
    "HTTP_REQUEST": "the peer sent plain HTTP to a TLS port",
    "HTTPS_PROXY_REQUEST": "the peer sent plain HTTP to a TLS port",
    "UNEXPECTED_EOF_WHILE_READING": "the peer closed the connection during the handshake",
}


def explain_handshake_failure(error: ssl.SSLError | OSError) -> str:
    """One line for a failed handshake: what the peer did, or what its certificate lacks. Works on both sides."""
    code = getattr(error, "verify_code", None)
    if isinstance(error, ssl.SSLCertVerificationError) and code is not None:
        text = _VERIFY_TEXTS.get(code)
        return text or f"the certificate cannot be verified: {error.verify_message} (code {code})"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):  # which of them depends on the version of Python
        return _REASON_TEXTS["UNEXPECTED_EOF_WHILE_READING"]
    reason = getattr(error, "reason", None)
    if isinstance(reason, str):
        return _REASON_TEXTS.get(reason) or f"TLS failed: {reason.replace('_', ' ').lower()}"
    return f"the connection failed: {error.strerror or error}"
