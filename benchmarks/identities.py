"""Prints, as JSON, a throw-away root and one SPIFFE leaf for each service named: `python -m benchmarks.identities web api`.

A process of its own, so that the hops and their parent never import cryptography.
"""

import datetime as dt
import sys
import uuid

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh.identity.leaf import Leaf
from mesh.model.identity import service_id
from mesh.model.snapshot import Root, Roots

TRUST_DOMAIN = "bench.mesh"
DATACENTER = "dc1"
HOUR = dt.timedelta(hours=1)


class Identities(msgspec.Struct, frozen=True):
    """The bundle, and a leaf by service."""

    roots: Roots
    leaves: dict[str, Leaf]


class Authority:
    """A root that signs whatever it is asked for: for measurements and tests only."""

    def __init__(self, trust_domain: str = TRUST_DOMAIN) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"root {uuid.uuid4().hex[:8]}")])
        self._trust_domain = trust_domain
        self._certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def roots(self) -> Roots:
        """The trust bundle with just this root."""
        pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        return Roots(self._trust_domain, 1, (Root("root", pem),))

    def leaf(self, service: str, life: dt.timedelta = 24 * HOUR) -> Leaf:
        """A leaf for a service, valid from an hour ago until `life` from now."""
        uri = str(service_id(self._trust_domain, DATACENTER, service))
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            self._builder(x509.Name([]), key, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Leaf(
            certificate_pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
            key_pem=key_pem,
            uri=uri,
            serial=f"{certificate.serial_number:x}",
            not_before_s=certificate.not_valid_before_utc.timestamp(),
            not_after_s=certificate.not_valid_after_utc.timestamp(),
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, life: dt.timedelta = 24 * HOUR
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - HOUR)
            .not_valid_after(now + life)
        )


if __name__ == "__main__":
    authority = Authority()
    made = Identities(authority.roots, {name: authority.leaf(name) for name in sys.argv[1:]})
    sys.stdout.buffer.write(msgspec.json.encode(made))
