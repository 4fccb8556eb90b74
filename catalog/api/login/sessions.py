"""`/v1/acl/login` and `/logout`: a token for a proof, and its end.

Whoever is refused learns that, and not why: the reason is in the log, the proof itself nowhere.
"""

import logging

import msgspec

from catalog.access.acl.model import (
    BINDING_RULES,
    METHODS,
    POLICY_NAMES,
    ROLE_NAMES,
    AuthMethod,
    BindingRule,
    Rights,
    Token,
    read_kept,
    secret_hash,
)
from catalog.access.callers import CallerKind
from catalog.access.login.identity import BindingError, Bound, Identity, ProofError, bind
from catalog.access.login.service_account import read_account, read_kubernetes_config
from catalog.access.login.web_token import MethodError, prove, read_jwt_config
from catalog.api.acl.bodies import LoginBody, duration_of
from catalog.api.acl.door import Door
from catalog.api.acl.records import AclRecords, new_id, token_creation, token_deletion
from catalog.api.acl.secrets import Secrets
from catalog.api.api import Api, Paths
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.errors import (
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
    UnavailableError,
)
from catalog.api.login.methods import find_method
from catalog.api.login.reviewers import Reviewers
from catalog.api.token_review import ReviewUnavailableError
from catalog.state.changes import PutRecord

logger = logging.getLogger(__name__)

MAX_META = 64
GLOBAL = "global"
DESCRIPTION = "token created via login"


class LoginEndpoints:
    """The two endpoints."""

    def __init__(self, api: Api, records: AclRecords, secrets: Secrets) -> None:
        self._api = api
        self._records = records
        self._secrets = secrets
        self._reviewers = Reviewers(api.kubernetes)

    def paths(self) -> Paths:
        """Every path with its methods."""
        door = Door(self._api)
        return {
            "/v1/acl/login": {"POST": door.open(self.login, LoginBody)},
            "/v1/acl/logout": {"POST": door.open(self.logout)},
        }

    async def login(self, call: Call) -> Answer:
        """A new token with what the method's binding rules give to the proof."""
        body = decode(call.body, LoginBody)
        if not body.auth_method or not body.bearer_token:
            raise BadRequestError("AuthMethod and BearerToken are needed to log in")
        if len(body.meta) > MAX_META:
            raise BadRequestError(f"Meta: at most {MAX_META} pairs")
        try:
            method, _ = find_method(self._records, body.auth_method)
        except NotFoundError as error:
            raise PermissionDeniedError(f"ACL not found: auth method {body.auth_method[:128]!r} not found") from error
        rights = self._rights(await self._bound(method, body.bearer_token))
        if rights == Rights():
            logger.info("login with %s: no binding rule holds", method.name)
            raise PermissionDeniedError("Permission denied")
        secret, now_s = new_id(), self._api.epoch()
        ttl = duration_of(method.max_token_ttl, "MaxTokenTTL")
        token = Token(
            accessor=new_id(),
            secret_sha256=secret_hash(secret),
            description=_description(body.meta),
            rights=rights,
            local=method.token_locality != GLOBAL,
            expires_s=now_s + ttl.seconds if ttl.seconds else 0.0,
            auth_method=method.name,
            created_s=now_s,
        )
        await self._keep(token)
        self._secrets.remember(token, secret)
        return json_answer(self._records.shown_token(token, secret), pretty=call.query.pretty)

    async def _keep(self, token: Token) -> None:
        """Keep a new token, if its method is still there when it is kept: a deletion may be on its way before it.

        Raises:
            PermissionDeniedError: the method was changed or deleted meanwhile.
        """
        method = self._records.record(METHODS, token.auth_method)
        if method is None:
            raise PermissionDeniedError("Permission denied")
        unchanged = PutRecord(METHODS, method.key, method.value, cas=method.modify_index)
        try:
            await self._records.write([unchanged, *token_creation(token)], "the auth method was changed just now")
        except RefusedError as error:
            raise PermissionDeniedError(f"Permission denied: {error}") from error

    async def logout(self, call: Call) -> Answer:
        """Delete the caller's own token, if a login made it. True."""
        if call.caller.kind is not CallerKind.TOKEN:
            raise PermissionDeniedError("ACL not found")
        token = self._api.gate.resolver.token(call.caller.name)
        if not token.auth_method:
            raise PermissionDeniedError("Permission denied: the token was not made by a login")
        await self._records.write(token_deletion(token), "try again")
        return json_answer(True)  # noqa: FBT003 - the body is JSON's true

    async def _bound(self, method: AuthMethod, proof: str) -> Bound:
        try:
            identity = await self._identity(method, proof)
            return bind(self._rules(method), identity, self._api.datacenter)
        except (ProofError, BindingError, MethodError) as error:
            logger.info("login with %s refused: %s", method.name, error)
            raise PermissionDeniedError("Permission denied") from error
        except ReviewUnavailableError as error:
            raise UnavailableError(str(error)) from error

    def _rules(self, method: AuthMethod) -> list[BindingRule]:
        """The method's rules of now, if it is still as it was before a cluster was asked.

        Raises:
            ProofError: it was changed or deleted meanwhile: what is made now would outlive it.
        """
        if read_kept(self._records.record(METHODS, method.name), AuthMethod) != method:
            raise ProofError("the auth method was changed just now")
        return [rule for rule, _ in self._records.all_of(BINDING_RULES, BindingRule) if rule.auth_method == method.name]

    async def _identity(self, method: AuthMethod, proof: str) -> Identity:
        if method.type == "jwt":
            return prove(read_jwt_config(method.config), proof, self._api.epoch())
        return read_account(await self._reviewers.review(read_kubernetes_config(method.config), proof))

    def _rights(self, bound: Bound) -> Rights:
        """What is bound, roles and policies by id; those that do not exist give nothing (Consul)."""
        roles = (self._records.id_by_name(ROLE_NAMES, name) for name in bound.roles)
        policies = (self._records.id_by_name(POLICY_NAMES, name) for name in bound.policies)
        return msgspec.structs.replace(
            bound.rights, roles=tuple(one for one in roles if one), policies=tuple(one for one in policies if one)
        )


def _description(meta: dict[str, str]) -> str:
    if not meta:
        return DESCRIPTION
    shown = msgspec.json.encode({key[:64]: value[:128] for key, value in sorted(meta.items())}).decode()
    return f"{DESCRIPTION}: {shown}"[:2048]
