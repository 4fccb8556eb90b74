"""What a caller may do, as the endpoints ask it: a resource, a name, an access; and the refusal in Consul's words.

Everything that is not allowed is denied. It must never look at a request: who the caller is was decided before.
Facts: Consul's ACL rules reference (resources, `read`, `list`, `write`).
"""

import enum
from typing import Protocol


class Resource(enum.StrEnum):
    """What a rule is about. `ACL`, `KEYRING`, `MESH`, `OPERATOR` and `PEERING` have no names: ask with an empty one."""

    ACL = "acl"
    AGENT = "agent"
    EVENT = "event"
    INTENTION = "intention"
    KEY = "key"
    KEYRING = "keyring"
    MESH = "mesh"
    NODE = "node"
    OPERATOR = "operator"
    PEERING = "peering"
    QUERY = "query"
    SERVICE = "service"
    SESSION = "session"


class Access(enum.StrEnum):
    """How it is used; each one includes those before it."""

    READ = "read"
    LIST = "list"
    WRITE = "write"


class Authorizer(Protocol):
    """The rights of one caller, at one moment: a blocking query asks anew when it wakes."""

    def allows(self, resource: Resource, name: str, access: Access) -> bool:
        """Whether it may, for that one name."""
        ...

    def allows_all(self, resource: Resource, prefix: str, access: Access) -> bool:
        """Whether it may for every name that begins with `prefix`, known or not (`kv?recurse` deletes ask this)."""
        ...

    @property
    def accessor(self) -> str:
        """The public id of its token, for refusals and the audit log; empty for who is known by certificate."""
        ...

    def __str__(self) -> str:
        """Who it is, for refusals and the audit log; never a secret."""
        ...


class Everything:
    """May do everything: the operator, and everyone in dev mode."""

    accessor = ""

    def allows(self, resource: Resource, name: str, access: Access) -> bool:  # noqa: ARG002 - the protocol's signature
        return True

    def allows_all(self, resource: Resource, prefix: str, access: Access) -> bool:  # noqa: ARG002 - the protocol's signature
        return True

    def __str__(self) -> str:
        return "the operator"


class Nothing:
    """May do nothing: what a call has until somebody says who makes it."""

    accessor = ""

    def allows(self, resource: Resource, name: str, access: Access) -> bool:  # noqa: ARG002 - the protocol's signature
        return False

    def allows_all(self, resource: Resource, prefix: str, access: Access) -> bool:  # noqa: ARG002 - the protocol's signature
        return False

    def __str__(self) -> str:
        return "nobody"


EVERYTHING = Everything()
NOTHING = Nothing()


def refusal_text(authorizer: Authorizer, resource: Resource, name: str, access: Access) -> str:
    """Why not, in Consul's words, so that its clients' tests and operators recognise it."""
    who = str(authorizer)
    if authorizer.accessor and who != "anonymous token":  # what Consul calls those who show none
        who = f"token with AccessorID '{authorizer.accessor}'"
    aim = f' on "{name[:120]}"' if name else ""
    return f"Permission denied: {who} lacks permission '{resource}:{access}'{aim}"
