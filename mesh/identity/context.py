"""TLS contexts of the mesh: TLS 1.3 only, a certificate demanded from both sides, no tickets.

OpenSSL does not verify a peer again when it resumes by ticket, so servers give none out; and a context is never
changed in place: new roots or a new leaf make a new one. Names are not matched here, for the peer is judged by its
SPIFFE ID (`mesh.identity.peer`), which every user of these contexts must do after the handshake.
"""

import os
import ssl
from collections.abc import Sequence

from mesh.identity.leaf import Leaf
from mesh.model.snapshot import Roots


class UnusableIdentityError(ValueError):
    """Our own certificate, key or trust bundle cannot be used; the text says which."""


def server_context(leaf: Leaf, roots: Roots, alpn: Sequence[str], *, client_required: bool = True) -> ssl.SSLContext:
    """A context to accept with, showing `leaf` and trusting `roots`; `alpn` in order of preference.

    Raises:
        UnusableIdentityError: the leaf, its key or a root cannot be loaded, or there is no root.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, roots, alpn)
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_REQUIRED if client_required else ssl.CERT_OPTIONAL
    _load_leaf(context, leaf)
    return context


def client_context(leaf: Leaf | None, roots: Roots, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """A context to dial with. `leaf` None shows no certificate: only joining does that.

    Raises:
        UnusableIdentityError: as `server_context`.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, roots, alpn)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if leaf is not None:
        _load_leaf(context, leaf)
    return context


def _context(protocol: int, roots: Roots, alpn: Sequence[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if not roots.roots:
        raise UnusableIdentityError("the trust bundle holds no root: nobody could be verified")
    try:
        context.load_verify_locations(cadata="\n".join(root.pem for root in roots.roots))
    except (ssl.SSLError, ValueError) as error:
        raise UnusableIdentityError(f"a root of the trust bundle cannot be read as PEM: {error}") from error
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _load_leaf(context: ssl.SSLContext, leaf: Leaf) -> None:
    """Load certificate and key through an anonymous file in memory: `ssl` takes paths only, and a key must not touch a disk here."""
    descriptor = os.memfd_create("linkspan-leaf", os.MFD_CLOEXEC)
    try:
        _write_all(descriptor, leaf.key_pem.rstrip() + b"\n" + leaf.certificate_pem.encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except (ssl.SSLError, OSError) as error:
        raise UnusableIdentityError(f"certificate and key of {leaf.uri} cannot be used together: {error}") from error
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
