"""The signer: make a root and sign leaves with it. P-256 throughout.

The key is never given out: this module's functions take a `RootKey` and return certificates. What may be signed is
decided before (`rules`, `request`).
"""

import datetime as dt
import ipaddress
import uuid
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from catalog.authority.request import PublicKey
from catalog.authority.rules import backdate_s
from mesh.model.identity import Kind, SpiffeId, server_sni, service_sni
from mesh.model.names import check_trust_domain
from mesh.wire.sync import LeafResponse

ROOT_YEARS = 10
ROOT_BACKDATE_S = 3600.0


class RootKey(NamedTuple):
    """The root: its certificate, and the key that must stay in this process."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    trust_domain: str

    def __repr__(self) -> str:
        return f"RootKey({self.trust_domain!r})"

    @property
    def pem(self) -> str:
        """The root certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def id(self) -> str:
        """The certificate's SHA-256 fingerprint, as Consul shows a root's ID: hexadecimal with colons."""
        return self.certificate.fingerprint(hashes.SHA256()).hex(":")


def new_trust_domain() -> str:
    """A trust domain that no other mesh has: `<uuid>.consul`, as Consul makes them."""
    return f"{uuid.uuid4()}.consul"


def make_root(trust_domain: str, now_s: float) -> RootKey:
    """A new root for a trust domain, valid for `ROOT_YEARS`, limited to URI names of that trust domain."""
    check_trust_domain(trust_domain)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Linkspan CA {trust_domain}"[:64])])
    start = _time(now_s - ROOT_BACKDATE_S)
    usage = {"key_cert_sign": True, "crl_sign": True, "digital_signature": False}
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=365 * ROOT_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_key_usage(**usage), critical=True)
        .add_extension(
            x509.NameConstraints([x509.UniformResourceIdentifier(trust_domain)], excluded_subtrees=None), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return RootKey(certificate, key, trust_domain)


def sign_leaf(root: RootKey, asked: SpiffeId, public_key: PublicKey, now_s: float, ttl_s: float) -> LeafResponse:
    """Sign a leaf for `asked`: exactly one URI SAN, DNS names that foreign clients verify by, never an authority."""
    not_before, not_after = _time(now_s - backdate_s(ttl_s)), _time(now_s + ttl_s)
    not_after = min(not_after, root.certificate.not_valid_after_utc)
    serial = x509.random_serial_number()
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(root.certificate.subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True, key_cert_sign=False, crl_sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False)
        # RFC 5280 4.2.1.6: critical, because the subject is empty.
        .add_extension(x509.SubjectAlternativeName(_names(asked)), critical=True)
        .sign(root.key, hashes.SHA256())
    )
    return LeafResponse(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        str(asked),
        _serial_text(serial),
        not_before.timestamp(),
        not_after.timestamp(),
    )


def _names(asked: SpiffeId) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(asked))]
    if asked.kind is Kind.SERVICE:
        names.append(x509.DNSName(service_sni(asked.name, asked.datacenter, asked.trust_domain)))
    elif asked.kind is Kind.SERVER:
        names.append(x509.DNSName(server_sni(asked.datacenter, asked.trust_domain)))
        names.append(x509.DNSName("localhost"))
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    return names


def _serial_text(serial: int) -> str:
    """Upper-case hexadecimal of whole bytes, as `ssl`'s `getpeercert` prints a serial number."""
    text = f"{serial:X}"
    return text.zfill(len(text) + len(text) % 2)


def _time(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)


def _key_usage(*, digital_signature: bool, key_cert_sign: bool, crl_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
