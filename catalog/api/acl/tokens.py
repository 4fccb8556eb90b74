"""`/v1/acl/token*`: make, read, change, clone and delete tokens.

A secret is in the answer that makes its token, and in what its own holder reads; elsewhere it is `<hidden>`, since only
its hash is kept (decision 015).
"""

import msgspec

from catalog.access.acl import model
from catalog.access.acl.builtin import operator_token
from catalog.access.acl.model import ANONYMOUS_ID, ANONYMOUS_SECRET, HIDDEN, TOKENS, Token, secret_hash, write_kept
from catalog.access.acl.resolver import ANONYMOUS_TOKEN, UnknownTokenError
from catalog.access.callers import CallerKind
from catalog.api.acl.bodies import TokenBody, duration_of
from catalog.api.acl.door import Door, listed
from catalog.api.acl.records import (
    AclRecords,
    check_description,
    check_uuid,
    new_id,
    token_creation,
    token_deletion,
)
from catalog.api.acl.secrets import Secrets
from catalog.api.acl.shapes import Json, policy_json, role_json
from catalog.api.api import Api, Paths
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call, find_token
from catalog.api.http.errors import PermissionDeniedError, RefusedError
from catalog.state.changes import PutRecord

MIN_TTL_S, MAX_TTL_S = 60.0, 86400.0
"""Consul's default bounds of `ExpirationTTL` (`token_min_expiration_ttl`, `token_max_expiration_ttl`)."""
TAKEN = "Invalid Token: AccessorID or SecretID is already in use"


