"""Which root a verified TLS connection stands on, so that it can be cut when that root is trusted no more.

OpenSSL verifies a chain once, at the handshake. The chain that it built ends in the very root that it trusted: its digest is kept
with the connection (32 bytes), and compared with the roots of a later bundle. It must never take a root's name for the root.
"""

import hashlib
import ssl
from functools import lru_cache

from mesh.model.snapshot import Roots


def root_digest(tls: ssl.SSLSocket) -> bytes:
    """The SHA-256 of the root (DER) that the peer's chain was verified up to; empty when it cannot be told, which stands on nothing.

    `SSLSocket.get_verified_chain` came with Python 3.13; before, the same is found on the object beneath it (since 3.10).
    """
    beneath = getattr(tls, "_sslobj", None)
    try:
        chain = beneath.get_verified_chain()  # type: ignore[union-attr]
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(chain[-1].public_bytes())).digest()
    except (AttributeError, IndexError, TypeError, ValueError):
        return b""


def trusted_digests(roots: Roots) -> frozenset[bytes]:
    """The digests of a bundle's roots, as `root_digest` makes them.

    Raises:
        ValueError: the bundle cannot be read; one that a TLS context was made of can.
    """
    return _digests(tuple(root.pem for root in roots.roots))


@lru_cache(maxsize=4)
def _digests(pems: tuple[str, ...]) -> frozenset[bytes]:
    return frozenset(hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip())).digest() for pem in pems)
