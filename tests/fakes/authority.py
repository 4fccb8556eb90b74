"""A certificate authority for tests: roots, leaves and deliberately wrong leaves, as PEM and as the mesh's values.

It must never be imported by anything but tests.
"""

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh.identity.leaf import Leaf
from mesh.model.snapshot import Root, Roots

TRUST_DOMAIN = "test.linkspan"
DATACENTER = "dc1"
DAY_S = 86400.0


def service_uri(service: str, trust_domain: str = TRUST_DOMAIN) -> str:
    """The SPIFFE ID of a service of the test's mesh."""
    return f"spiffe://{trust_domain}/ns/default/dc/{DATACENTER}/svc/{service}"


def server_uri(trust_domain: str = TRUST_DOMAIN) -> str:
    """The SPIFFE ID of a catalog server of the test's mesh."""
    return f"spiffe://{trust_domain}/agent/server/dc/{DATACENTER}"


def node_uri(node: str) -> str:
    """The SPIFFE ID of a node of the test's mesh."""
    return f"spiffe://{TRUST_DOMAIN}/agent/client/dc/{DATACENTER}/id/{node}"


def gateway_uri(network: str) -> str:
    """The SPIFFE ID of a mesh gateway of the test's mesh."""
    return f"spiffe://{TRUST_DOMAIN}/gateway/mesh/dc/{DATACENTER}/net/{network}"


class Authority:
    """One root with its key."""

    def __init__(self, trust_domain: str = TRUST_DOMAIN, common_name: str = "test root") -> None:
        self.trust_domain = trust_domain
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        now = dt.datetime.now(dt.UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=400))
            .not_valid_after(now + dt.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.root_pem = self._certificate.public_bytes(Encoding.PEM).decode()

    def roots(self, *, index: int = 1, revoked_serials: tuple[str, ...] = ()) -> Roots:
        """The trust bundle with this root alone."""
        return Roots(self.trust_domain, index, (Root("root", self.root_pem),), revoked_serials)

    def leaf(
        self, *uris: str, begin_s: float = -3600.0, life_s: float = DAY_S, dns_names: tuple[str, ...] = ()
    ) -> Leaf:
        """A leaf with exactly the URI SANs given (also none or two); it begins `begin_s` from now and ends `life_s` from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._issue(key.public_key(), pem, uris, (begin_s, life_s), dns_names)

    def sign(self, csr_pem: str, life_s: float = DAY_S) -> Leaf:
        """The leaf for a certificate request, as an authority would issue it; its `key_pem` is empty."""
        request = x509.load_pem_x509_csr(csr_pem.encode())
        assert request.is_signature_valid
        san = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = tuple(san.get_values_for_type(x509.UniformResourceIdentifier))
        key = request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return self._issue(key, b"", uris, (-60.0, life_s), ())

    def _issue(
        self,
        key: ec.EllipticCurvePublicKey,
        key_pem: bytes,
        uris: tuple[str, ...],
        life: tuple[float, float],
        dns_names: tuple[str, ...],
    ) -> Leaf:
        now = dt.datetime.now(dt.UTC)
        begin, end = (now + dt.timedelta(seconds=offset) for offset in life)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
        )
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        names.extend(x509.DNSName(name) for name in dns_names)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Leaf(
            certificate_pem=certificate.public_bytes(Encoding.PEM).decode(),
            key_pem=key_pem,
            uri=uris[0] if uris else "",
            serial=f"{certificate.serial_number:x}",
            not_before_s=begin.timestamp(),
            not_after_s=end.timestamp(),
        )
