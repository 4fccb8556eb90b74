"""The identity a process uses now: leaf and roots, replaced whole at rotation, with TLS contexts made from them.

A context is never changed in place: whoever asks after a replacement gets a new one, connections made before keep theirs
until they are drained (`wait_newer`).
"""

import ssl

import trio

from mesh.identity.context import UnusableIdentityError, client_context, server_context
from mesh.identity.leaf import Leaf
from mesh.model.identity import InvalidIdentityError, SpiffeId, parse_spiffe_id
from mesh.model.snapshot import Roots


class LiveIdentity:
    """Leaf and roots in use. `version` grows at each replacement."""

    def __init__(self, leaf: Leaf, roots: Roots) -> None:
        self.spiffe_id: SpiffeId = _own_id(leaf, roots)
        self.leaf = leaf
        self.roots = roots
        self.version = 1
        self._contexts: dict[tuple[bool, tuple[str, ...]], ssl.SSLContext] = {}
        self._changed = trio.Event()
        self.client_context(())  # a leaf that does not fit its key fails here, not at the first handshake

    def server_context(self, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """The context for a mesh listener; the same object until the next replacement."""
        return self._context(server=True, alpn=alpn)

    def client_context(self, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """The context to dial mesh peers with; the same object until the next replacement."""
        return self._context(server=False, alpn=alpn)

    def replace(self, leaf: Leaf | None = None, roots: Roots | None = None) -> bool:
        """Use another leaf, other roots or both from now on; None keeps what is. Returns whether anything changed.

        Roots that differ only in the index they were made at change nothing.

        Raises:
            UnusableIdentityError: they cannot be used; what was in use stays.
        """
        leaf = self.leaf if leaf is None else leaf
        roots = self.roots if roots is None else roots
        if leaf == self.leaf and _trust(roots) == _trust(self.roots):
            self.roots = roots
            return False
        spiffe_id = _own_id(leaf, roots)
        fresh = client_context(leaf, roots)
        self.leaf, self.roots, self.spiffe_id = leaf, roots, spiffe_id
        self._contexts = {(False, ()): fresh}
        self.version += 1
        self._changed.set()
        self._changed = trio.Event()
        return True

    async def wait_newer(self, version: int) -> int:
        """Wait until `self.version` is greater than `version`; return it."""
        while self.version <= version:
            await self._changed.wait()
        return self.version

    def _context(self, *, server: bool, alpn: tuple[str, ...]) -> ssl.SSLContext:
        context = self._contexts.get((server, alpn))
        if context is None:
            build = server_context if server else client_context
            context = self._contexts[server, alpn] = build(self.leaf, self.roots, alpn)
        return context


def _own_id(leaf: Leaf, roots: Roots) -> SpiffeId:
    try:
        spiffe_id = parse_spiffe_id(leaf.uri)
    except InvalidIdentityError as error:
        raise UnusableIdentityError(f"our own certificate: {error}") from error
    if spiffe_id.trust_domain != roots.trust_domain:
        raise UnusableIdentityError(
            f"our own certificate {leaf.uri} is not of the bundle's trust domain {roots.trust_domain!r}"
        )
    return spiffe_id


def _trust(roots: Roots) -> tuple[object, ...]:
    return (roots.trust_domain, tuple(root.pem for root in roots.roots), roots.revoked_serials)
