"""`/v1/linkspan/leaf`, `/join` and `/token`: certificates, the first one too, and the tokens that it is got for."""

import hashlib
import math
import os
import ssl
from typing import Any

from catalog.access.callers import OPERATOR, Caller, CallerKind, Grant
from catalog.access.kubernetes import ReviewRefusedError, check_identity, check_not_a_hosts, read_review
from catalog.access.registration import may_keep
from catalog.access.rights import Verb
from catalog.access.tokens import (
    GRANT_TABLE,
    JOIN_TABLE,
    RANDOM_BYTES,
    TokenRefusedError,
    consume,
    expired_tokens,
    grant_change,
    join_token_id,
    make_join_token,
    read_grant,
    redeem,
)
from catalog.api.api import Api, Paths
from catalog.api.gate import IN_HANDLER, OPEN, Right
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError, NotFoundError, PermissionDeniedError, UnavailableError
from catalog.api.http.message import read_message
from catalog.api.token_review import ReviewUnavailableError
from catalog.api.v1.registration import Body
from catalog.authority.authority import AuthorityBusyError
from catalog.authority.request import CheckedRequest
from catalog.authority.rules import IssueRefusedError, check_asked
from catalog.compile.entries.duration import InvalidDurationError, parse_duration
from catalog.state.changes import AnyChange, Batch, Deregister
from catalog.state.errors import ConflictError
from catalog.state.limits import MAX_BATCH
from mesh.model.identity import Kind
from mesh.wire.sync import JOIN_PATH, LEAF_PATH, MAX_REQUEST_BYTES, JoinRequest, JoinResponse, LeafRequest

TOKEN_PATH = "/v1/linkspan/token"  # noqa: S105 - a path
DEFAULT_TTL = "1h"


class TokenBody(Body, frozen=True):
    """What a new join token grants, and for how long (`TTL`, a duration)."""

    node: str
    services: tuple[str, ...] = ()
    gateway: bool = False
    network: str = ""
    ttl: str = DEFAULT_TTL


