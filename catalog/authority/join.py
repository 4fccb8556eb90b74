"""Joining: the first certificate of a host or pod, for a one-time token or a Kubernetes service-account token.

Nothing is consumed before the request is known to be good, and nothing is signed before the token is consumed: a token
is never worth two certificates.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from catalog.access.callers import Caller, CallerKind, Grant
from catalog.access.kubernetes import Account, Cluster, ReviewRefusedError, check_identity, read_review
from catalog.access.tokens import JOIN_TABLE, TokenRefusedError, consume, grant_change, join_token_id, redeem
from catalog.authority.authority import Authority
from catalog.authority.request import CheckedRequest
from catalog.authority.rules import IssueRefusedError, check_asked
from catalog.state.changes import AnyChange
from catalog.state.errors import ConflictError
from catalog.state.records import Record
from mesh.model.identity import Kind
from mesh.wire.sync import JoinRequest, JoinResponse

MAX_TOKEN_BYTES = 16 * 1024
_USED = "the join token is not valid: unknown, used or expired; make a new one with `linkspan token create`"


class JoinRefusedError(Exception):
    """The caller may not join like this; the text says why and never quotes the token."""


class ReviewUnavailableError(Exception):
    """The Kubernetes API server could not be asked; the caller may try again."""


class Reviewer(Protocol):
    """Asks a cluster's API server about a token."""

    @property
    def cluster(self) -> Cluster:
        """The cluster that it asks."""
        ...

    async def review(self, token: str) -> Mapping[str, Any]:
        """The TokenReview's answer.

        Raises:
            ReviewUnavailableError: there is none.
        """
        ...


class Records(Protocol):
    """The part of the state that keeps tokens."""

    def record(self, table: str, key: str) -> Record | None:
        """The record of that table and key."""
        ...


class Engine(Protocol):
    """The catalog's engine as joining needs it (`catalog.engine.Catalog` is one)."""

    @property
    def state(self) -> Records:
        """What was applied so far."""
        ...

    async def submit(self, change: AnyChange) -> Any:
        """Make a change."""
        ...


class Joiner:
    """Answers `POST /v1/linkspan/join`. `reviewers` are the clusters whose service accounts may join."""

    def __init__(self, engine: Engine, authority: Authority, reviewers: Sequence[Reviewer] = ()) -> None:
        self._engine = engine
        self._authority = authority
        self._reviewers = {reviewer.cluster.network: reviewer for reviewer in reviewers}

    async def join(self, request: JoinRequest, now_s: float) -> JoinResponse:
        """Judge the token, consume it, and sign.

        Raises:
            JoinRefusedError: the token or the method opens nothing, or not for this name.
            IssueRefusedError: the certificate request is bad.
            AuthorityBusyError: too many wait.
            ReviewUnavailableError: the cluster's API server gave no answer.
        """
        if not request.token or len(request.token) > MAX_TOKEN_BYTES:
            raise JoinRefusedError(f"the token must have 1 to {MAX_TOKEN_BYTES} bytes")
        csr = await self._authority.read_request(request.csr_pem)
        if request.method == "token":
            grant = await self._join_by_token(request, csr, now_s)
        elif request.method == "kubernetes":
            grant = await self._join_by_kubernetes(request, csr)
        else:
            raise JoinRefusedError(f"unknown join method {request.method[:40]!r}: use 'token' or 'kubernetes'")
        leaf = await self._authority.sign(csr, now_s)
        return JoinResponse(
            leaf, (self._authority.root_pem,), self._authority.datacenter, self._authority.trust_domain, grant.services
        )

    async def _join_by_token(self, request: JoinRequest, csr: CheckedRequest, now_s: float) -> Grant:
        try:
            record = self._engine.state.record(JOIN_TABLE, join_token_id(request.token))
            token = redeem(request.token, record, now_s)
        except TokenRefusedError as error:
            raise JoinRefusedError(str(error)) from error
        assert record is not None
        if csr.asked.kind is not Kind.NODE or csr.asked.name != token.node:
            raise JoinRefusedError(f"the join token is for the node {token.node!r}, not for {csr.asked}")
        if request.network and token.grant.network and request.network != token.grant.network:
            raise JoinRefusedError(
                f"the join token is for the network {token.grant.network!r}, not {request.network!r}"
            )
        self._check(Caller(CallerKind.NODE, token.node, token.grant), csr)
        try:
            await self._engine.submit(consume(token, record))
        except ConflictError as error:
            raise JoinRefusedError(_USED) from error
        return token.grant

    async def _join_by_kubernetes(self, request: JoinRequest, csr: CheckedRequest) -> Grant:
        reviewer = self._reviewer(request.network)
        review = await reviewer.review(request.token)
        try:
            account = read_review(review, reviewer.cluster)
            grant = check_identity(account, csr.asked, reviewer.cluster)
        except ReviewRefusedError as error:
            raise JoinRefusedError(str(error)) from error
        self._check(_caller(account, csr), csr)
        if grant is not None:
            await self._engine.submit(grant_change(csr.asked.name, grant))
        return grant or Grant(network=reviewer.cluster.network)

    def _reviewer(self, network: str) -> Reviewer:
        if not network and len(self._reviewers) == 1:
            return next(iter(self._reviewers.values()))
        if network not in self._reviewers:
            raise JoinRefusedError(
                f"no cluster of network {network[:80]!r} may join: name it in the catalog's settings"
            )
        return self._reviewers[network]

    def _check(self, caller: Caller, csr: CheckedRequest) -> None:
        """The authority's own rules hold for joins as well: trust domain, datacenter, namespace, never a server."""
        check_asked(caller, csr.asked, self._authority.trust_domain, self._authority.datacenter)


_CALLERS = {Kind.NODE: CallerKind.NODE, Kind.SERVICE: CallerKind.SERVICE, Kind.GATEWAY: CallerKind.GATEWAY}


def _caller(account: Account, csr: CheckedRequest) -> Caller:
    """The caller that the review has proved this to be."""
    kind = _CALLERS.get(csr.asked.kind)
    if kind is None:
        raise IssueRefusedError(f"service account {account} may not be {csr.asked}")
    return Caller(kind, csr.asked.name)
