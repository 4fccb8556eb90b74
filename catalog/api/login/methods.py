"""`/v1/acl/auth-methods` and `/auth-method*`: the ways to log in. A method's own credentials are never shown again."""

from typing import Any

import msgspec

from catalog.access.acl.model import (
    BINDING_RULES,
    HIDDEN,
    METHODS,
    TOKENS,
    AuthMethod,
    BindingRule,
    Token,
    indexes,
    read_kept,
    write_kept,
)
from catalog.access.login.service_account import read_kubernetes_config
from catalog.access.login.web_token import MethodError, read_jwt_config
from catalog.api.acl.bodies import MethodBody, duration_of
from catalog.api.acl.door import Door, listed
from catalog.api.acl.records import AclRecords, check_acl_name, check_description
from catalog.api.acl.shapes import Json, method_json
from catalog.api.api import Api, Paths
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.errors import NotFoundError, RefusedError
from catalog.state.changes import DeleteRecord, PutRecord, Single
from catalog.state.limits import MAX_BATCH
from catalog.state.records import Record

TYPES = ("kubernetes", "jwt")
MIN_TTL_S, MAX_TTL_S = 60.0, 86400.0
MAX_CONFIG_BYTES = 128 * 1024
_SECRET = "ServiceAccountJWT"  # noqa: S105 - a field's name