class IdentityEndpoints:
    """The endpoints that give out certificates and the right to get one."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            LEAF_PATH: {"POST": Method(self.leaf, IN_HANDLER, MAX_REQUEST_BYTES)},
            JOIN_PATH: {"POST": Method(self.join, OPEN, MAX_REQUEST_BYTES)},
            TOKEN_PATH: {"POST": Method(self.token, Right(Verb.TOKENS))},
        }

    async def leaf(self, call: Call) -> Answer:
        """A certificate for what the request's URI SAN names, if the caller may have it."""
        request = read_message(call.body, LeafRequest)
        try:
            leaf = await self._api.authority.issue(call.caller, request.csr_pem, self._api.epoch())
        except IssueRefusedError as error:
            raise PermissionDeniedError(str(error)) from error
        except AuthorityBusyError as error:
            raise UnavailableError(str(error)) from error
        return json_answer(leaf)

    async def join(self, call: Call) -> Answer:
        """The first certificate of a host or pod, for a one-time token or a service-account token."""
        request = read_message(call.body, JoinRequest)
        try:
            if request.method == "token":
                return await self._join_by_token(request)
            if request.method == "kubernetes":
                return await self._join_by_account(request)
        except (TokenRefusedError, IssueRefusedError, ReviewRefusedError) as error:
            raise PermissionDeniedError(str(error)) from error
        except ConflictError as error:
            raise PermissionDeniedError("the join token is not valid: it was used just now") from error
        except (AuthorityBusyError, ReviewUnavailableError) as error:
            raise UnavailableError(str(error)) from error
        raise BadRequestError(f'field "method": {request.method[:40]!r} is none: use token or kubernetes')

    async def token(self, call: Call) -> Answer:
        """A new one-time join token: shown here and never again."""
        body = decode(call.body, TokenBody)
        now_s = self._api.epoch()
        try:
            ttl_s = parse_duration(body.ttl).seconds
        except InvalidDurationError as error:
            raise BadRequestError(f'field "TTL": {error}') from error
        grant = Grant(body.services, body.gateway, body.network)
        if body.gateway and not body.network:
            raise BadRequestError('field "Network": a gateway is of a network: name it')
        try:
            text, token, change = make_join_token(os.urandom(RANDOM_BYTES), body.node, grant, now_s, ttl_s)
        except ValueError as error:
            raise BadRequestError(f"join token: {error}") from error
        gone = expired_tokens(self._api.parking.state.records(JOIN_TABLE), now_s)[: MAX_BATCH - 1]
        await self._api.submit(Batch((change, *gone)))
        shown: dict[str, Any] = {
            "Token": text,
            "Node": body.node,
            "Services": body.services,
            "Gateway": body.gateway,
            "Network": body.network,
            "ExpiresAt": math.floor(token.expires_s),
            "CaPin": ca_pin(self._api.authority.root_pem),
        }
        return json_answer(shown)

    async def _join_by_token(self, request: JoinRequest) -> Answer:
        record = self._api.parking.state.record(JOIN_TABLE, join_token_id(request.token))
        token = redeem(request.token, record, self._api.epoch())
        assert record is not None
        if request.network and token.grant.network and request.network != token.grant.network:
            raise TokenRefusedError(f"the join token is for network {token.grant.network!r}, not {request.network!r}")
        checked = await self._api.authority.read_request(request.csr_pem)
        if checked.asked.kind not in {Kind.NODE, Kind.GATEWAY}:
            raise IssueRefusedError(
                "a join token gives a node's certificate; its services' come with /v1/linkspan/leaf"
            )
        self._check_asked(Caller(CallerKind.NODE, token.node, token.grant), checked)
        return await self._welcome(checked, token.grant, consume(token, record))

    async def _join_by_account(self, request: JoinRequest) -> Answer:
        kubernetes = self._api.kubernetes
        if kubernetes is None:
            raise NotFoundError("this catalog takes no Kubernetes tokens: start it with --kubernetes")
        review = await kubernetes.reviewer.review(request.token, kubernetes.cluster.audience)
        account = read_review(review, kubernetes.cluster)
        checked = await self._api.authority.read_request(request.csr_pem)
        grant = check_identity(account, checked.asked, kubernetes.cluster)
        self._check_asked(OPERATOR, checked)  # trust domain and datacenter; the name was judged by the account
        check_not_a_hosts(checked.asked, read_grant(self._api.parking.state.record(GRANT_TABLE, checked.asked.name)))
        change = None if grant is None else grant_change(checked.asked.name, grant)
        return await self._welcome(checked, grant or Grant(), change)

    def _check_asked(self, caller: Caller, checked: CheckedRequest) -> None:
        check_asked(caller, checked.asked, self._api.authority.trust_domain, self._api.datacenter)

    async def _welcome(self, checked: CheckedRequest, grant: Grant, change: AnyChange | None) -> Answer:
        """Sign first, then use the token up: one that was used is always answered with a certificate."""
        leaf = await self._api.authority.sign(checked, self._api.epoch())
        if change is not None:
            await self._api.submit(change)
        if checked.asked.kind is Kind.NODE:
            await self._forget_ungranted(checked.asked.name, grant)
        roots = tuple(root.pem for root in self._api.roots().roots)
        return json_answer(JoinResponse(leaf, roots, self._api.datacenter, checked.asked.trust_domain, grant.services))

    async def _forget_ungranted(self, node: str, grant: Grant) -> None:
        """Take out what stands under the node's name by an earlier grant and is not in this one: its lease revives all."""
        state = self._api.parking.state
        known = state.node(node)
        if known is None:
            return
        gone = [Deregister(node, one.id) for one in state.node_services(node) if not may_keep(grant, known, one)]
        for first in range(0, len(gone), MAX_BATCH):
            await self._api.submit(Batch(tuple(gone[first : first + MAX_BATCH])))


def ca_pin(root_pem: str) -> str:
    """What `linkspan join --ca-pin` takes: the SHA-256 of the root's DER."""
    return f"sha256:{hashlib.sha256(ssl.PEM_cert_to_DER_cert(root_pem)).hexdigest()}"
