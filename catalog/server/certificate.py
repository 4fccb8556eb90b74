"""The catalog's own certificate on its mesh port, replaced while it serves.

A context is never changed in place: new leaf or roots make a new one, and the next connection gets it. The key lives in
memory only; a restart makes another.
"""

import random
import ssl
from collections.abc import Callable

import trio

from catalog.authority.authority import Authority
from mesh.identity.context import server_context
from mesh.identity.leaf import Leaf, make_leaf
from mesh.model.snapshot import Roots

ALPN = ("http/1.1",)
RENEW_FROM, RENEW_TO = 0.5, 0.7
"""A leaf is renewed at a random point of this part of its life."""


class ServerCertificate:
    """The leaf in use, and the TLS context made of it and the trust bundle of now."""

    def __init__(self, authority: Authority, roots: Callable[[], Roots], epoch: Callable[[], float]) -> None:
        self._authority = authority
        self._roots = roots
        self._epoch = epoch
        self._made: tuple[Leaf, Roots, ssl.SSLContext] | None = None
        self.leaf = self._issue()

    def context(self) -> ssl.SSLContext:
        """The context for the next connection. A client certificate is asked for, but may be missing: joining has none yet."""
        roots = self._roots()
        if self._made is None or self._made[0] is not self.leaf or self._made[1] is not roots:
            fresh = server_context(self.leaf, roots, ALPN, client_required=False)
            self._made = (self.leaf, roots, fresh)
        return self._made[2]

    def renew(self) -> None:
        """Use a new key and certificate from the next connection on."""
        self.leaf = self._issue()

    async def keep_fresh(self) -> None:
        """Renew for ever, each time well before the end."""
        while True:
            life_s = self.leaf.not_after_s - self.leaf.not_before_s
            part = random.uniform(RENEW_FROM, RENEW_TO)  # noqa: S311 - spreads renewals; nobody gains by guessing it
            await trio.sleep(max(1.0, self.leaf.not_before_s + life_s * part - self._epoch()))
            self.renew()

    def _issue(self) -> Leaf:
        return make_leaf(*self._authority.issue_server(self._epoch()))
