"""Tokens, policies, roles, auth methods and binding rules, as they are kept: one record each, by public id.

A token's secret is not in here but as its SHA-256: a secret has at least 122 random bits, so a slow hash adds nothing.
Fields are added with defaults, never renamed or removed: what is written today is read tomorrow.
"""

import base64
import hashlib
from typing import Any, TypeVar

import msgspec

from catalog.state.records import Record

TOKENS = "acl-tokens"
SECRETS = "acl-secrets"
"""Hash of a secret -> accessor of its token."""
POLICIES = "acl-policies"
ROLES = "acl-roles"
METHODS = "acl-auth-methods"
BINDING_RULES = "acl-binding-rules"
POLICY_NAMES = "acl-policy-names"
ROLE_NAMES = "acl-role-names"
"""Name -> id; written with `cas=0`, so that no two have the same name."""
BOOTSTRAP = "acl-bootstrap"
BOOTSTRAP_KEY = "done"

ANONYMOUS_ID = "00000000-0000-0000-0000-000000000002"
ANONYMOUS_SECRET = "anonymous"  # noqa: S105 - Consul's name for those who have none
MANAGEMENT_ID = "00000000-0000-0000-0000-000000000001"
READ_ONLY_ID = "00000000-0000-0000-0000-000000000002"
HIDDEN = "<hidden>"
"""What Consul prints in place of a secret that the caller may not see."""

R = TypeVar("R", bound=msgspec.Struct)


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all of these are."""


class ServiceIdentity(Kept, frozen=True):
    """The rights that a service's own proxy needs; in `datacenters`, empty: in all."""

    service: str
    datacenters: tuple[str, ...] = ()


class NodeIdentity(Kept, frozen=True):
    """The rights that a node's own agent needs."""

    node: str
    datacenter: str


class TemplatedPolicy(Kept, frozen=True):
    """The rights that a template gives to a name."""

    template: str
    name: str = ""
    datacenters: tuple[str, ...] = ()


class Rights(Kept, frozen=True):
    """Where rights come from; tokens and roles have them alike, but that a role has no roles."""

    policies: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    services: tuple[ServiceIdentity, ...] = ()
    nodes: tuple[NodeIdentity, ...] = ()
    templates: tuple[TemplatedPolicy, ...] = ()


class Token(Kept, frozen=True):
    """A token. `expires_s` is seconds since the epoch, 0: never; `secret_sha256` is hexadecimal."""

    accessor: str
    secret_sha256: str
    description: str = ""
    rights: Rights = Rights()
    local: bool = False
    expires_s: float = 0.0
    ttl: str = ""
    auth_method: str = ""
    created_s: float = 0.0

    def is_over(self, now_s: float) -> bool:
        """Whether its time has passed."""
        return 0.0 < self.expires_s <= now_s


class AclPolicy(Kept, frozen=True):
    """A policy: rules under a name."""

    id: str
    name: str
    description: str = ""
    rules: str = ""
    datacenters: tuple[str, ...] = ()


class Role(Kept, frozen=True):
    """A role: rights under a name."""

    id: str
    name: str
    description: str = ""
    rights: Rights = Rights()


class AuthMethod(Kept, frozen=True):
    """A way to get a token for a proof of another kind. `config` is as Consul spells it, per type."""

    name: str
    type: str
    display_name: str = ""
    description: str = ""
    config: dict[str, Any] = {}
    max_token_ttl: str = ""
    token_locality: str = ""
    token_name_format: str = ""


class BindingRule(Kept, frozen=True):
    """What a proof gets: `bind_name` filled in from it, if `selector` holds for it."""

    id: str
    auth_method: str
    bind_type: str
    bind_name: str
    selector: str = ""
    description: str = ""
    bind_vars: dict[str, str] = {}


def secret_hash(secret: str) -> str:
    """What of a secret is kept: its SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def content_hash(kept: msgspec.Struct) -> str:
    """Consul's `Hash`: it differs when what is kept differs."""
    return base64.b64encode(hashlib.sha256(msgspec.json.encode(kept, order="deterministic")).digest()).decode()


def read_kept(record: Record | None, type_: type[R]) -> R | None:
    """The value that a record keeps; None, which gives nobody anything, if there is none or it cannot be read."""
    if record is None:
        return None
    try:
        return msgspec.json.decode(record.value, type=type_)
    except msgspec.DecodeError:
        return None


def write_kept(kept: msgspec.Struct) -> bytes:
    """The bytes that keep a value."""
    return msgspec.json.encode(kept)


def indexes(record: Record | None) -> tuple[int, int]:
    """When a record was made and last changed; 0 for what is built in."""
    return (0, 0) if record is None else (record.create_index, record.modify_index)
