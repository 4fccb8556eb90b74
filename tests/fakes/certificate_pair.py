"""A self-signed certificate with its key, as PEM texts. It must never be imported by anything but tests."""

import datetime as dt
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@lru_cache(maxsize=4)
def make_pair(number: int = 0) -> dict[str, str]:
    """The fields of an inline-certificate entry; another `number` gives another pair."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"site-{number}.example.com")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(start).not_valid_after(start + dt.timedelta(days=3650)).sign(key, SHA256())
    return {
        "Certificate": certificate.public_bytes(Encoding.PEM).decode(),
        "PrivateKey": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }
