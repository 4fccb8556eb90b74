"""Who may call whom: intentions as a destination's proxy gets them, ordered by precedence.

Consul's meaning to the letter: the first intention whose source matches decides; an intention has an action or
permissions, never both; permissions are ordered, the first match decides, and no match means the default policy.
Values only: the decision itself is `mesh.decide.authorise`.
"""

import enum

import msgspec


class Action(enum.StrEnum):
    """What an intention or a permission says."""

    ALLOW = "allow"
    DENY = "deny"


class HeaderMatch(msgspec.Struct, frozen=True):
    """One header rule. Exactly one of the operators is set; `invert` flips the outcome, also of a missing header."""

    name: str
    present: bool = False
    exact: str = ""
    prefix: str = ""
    suffix: str = ""
    contains: str = ""
    regex: str = ""
    invert: bool = False
    ignore_case: bool = False


class HttpMatch(msgspec.Struct, frozen=True):
    """What a permission asks of a request; an empty field asks nothing. At most one of the path fields is set."""

    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    methods: tuple[str, ...] = ()
    headers: tuple[HeaderMatch, ...] = ()


class Permission(msgspec.Struct, frozen=True):
    """One ordered L7 rule of an intention."""

    action: Action
    http: HttpMatch = HttpMatch()


class Intention(msgspec.Struct, frozen=True):
    """One source -> destination rule. `source` and `destination` may be `*`."""

    source: str
    destination: str
    precedence: int
    action: Action | None = None
    permissions: tuple[Permission, ...] = ()


class IntentionSet(msgspec.Struct, frozen=True):
    """Everything that a destination's proxy decides from. `intentions` is sorted, highest precedence first.

    `protocol` is the destination's (service-defaults): permissions on a `tcp` destination deny.
    """

    service: str
    index: int
    protocol: str = "tcp"
    default_action: Action = Action.DENY
    intentions: tuple[Intention, ...] = ()
