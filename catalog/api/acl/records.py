"""The records behind `/v1/acl/*`: found by id or name, written whole or not at all.

Names are records of their own, written with `cas=0`, so that two writers at once cannot both have one. A write never
goes through half: every one is a batch.
"""

import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from catalog.access.acl import model
from catalog.access.acl.builtin import BUILTIN
from catalog.access.acl.model import AclPolicy, Kept, Rights, Role, Token, read_kept, write_kept
from catalog.access.acl.templates import TemplateError, check_node_name, check_service_name, check_template
from catalog.api.acl.bodies import LinkBody, RightsBody
from catalog.api.acl.shapes import Json, rights_json, token_json
from catalog.api.api import Api
from catalog.api.http.errors import RefusedError
from catalog.state.changes import Batch, DeleteRecord, PutRecord, Single
from catalog.state.errors import ConflictError
from catalog.state.limits import MAX_BATCH
from catalog.state.records import Record

MAX_LINKS = 256
MAX_DESCRIPTION = 4096

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9\-_]+", re.ASCII)

K = TypeVar("K", bound=Kept)


class AclRecords:
    """What tokens, policies and roles there are."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._resolver = api.gate.resolver

    # Reading.

    def record(self, table: str, key: str) -> Record | None:
        """A record as it is kept."""
        return self._api.parking.state.record(table, key)

    def all_of(self, table: str, type_: type[K]) -> Iterator[tuple[K, Record]]:
        """Everything in a table that can be read."""
        for record in self._api.parking.state.records(table):
            kept = read_kept(record, type_)
            if kept is not None:
                yield kept, record

    def index(self, *tables: str) -> int:
        """The index of tables, for the answer's header."""
        return self._api.parking.state.index_of(*(("record", table) for table in tables))

    def id_by_name(self, table: str, name: str) -> str:
        """The id of a policy or role of that name; empty if there is none."""
        if table == model.POLICY_NAMES:
            built_in = next((policy.id for policy in BUILTIN.values() if policy.name == name), "")
            if built_in:
                return built_in
        record = self.record(table, name)
        return "" if record is None else record.value.decode()

    def policy(self, policy_id: str) -> tuple[AclPolicy, Record | None] | None:
        """A policy with its record; a built-in one has none."""
        policy = self._resolver.policy(policy_id)
        return None if policy is None else (policy, self.record(model.POLICIES, policy_id))

    def role(self, role_id: str) -> tuple[Role, Record | None] | None:
        """A role with its record."""
        role = self._resolver.role(role_id)
        return None if role is None else (role, self.record(model.ROLES, role_id))

    def policy_name(self, policy_id: str) -> str:
        """The name of a policy, empty if it is gone."""
        policy = self._resolver.policy(policy_id)
        return "" if policy is None else policy.name

    def role_name(self, role_id: str) -> str:
        """The name of a role, empty if it is gone."""
        role = self._resolver.role(role_id)
        return "" if role is None else role.name

    def shown_rights(self, rights: Rights) -> Json:
        """Rights with the names of now."""
        return rights_json(rights, self.policy_name, self.role_name)

    def shown_token(self, token: Token, secret: str) -> Json:
        """A token as it stands; `secret` is what the caller may see of it."""
        record = self.record(model.TOKENS, token.accessor.lower())
        return token_json(token, self.shown_rights(token.rights), model.indexes(record), secret)

    # What a body asks for.

    def rights_of(self, body: RightsBody, roles: tuple[LinkBody, ...], what: str) -> Rights:
        """The rights that a body asks for, its links found.

        Raises:
            RefusedError: a link leads nowhere, an identity has no name that it could have.
        """
        rights = Rights(
            policies=self._linked(body.policies, model.POLICY_NAMES, "policy"),
            roles=self._linked(roles, model.ROLE_NAMES, "role"),
            services=body.services(),
            nodes=body.nodes(),
            templates=body.templates(),
        )
        if max(len(part) for part in msgspec.structs.astuple(rights)) > MAX_LINKS:
            raise RefusedError(f"Invalid {what}: at most {MAX_LINKS} links of a kind")
        try:
            for service in rights.services:
                check_service_name(service.service)
            for node in rights.nodes:
                check_node_name(node.node)
                if not node.datacenter:
                    raise RefusedError(f"Invalid {what}: Node identity is missing the datacenter field on this {what}")
            for template in rights.templates:
                check_template(template)
        except TemplateError as error:
            raise RefusedError(f"Invalid {what}: {error}") from error
        return rights

    def _linked(self, links: Iterable[LinkBody], names: str, what: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        name_of = self.policy_name if names == model.POLICY_NAMES else self.role_name
        for link in links:
            if link.id:
                if not name_of(link.id):
                    raise RefusedError(f"Cannot find {what} {link.id[:80]!r}")
                found[link.id] = None
            else:
                linked = self.id_by_name(names, link.name)
                if not linked:
                    raise RefusedError(f"No such ACL {what} with name {link.name[:128]!r}")
                found[linked] = None
        return tuple(found)

    # Writing.

    async def write(self, changes: Iterable[Single], taken: str) -> Any:
        """Do all of these or none.

        Raises:
            RefusedError: a compare failed: `taken` says what that means.
        """
        try:
            return await self._api.submit(Batch(tuple(changes)))
        except ConflictError as error:
            raise RefusedError(taken) from error

    async def delete_tokens(self, tokens: Iterable[Token]) -> None:
        """Delete tokens, as many at a time as go at once."""
        changes = [change for token in tokens for change in token_deletion(token)]
        for first in range(0, len(changes), MAX_BATCH):
            await self._api.submit(Batch(tuple(changes[first : first + MAX_BATCH])))


def token_creation(token: Token) -> list[Single]:
    """The changes that keep a new token, if neither its accessor nor its secret is taken."""
    accessor = token.accessor.lower()
    return [
        PutRecord(model.TOKENS, accessor, write_kept(token), cas=0),
        PutRecord(model.SECRETS, token.secret_sha256, accessor.encode(), cas=0),
    ]


def token_deletion(token: Token) -> list[Single]:
    """The changes that delete a token."""
    return [DeleteRecord(model.TOKENS, token.accessor.lower()), DeleteRecord(model.SECRETS, token.secret_sha256)]


def renaming(names: str, old: str, new: str, key: str) -> list[Single]:
    """The changes that give a name to a policy or role, and back its old one."""
    if old == new:
        return []
    taken: list[Single] = [PutRecord(names, new, key.encode(), cas=0)]
    return [DeleteRecord(names, old), *taken] if old else taken


def new_id() -> str:
    """A fresh public id or secret: 122 random bits from the system's generator."""
    return str(uuid.uuid4())


def check_uuid(text: str, what: str) -> str:
    """A UUID as the caller wrote it.

    Raises:
        RefusedError: it is none.
    """
    if not _UUID.fullmatch(text):
        raise RefusedError(f"{what} is not a valid UUID: {text[:64]!r}")
    return text


def check_acl_name(name: str, what: str, limit: int = 128) -> str:
    """A name that a policy, role or auth method may have.

    Raises:
        RefusedError: it is none.
    """
    if not name:
        raise RefusedError(f"Invalid {what}: no Name is set")
    if len(name) > limit or not _NAME.fullmatch(name):
        raise RefusedError(
            f"Invalid {what}: invalid Name. Only alphanumeric characters, '-' and '_' are allowed, at most {limit}"
        )
    return name


def check_description(text: str) -> str:
    """A description within bounds.

    Raises:
        RefusedError: it is too long.
    """
    if len(text) > MAX_DESCRIPTION:
        raise RefusedError(f"Description: at most {MAX_DESCRIPTION} characters")
    return text
