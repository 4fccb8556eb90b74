"""The child process that makes a key: a SPIFFE ID on stdin, a P-256 key and a certificate request in PEM on stdout.

Run as `python -I -m mesh.identity.keygen`, so that `cryptography` (15 MB) never enters a proxy. It must never write
anywhere but stdout, nor take the name from its arguments.
"""

import sys

from mesh.model.identity import InvalidIdentityError, parse_spiffe_id

MAX_URI_BYTES = 2048


def make_key_and_csr_pem(uri: str) -> bytes:
    """A new P-256 key (PKCS #8) and a request signed by it, with exactly one URI SAN, one PEM block after the other.

    Raises:
        InvalidIdentityError: `uri` is no SPIFFE ID of the mesh.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    name = str(parse_spiffe_id(uri))
    key = ec.generate_private_key(ec.SECP256R1())
    san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(san, critical=True)
    csr = request.sign(key, hashes.SHA256())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + csr.public_bytes(Encoding.PEM)


def main() -> int:
    """Read one name, write one key and one request; 2 and a line on stderr if the name is none."""
    uri = sys.stdin.buffer.read(MAX_URI_BYTES + 1).decode("utf-8", "replace").strip()
    try:
        pem = make_key_and_csr_pem(uri)
    except InvalidIdentityError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.buffer.write(pem)
    return 0


if __name__ == "__main__":
    sys.exit(main())