class MethodEndpoints:
    """The endpoints of auth methods."""

    def __init__(self, api: Api, records: AclRecords) -> None:
        self._api = api
        self._records = records

    def paths(self) -> Paths:
        """Every path with its methods."""
        door = Door(self._api)
        return {
            "/v1/acl/auth-methods": {"GET": door.reading(self.list_all)},
            "/v1/acl/auth-method": {"PUT": door.writing(self.create, MethodBody)},
            "/v1/acl/auth-method/{name}": {
                "GET": door.reading(self.read),
                "PUT": door.writing(self.update, MethodBody),
                "DELETE": door.writing(self.delete),
            },
        }

    async def list_all(self, call: Call) -> Answer:
        """Every auth method, without its configuration."""
        shown = [
            method_json(method, indexes(record), with_config=False)
            for method, record in self._records.all_of(METHODS, AuthMethod)
        ]
        return listed(call, shown, self._records.index(METHODS))

    async def read(self, call: Call) -> Answer:
        """One auth method."""
        method, record = self._found(call.path["name"])
        return listed(call, _shown(method, record), self._records.index(METHODS))

    async def create(self, call: Call) -> Answer:
        """A new auth method."""
        body = decode(call.body, MethodBody)
        name = check_acl_name(body.name, "Auth Method")
        if self._records.record(METHODS, name) is not None:
            raise RefusedError(f'Invalid Auth Method: An Auth Method with Name "{name}" already exists')
        return await self._put(call, self._checked(body, name, None), cas=0)

    async def update(self, call: Call) -> Answer:
        """Change an auth method; its name and type stay."""
        body = decode(call.body, MethodBody)
        old, _ = self._found(call.path["name"])
        if body.name not in {"", old.name}:
            raise RefusedError("Invalid Auth Method: Changing an auth method's Name is not permitted")
        if body.type not in {"", old.type}:
            raise RefusedError("Invalid Auth Method: Changing an auth method's Type is not permitted")
        return await self._put(call, self._checked(body, old.name, old), cas=None)

    async def delete(self, call: Call) -> Answer:
        """Delete an auth method with its binding rules, and the tokens that it made. True."""
        name = call.path["name"]
        if self._records.record(METHODS, name) is not None:
            rules = [rule for rule, _ in self._records.all_of(BINDING_RULES, BindingRule) if rule.auth_method == name]
            changes: list[Single] = [
                DeleteRecord(METHODS, name),
                *(DeleteRecord(BINDING_RULES, rule.id) for rule in rules),
            ]
            for first in range(0, len(changes), MAX_BATCH):  # the method first: nobody logs in any more
                await self._records.write(
                    changes[first : first + MAX_BATCH], "it was changed just now: delete it again"
                )
            tokens = [token for token, _ in self._records.all_of(TOKENS, Token) if token.auth_method == name]
            await self._records.delete_tokens(tokens)
        return json_answer(True)  # noqa: FBT003 - the body is JSON's true

    def _found(self, name: str) -> tuple[AuthMethod, Record]:
        return find_method(self._records, name)

    def _checked(self, body: MethodBody, name: str, old: AuthMethod | None) -> AuthMethod:
        type_ = body.type or (old.type if old is not None else "")
        config = dict(body.config)
        if old is not None and config.get(_SECRET) == HIDDEN:
            _check_same_cluster(old.config, config)
            config[_SECRET] = old.config.get(_SECRET, "")
        ttl = duration_of(body.max_token_ttl, "MaxTokenTTL")
        if ttl.seconds and not MIN_TTL_S <= ttl.seconds <= MAX_TTL_S:
            raise RefusedError("Invalid Auth Method: MaxTokenTTL must be 1m0s to 24h0m0s")
        if body.token_locality not in {"", "local", "global"}:
            raise RefusedError('Invalid Auth Method: TokenLocality must be "local" or "global"')
        if body.namespace_rules:
            raise RefusedError("Invalid Auth Method: NamespaceRules: this catalog has one namespace")
        if len(msgspec.json.encode(config)) > MAX_CONFIG_BYTES:
            raise RefusedError(f"Invalid Auth Method: Config has more than {MAX_CONFIG_BYTES} bytes")
        self._check_config(type_, config)
        return AuthMethod(
            name=name,
            type=type_,
            display_name=check_description(body.display_name),
            description=check_description(body.description),
            config=config,
            max_token_ttl=str(ttl) if ttl.seconds else "",
            token_locality=body.token_locality or "local",
            token_name_format=check_description(body.token_name_format),
        )

    def _check_config(self, type_: str, config: dict[str, Any]) -> None:
        try:
            if type_ == "jwt":
                read_jwt_config(config)
            elif type_ == "kubernetes":
                if not read_kubernetes_config(config).host and self._api.kubernetes is None:
                    raise RefusedError(
                        "Invalid Auth Method: Config.Host is needed: this catalog is in no cluster of its own"
                    )
            else:
                raise RefusedError(f"Invalid Auth Method: Type should be one of: {', '.join(TYPES)}")
        except MethodError as error:
            raise RefusedError(f"Invalid Auth Method: Config: {error}") from error

    async def _put(self, call: Call, method: AuthMethod, cas: int | None) -> Answer:
        taken = f'Invalid Auth Method: An Auth Method with Name "{method.name}" already exists'
        await self._records.write([PutRecord(METHODS, method.name, write_kept(method), cas=cas)], taken)
        return json_answer(_shown(*self._found(method.name)), pretty=call.query.pretty)


def find_method(records: AclRecords, name: str) -> tuple[AuthMethod, Record]:
    """The auth method of a name, with its record.

    Raises:
        NotFoundError: there is none.
    """
    record = records.record(METHODS, name)
    method = read_kept(record, AuthMethod)
    if record is None or method is None:
        raise NotFoundError(
            f"Requested auth method does not exist: ACL not found: auth method {name[:128]!r} not found"
        )
    return method, record


def _check_same_cluster(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Keep a credential that nobody is shown only for the API server that it was given for.

    Raises:
        RefusedError: it would go elsewhere.
    """
    if any(old.get(field, "") != new.get(field, "") for field in ("Host", "CACert")):
        raise RefusedError(f"Invalid Auth Method: Config.{_SECRET}: give it anew together with another Host or CACert")


def _shown(method: AuthMethod, record: Record) -> Json:
    config = {key: HIDDEN if key == _SECRET and value else value for key, value in method.config.items()}
    return method_json(msgspec.structs.replace(method, config=config), indexes(record))
