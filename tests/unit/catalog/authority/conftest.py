"""Keys and certificate requests for the authority's tests."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from catalog.authority.signer import RootKey, make_root

NOW_S = 1_800_000_000.0


class Requests:
    """Makes certificate requests, good and bad."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def make(self, *uris: str, key: Any = None, extensions: tuple[x509.ExtensionType, ...] = ()) -> str:
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        if uris:
            names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
            builder = builder.add_extension(names, critical=True)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        key = key or self.key
        algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def requests() -> Requests:
    """A maker of requests with one P-256 key."""
    return Requests()


@pytest.fixture(scope="session")
def root() -> RootKey:
    """One root for the trust domain `td.test`."""
    return make_root("td.test", NOW_S)


@pytest.fixture
def now_s() -> float:
    """The tests' time, seconds since the epoch."""
    return NOW_S
