"""The authority at work: judges a request, signs it in a worker thread, and says what to trust.

No more than `WORKERS` signatures run at once and `QUEUE_LIMIT` callers wait: a storm of renewals is refused in time,
never served late. The event loop never signs.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from catalog.access.callers import Caller
from catalog.authority.request import CheckedRequest, check_request
from catalog.authority.root_file import load_or_make_root
from catalog.authority.rules import LEAF_TTL_S, MAX_LEAF_TTL_S, MIN_LEAF_TTL_S, IssueRefusedError, check_asked
from catalog.authority.signer import RootKey, sign_leaf
from catalog.state.changes import PutRecord
from catalog.state.index import ROOTS_TABLE
from catalog.state.records import Record
from mesh.model.identity import Kind, SpiffeId
from mesh.model.snapshot import Root, Roots
from mesh.wire.sync import LeafResponse

__all__ = ["Authority", "AuthorityBusyError", "IssueRefusedError", "revoke_change"]

WORKERS = 2
QUEUE_LIMIT = 256
REVOKED_PREFIX = "revoked/"

T = TypeVar("T")


class AuthorityBusyError(Exception):
    """The catalog's fault: too many callers wait for certificates; ask again in a few seconds."""


class Authority:
    """The certificate authority of one trust domain and datacenter. A `leaf_ttl_s` out of bounds is a ValueError."""

    def __init__(self, root: RootKey, datacenter: str, *, leaf_ttl_s: float = LEAF_TTL_S) -> None:
        if not MIN_LEAF_TTL_S <= leaf_ttl_s <= MAX_LEAF_TTL_S:
            raise ValueError(
                f"a leaf's life must be {MIN_LEAF_TTL_S:g} s to {MAX_LEAF_TTL_S:g} s, not {leaf_ttl_s:g} s"
            )
        self._root = root
        self.datacenter = datacenter
        self.leaf_ttl_s = leaf_ttl_s
        self._limiter = trio.CapacityLimiter(WORKERS)
        self._waiting = 0
        self.issued = 0

    @classmethod
    def open(
        cls,
        data_dir: Path,
        datacenter: str,
        now_s: float,
        trust_domain: str | None = None,
        *,
        leaf_ttl_s: float = LEAF_TTL_S,
    ) -> "Authority":
        """The authority that `data_dir` keeps, made on first use. Blocks for the disk: call it before serving.

        Raises:
            AuthorityFileError: what is there cannot be used.
        """
        return cls(load_or_make_root(data_dir, trust_domain, now_s), datacenter, leaf_ttl_s=leaf_ttl_s)

    @property
    def trust_domain(self) -> str:
        """The trust domain of everything that it signs."""
        return self._root.trust_domain

    @property
    def root_pem(self) -> str:
        """The root certificate."""
        return self._root.pem

    def roots(self, records: Iterable[Record] = (), index: int = 0) -> Roots:
        """What to trust: the root, and the revoked serials among the records of the state's table `roots`."""
        revoked = sorted(
            record.key.removeprefix(REVOKED_PREFIX) for record in records if record.key.startswith(REVOKED_PREFIX)
        )
        return Roots(self.trust_domain, index, (Root(self._root.id, self._root.pem),), tuple(revoked))

    async def issue(self, caller: Caller, csr_pem: str, now_s: float) -> LeafResponse:
        """Sign the request if `caller` may have what it asks for.

        Raises:
            IssueRefusedError: the request is bad, or the name is not this caller's.
            AuthorityBusyError: too many wait.
        """
        request = await self.read_request(csr_pem)
        check_asked(caller, request.asked, self.trust_domain, self.datacenter)
        return await self.sign(request, now_s)

    async def read_request(self, csr_pem: str) -> CheckedRequest:
        """Parse and judge a request but for its name (`check_asked`), in a worker thread.

        Raises:
            IssueRefusedError: see `check_request`.
            AuthorityBusyError: too many wait.
        """
        return await self._work(check_request, csr_pem)

    async def sign(self, request: CheckedRequest, now_s: float) -> LeafResponse:
        """Sign a request whose name was judged. For `issue`, and for joins, which prove themselves otherwise.

        Raises:
            AuthorityBusyError: too many wait.
        """
        leaf = await self._work(sign_leaf, self._root, request.asked, request.public_key, now_s, self.leaf_ttl_s)
        self.issued += 1
        return leaf

    def issue_server(self, now_s: float) -> tuple[LeafResponse, bytes]:
        """A new key (PEM) and certificate for this catalog server itself. Takes a fraction of a millisecond."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = SpiffeId(self.trust_domain, Kind.SERVER, self.datacenter)
        leaf = sign_leaf(self._root, name, key.public_key(), now_s, self.leaf_ttl_s)
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return leaf, key_pem

    async def _work(self, function: Callable[..., T], *arguments: object) -> T:
        if self._waiting >= QUEUE_LIMIT:
            raise AuthorityBusyError(f"{self._waiting} certificate requests wait: ask again in a few seconds")
        self._waiting += 1
        try:
            return await trio.to_thread.run_sync(function, *arguments, limiter=self._limiter)
        finally:
            self._waiting -= 1


def revoke_change(serial: str) -> PutRecord:
    """The change that revokes a certificate by its serial number (as `LeafResponse.serial`)."""
    return PutRecord(ROOTS_TABLE, f"{REVOKED_PREFIX}{serial}", b"{}")
