"""Certificate requests from outside: parse one and judge everything about it but the name's right to be asked for.

Of a request only its public key and its one URI SAN are used; whatever else it asks for is refused or ignored.
"""

from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from catalog.authority.rules import IssueRefusedError
from mesh.model.identity import InvalidIdentityError, SpiffeId, parse_spiffe_id

MAX_CSR_BYTES = 16 * 1024
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 4096

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class CheckedRequest(NamedTuple):
    """What is left of a request that passed: the key to certify and the identity asked for."""

    public_key: PublicKey
    asked: SpiffeId


def check_request(csr_pem: str) -> CheckedRequest:
    """Parse a PEM certificate request and judge it.

    Raises:
        IssueRefusedError: too large, not a request, its own signature is wrong, a weak key, not exactly one URI SAN,
            that is no SPIFFE ID of the mesh, or it asks to be an authority.
    """
    if len(csr_pem) > MAX_CSR_BYTES:
        raise IssueRefusedError(f"the certificate request is larger than {MAX_CSR_BYTES} bytes")
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode("ascii"))
        # The key first: verifying with a huge key is work that a stranger could make us do.
        public_key = _checked_key(csr.public_key())
        if not csr.is_signature_valid:
            raise IssueRefusedError("the certificate request is not signed by its own key")
        extensions = list(csr.extensions)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise IssueRefusedError(f"the certificate request cannot be read: {str(error)[:200]}") from error
    return CheckedRequest(public_key, _asked(extensions))


def _checked_key(key: object) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return key
    raise IssueRefusedError("the request's key must be ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits")


def _asked(extensions: list[x509.Extension[x509.ExtensionType]]) -> SpiffeId:
    uris: list[str] = []
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            raise IssueRefusedError("the certificate request asks to be an authority")
        if isinstance(value, x509.KeyUsage) and (value.key_cert_sign or value.crl_sign):
            raise IssueRefusedError("the certificate request asks for the right to sign certificates")
        if isinstance(value, x509.SubjectAlternativeName):
            uris += value.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise IssueRefusedError(f"the certificate request has {len(uris)} URI SANs, not exactly one")
    try:
        return parse_spiffe_id(uris[0])
    except InvalidIdentityError as error:
        raise IssueRefusedError(f"the certificate request: {error}") from error