class TokenEndpoints:
    """The endpoints of tokens."""

    def __init__(self, api: Api, records: AclRecords, secrets: Secrets) -> None:
        self._api = api
        self._records = records
        self._secrets = secrets

    def paths(self) -> Paths:
        """Every path with its methods."""
        door = Door(self._api)
        return {
            "/v1/acl/tokens": {"GET": door.reading(self.list_all)},
            "/v1/acl/token": {"PUT": door.writing(self.create, TokenBody)},
            "/v1/acl/token/self": {"GET": door.open(self.read_self)},
            "/v1/acl/token/{accessor}": {
                "GET": door.reading(self.read),
                "PUT": door.writing(self.update, TokenBody),
                "DELETE": door.writing(self.delete),
            },
            "/v1/acl/token/{accessor}/clone": {"PUT": door.writing(self.clone, TokenBody)},
        }

    async def list_all(self, call: Call) -> Answer:
        """Every token; `policy`, `role`, `authmethod` and `servicename` keep those that name it."""
        shown = [self._shown(call, token) for token in self._tokens() if self._wanted(call, token)]
        return listed(call, shown, self._records.index(TOKENS))

    async def create(self, call: Call) -> Answer:
        """A new token; the one answer with its secret."""
        body = decode(call.body, TokenBody)
        accessor = check_uuid(body.accessor_id, "Invalid Token: AccessorID") if body.accessor_id else new_id()
        secret = check_uuid(body.secret_id, "Invalid Token: SecretID") if body.secret_id else new_id()
        own = operator_token(self._api.parking.state)
        if accessor.lower() in {ANONYMOUS_ID, "" if own is None else own.accessor}:  # neither has a record of its own
            raise RefusedError(TAKEN)
        if body.auth_method:
            raise RefusedError("Invalid Token: AuthMethod field is disallowed outside of login")
        ttl_s = duration_of(body.expiration_ttl, "ExpirationTTL").seconds
        if ttl_s and not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
            raise RefusedError(f"ExpirationTTL {body.expiration_ttl} must be 1m0s to 24h0m0s")
        now_s = self._api.epoch()
        token = Token(
            accessor=accessor,
            secret_sha256=secret_hash(secret),
            description=check_description(body.description),
            rights=self._records.rights_of(body, body.roles, "Token"),
            local=body.local,
            expires_s=now_s + ttl_s if ttl_s else 0.0,
            ttl=str(duration_of(body.expiration_ttl, "ExpirationTTL")) if ttl_s else "",
            created_s=now_s,
        )
        return await self._made(call, token, secret)

    async def read(self, call: Call) -> Answer:
        """One token; with `expanded` also what its policies and roles say."""
        token = self._found(call)
        return listed(call, self._expanded(call, token), self._records.index(TOKENS))

    async def read_self(self, call: Call) -> Answer:
        """The caller's own token, with the secret it showed."""
        if call.caller.kind is CallerKind.TOKEN:
            token = self._api.gate.resolver.token(call.caller.name)
        elif call.caller.kind is CallerKind.ANONYMOUS:
            token = self._api.gate.resolver.anonymous()
        elif (own := operator_token(self._api.parking.state)) is not None and call.caller.kind is CallerKind.OPERATOR:
            token = own
        else:
            raise PermissionDeniedError(f"Permission denied: {call.caller} has no token")
        own_index = model.indexes(self._records.record(TOKENS, token.accessor.lower()))[1]
        return listed(call, self._expanded(call, token), own_index)  # the table's would tell of others' tokens

    async def update(self, call: Call) -> Answer:
        """Change a token; its ids, its life and where it came from stay."""
        body, token = decode(call.body, TokenBody), self._found(call)
        if body.accessor_id and body.accessor_id.lower() != token.accessor.lower():
            raise RefusedError("Invalid Token: the AccessorID in the body is not the one in the path")
        if body.secret_id not in {"", HIDDEN} and secret_hash(body.secret_id) != token.secret_sha256:
            raise RefusedError("Invalid Token: Changing a token's SecretID is not permitted")
        changed = msgspec.structs.replace(
            token,
            description=check_description(body.description),
            rights=self._records.rights_of(body, body.roles, "Token"),
        )
        await self._records.write([PutRecord(TOKENS, token.accessor.lower(), write_kept(changed))], TAKEN)
        return json_answer(self._shown(call, changed), pretty=call.query.pretty)

    async def clone(self, call: Call) -> Answer:
        """A new token with the rights of another."""
        token, secret = self._found(call), new_id()
        body = decode(call.body, TokenBody) if call.body.strip() else TokenBody()
        if token.accessor == ANONYMOUS_ID or token.auth_method:
            raise RefusedError("Cannot clone the anonymous token, nor one that a login made")
        cloned = msgspec.structs.replace(
            token,
            accessor=new_id(),
            secret_sha256=secret_hash(secret),
            description=check_description(body.description or token.description),
            created_s=self._api.epoch(),
        )
        return await self._made(call, cloned, secret)

    async def delete(self, call: Call) -> Answer:
        """Delete a token. True."""
        token = self._found(call)
        if token.accessor == ANONYMOUS_ID:
            raise RefusedError("Delete operation not permitted on the anonymous token")
        await self._records.write(token_deletion(token), TAKEN)
        return json_answer(True)  # noqa: FBT003 - the body is JSON's true

    async def _made(self, call: Call, token: Token, secret: str) -> Answer:
        await self._records.write(token_creation(token), TAKEN)
        self._secrets.remember(token, secret)
        return json_answer(self._records.shown_token(token, secret), pretty=call.query.pretty)

    def _found(self, call: Call) -> Token:
        """The token that the path names; the operator's own is in no record, and cannot be changed here."""
        accessor = check_uuid(call.path["accessor"], "AccessorID")
        own = operator_token(self._api.parking.state)
        if own is not None and accessor == own.accessor:
            if call.method == "GET":
                return own
            raise RefusedError("The operator's token is the catalog's own: it cannot be changed, cloned or deleted")
        try:
            return self._api.gate.resolver.token(accessor.lower())
        except UnknownTokenError as error:
            raise PermissionDeniedError(f"token does not exist: {error}") from error

    def _tokens(self) -> list[Token]:
        now_s = self._api.epoch()
        kept = [token for token, _ in self._records.all_of(TOKENS, Token) if not token.is_over(now_s)]
        if all(token.accessor != ANONYMOUS_ID for token in kept):
            kept.insert(0, ANONYMOUS_TOKEN)
        own = operator_token(self._api.parking.state)
        return kept if own is None else [own, *kept]

    def _wanted(self, call: Call, token: Token) -> bool:
        query, rights = call.query, token.rights
        policy, role = query.first("policy"), query.first("role")
        method, service = query.first("authmethod"), query.first("servicename")
        return (
            (not policy or policy in rights.policies)
            and (not role or role in rights.roles)
            and (not method or method == token.auth_method)
            and (not service or any(one.service == service for one in rights.services))
        )

    def _shown(self, call: Call, token: Token) -> Json:
        return self._records.shown_token(token, self._secret(call, token))

    def _secret(self, call: Call, token: Token) -> str:
        """What the caller may see of a secret: its own, the anonymous one, and in dev mode those that are remembered."""
        if token.accessor == ANONYMOUS_ID:
            return ANONYMOUS_SECRET
        shown = find_token(call.headers, call.query.first("token"))
        if shown and secret_hash(shown) == token.secret_sha256:
            return shown
        return self._secrets.recall(token)

    def _expanded(self, call: Call, token: Token) -> Json:
        shown = self._shown(call, token)
        if not call.query.flag("expanded"):
            return shown
        roles = [found for role_id in token.rights.roles if (found := self._records.role(role_id)) is not None]
        policy_ids = {
            one: None for rights in (token.rights, *(role.rights for role, _ in roles)) for one in rights.policies
        }
        policies = [kept for one in policy_ids if (kept := self._records.policy(one)) is not None]
        return shown | {
            "ExpandedPolicies": [policy_json(policy, model.indexes(record)) for policy, record in policies],
            "ExpandedRoles": [
                role_json(role, self._records.shown_rights(role.rights), model.indexes(record))
                for role, record in roles
            ],
            "AgentACLDefaultPolicy": self._api.gate.default_policy,
            "AgentACLDownPolicy": "extend-cache",
            "ResolvedByAgent": self._api.node,
        }
