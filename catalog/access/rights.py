"""The table of rights: which caller may do what. Pure; what no line allows is denied, with a reason for the answer."""

import enum
from collections.abc import Callable, Mapping

import msgspec

from catalog.access.authorizer import EVERYTHING, NOTHING, Access, Authorizer, Resource
from catalog.access.callers import Caller, CallerKind


class Verb(enum.StrEnum):
    """What a caller wants to do. The second part of a question is what it wants to do it to."""

    READ = "read"
    """Read through the Consul API; to what: the family (`catalog`, `health`, `config`, `intentions`, `roots`, ...)."""
    SYNC = "sync"
    """Follow a resource; to what: its name (`chain/web`)."""
    RENEW = "renew the lease of"
    """Keep a node's registrations alive; to what: the node."""
    REGISTER = "register under"
    """Register, update checks or deregister; to what: the node."""
    WRITE_CONFIG = "write the config entry"
    WRITE_INTENTION = "write intentions of"
    TOKENS = "manage tokens"
    OPERATE = "operate the catalog"


class Verdict(msgspec.Struct, frozen=True):
    """The answer; `reason` is the text of the refusal (HTTP 403), empty when allowed."""

    allowed: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.allowed


ALLOWED = Verdict(allowed=True)

_Rule = Callable[[Caller, str], bool]


def _always(_caller: Caller, _what: str) -> bool:
    return True


def _own_node(caller: Caller, what: str) -> bool:
    return bool(what) and what == caller.name


def _roots_only(_caller: Caller, what: str) -> bool:
    return what == "roots"


def _service_resource(caller: Caller, what: str) -> bool:
    """A sidecar follows how to reach others, and who may reach itself."""
    kind, _, name = what.partition("/")
    if kind == "intentions":
        return name == caller.name
    return kind in {"chain", "endpoints", "gateways", "roots", "mesh"}


def _gateway_resource(caller: Caller, what: str) -> bool:
    """A gateway follows where networks and services are, and what its own network exports."""
    kind, _, name = what.partition("/")
    if kind == "exports":
        return name == caller.name
    return kind in {"endpoints", "gateways", "networks", "roots", "mesh"}


_TABLE: Mapping[CallerKind, Mapping[Verb, _Rule]] = {
    CallerKind.OPERATOR: dict.fromkeys(Verb, _always),
    CallerKind.NODE: {
        Verb.READ: _always,
        Verb.SYNC: _always,
        Verb.RENEW: _own_node,
        Verb.REGISTER: _own_node,
    },
    CallerKind.SERVICE: {Verb.READ: _roots_only, Verb.SYNC: _service_resource},
    CallerKind.GATEWAY: {Verb.READ: _roots_only, Verb.SYNC: _gateway_resource},
    CallerKind.SERVER: {Verb.READ: _always, Verb.SYNC: _always},
    CallerKind.TOKEN: {Verb.READ: _always},
    CallerKind.ANONYMOUS: {Verb.READ: _always},
}
"""What tokens (and those without one) may is their policies' to say; that they may read means that lists are filtered."""


def may(caller: Caller, verb: Verb, what: str = "") -> Verdict:
    """Whether `caller` may do `verb` to `what`. In dev mode everyone is the operator: the edge says so, not this table.

    Anonymous callers exist on the loopback listener alone. Certificates are judged by `catalog.authority.rules`.
    """
    rule = _TABLE[caller.kind].get(verb)
    if rule is not None and rule(caller, what):
        return ALLOWED
    aim = f" {what[:120]!r}" if what else ""
    return Verdict(allowed=False, reason=f"Permission denied: {caller} may not {verb}{aim}")


_SYNCED: Mapping[str, Resource] = {
    "chain": Resource.SERVICE,
    "endpoints": Resource.SERVICE,
    "intentions": Resource.INTENTION,
}


def needed(verb: Verb, what: str) -> tuple[Resource, str, Access]:
    """What a verb asks of a token, in the words of Consul's rules."""
    match verb:
        case Verb.REGISTER | Verb.RENEW:
            return Resource.NODE, what, Access.WRITE
        case Verb.WRITE_INTENTION:
            return Resource.INTENTION, what, Access.WRITE
        case Verb.TOKENS:
            return Resource.ACL, "", Access.WRITE
        case Verb.SYNC:
            kind, _, name = what.partition("/")
            return (_SYNCED[kind], name, Access.READ) if kind in _SYNCED else (Resource.MESH, "", Access.READ)
        case _:
            return Resource.OPERATOR, "", Access.WRITE


_PUBLIC = frozenset({Resource.INTENTION, Resource.MESH, Resource.NODE, Resource.SERVICE})
_OWN = frozenset({Resource.AGENT, Resource.NODE, Resource.SESSION})


class _Member:
    """The rights of a certificate: reads what describes the mesh, as the table above says; a node writes what is its own.

    Its own are its agent, itself and sessions on it; no key, token, event or query. Nor a service: what it may register
    depends on where and as what (`catalog.access.registration`), and a service's entries count in the whole mesh.
    """

    accessor = ""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._is_node = caller.kind is CallerKind.NODE

    def allows(self, resource: Resource, name: str, access: Access) -> bool:
        if access is not Access.WRITE and resource in _PUBLIC:
            return True
        return self._is_node and bool(name) and resource in _OWN and name == self._caller.name

    def allows_all(self, resource: Resource, prefix: str, access: Access) -> bool:  # noqa: ARG002 - all names alike
        return resource in _PUBLIC and access is not Access.WRITE

    def __str__(self) -> str:
        return str(self._caller)


def authorizer_of(caller: Caller) -> Authorizer:
    """The rights of a caller that is known by its certificate; of others none, for theirs are their tokens'."""
    if caller.kind is CallerKind.OPERATOR:
        return EVERYTHING
    if caller.kind in {CallerKind.TOKEN, CallerKind.ANONYMOUS}:
        return NOTHING
    return _Member(caller) if Verb.READ in _TABLE[caller.kind] and may(caller, Verb.READ, "catalog") else NOTHING
