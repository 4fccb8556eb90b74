"""The secrets that a dev process has made, for as long as it lives: in memory, bounded, and only where settings say so."""

from catalog.access.acl.model import HIDDEN, Token

KEPT = 4096


class Secrets:
    """`reveal` False, as in every catalog but a dev process: nothing is remembered and nothing recalled."""

    def __init__(self, *, reveal: bool) -> None:
        self._reveal = reveal
        self._by_hash: dict[str, str] = {}

    def remember(self, token: Token, secret: str) -> None:
        """Note the secret of a token that was just made."""
        if self._reveal:
            while len(self._by_hash) >= KEPT:
                del self._by_hash[next(iter(self._by_hash))]
            self._by_hash[token.secret_sha256] = secret

    def recall(self, token: Token) -> str:
        """The secret of a token, or what Consul prints in its place."""
        return self._by_hash.get(token.secret_sha256, HIDDEN)
