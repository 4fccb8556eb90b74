"""A prepared query as it is written, kept and shown (Consul's prepared query API page), and what it must satisfy.

A query's token is never kept: only the public id of it (`token_accessor`), so that a query runs with its rights and
nobody can read it back.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from catalog.compile.entries.duration import InvalidDurationError, parse_duration
from catalog.compile.queries.captures import Captures
from mesh.decide.regex import RegexError

HIDDEN = "<hidden>"
NAME_PREFIX_MATCH = "name_prefix_match"
MAX_NAME = 255
MAX_ITEMS = 64
MAX_TEXT = 512


class InvalidQueryError(ValueError):
    """The caller's query breaks a rule; the text says which."""


class _Part(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """A part of a query: CamelCase in JSON, unknown fields refused."""


class FailoverTarget(_Part, frozen=True):
    """Another place to ask."""

    peer: str = ""
    datacenter: str = ""
    partition: str = ""


class QueryFailover(_Part, frozen=True):
    """Where to ask when there is nothing here."""

    nearest_n: int = 0
    datacenters: tuple[str, ...] = ()
    targets: tuple[FailoverTarget, ...] = ()


class QueryService(_Part, frozen=True):
    """Which instances of what."""

    service: str = ""
    sameness_group: str = ""
    failover: QueryFailover = QueryFailover()
    only_passing: bool = False
    ignore_check_ids: tuple[str, ...] = msgspec.field(name="IgnoreCheckIDs", default=())
    near: str = ""
    tags: tuple[str, ...] = ()
    node_meta: dict[str, str] = msgspec.field(default_factory=dict)
    service_meta: dict[str, str] = msgspec.field(default_factory=dict)
    connect: bool = False
    peer: str = ""


class QueryDns(_Part, frozen=True):
    """What DNS says beside the addresses."""

    ttl: str = msgspec.field(name="TTL", default="")


class QueryTemplate(_Part, frozen=True):
    """Makes a query of every name that begins with its name."""

    type: str = ""
    regexp: str = ""
    remove_empty_tags: bool = False


class Query(_Part, frozen=True):
    """One query, as a body writes it. `create_index`, `modify_index` are read over."""

    id: str = msgspec.field(name="ID", default="")
    name: str = ""
    session: str = ""
    token: str = ""
    template: QueryTemplate = QueryTemplate()
    service: QueryService = QueryService()
    dns: QueryDns = msgspec.field(name="DNS", default_factory=QueryDns)
    create_index: int = 0
    modify_index: int = 0

    is_secret: ClassVar[frozenset[str]] = frozenset({"token"})

    @property
    def is_template(self) -> bool:
        """Whether it makes queries of names."""
        return bool(self.template.type)

    @property
    def ttl_s(self) -> int | None:
        """The TTL for DNS in whole seconds; None if it says nothing."""
        return int(parse_duration(self.dns.ttl).seconds) if self.dns.ttl else None

    @property
    def rule_name(self) -> str | None:
        """The name that `query` rules are asked for; None for one without, that only its id opens."""
        return self.name if self.name or self.is_template else None


class Kept(msgspec.Struct, frozen=True):
    """A query as a record keeps it: its token as the public id of it."""

    query: Query
    token_accessor: str = ""


def read_kept(value: bytes) -> Kept | None:
    """The query in a record's bytes; None if it cannot be read."""
    try:
        return msgspec.json.decode(value, type=Kept)
    except (msgspec.DecodeError, RecursionError):
        return None


def write_kept(kept: Kept) -> bytes:
    """The bytes of a record. The token's secret is not among them."""
    query = msgspec.structs.replace(kept.query, token="", create_index=0, modify_index=0)
    return msgspec.json.encode(msgspec.structs.replace(kept, query=query))


def query_json(kept: Kept, create_index: int, modify_index: int) -> dict[str, Any]:
    """A query as Consul prints it; that there is a token shows, and never which."""
    shown: dict[str, Any] = msgspec.to_builtins(kept.query)
    shown["Token"] = HIDDEN if kept.token_accessor else ""
    return shown | {"CreateIndex": create_index, "ModifyIndex": modify_index}


def check_query(query: Query) -> Query:
    """Judge a query by itself.

    Raises:
        InvalidQueryError: it breaks one of Consul's rules.
    """
    if len(query.name) > MAX_NAME or not query.name.isprintable():
        raise InvalidQueryError(f"Bad Name: it must be at most {MAX_NAME} printable characters")
    if not query.name and not query.session and not query.is_template:
        raise InvalidQueryError("Must be bound to a session")
    _check_template(query)
    _check_service(query.service)
    if query.dns.ttl:
        try:
            ttl = parse_duration(query.dns.ttl)
        except InvalidDurationError as error:
            raise InvalidQueryError(f"Bad DNS TTL {query.dns.ttl[:40]!r}: {error}") from error
        if not 0 <= ttl.seconds < 2**31:
            raise InvalidQueryError(f"DNS TTL {query.dns.ttl[:40]!r} must be >=0")
    return query


def _check_template(query: Query) -> None:
    if query.template.type not in {"", NAME_PREFIX_MATCH}:
        raise InvalidQueryError(f"Bad Template.Type {query.template.type[:40]!r}: use {NAME_PREFIX_MATCH!r}")
    if query.template.regexp:
        try:
            Captures(query.template.regexp)
        except RegexError as error:
            raise InvalidQueryError(f"Bad Regexp: {error}") from error


def _check_service(service: QueryService) -> None:
    if not service.service:
        raise InvalidQueryError("Must provide a Service name to query")
    if service.sameness_group:
        raise InvalidQueryError("Service.SamenessGroup is Consul Enterprise's")
    if service.peer:
        raise InvalidQueryError("Service.Peer: there are no peers")
    failover = service.failover
    if failover.nearest_n < 0:
        raise InvalidQueryError(f"Bad NearestN '{failover.nearest_n}', must be >= 0")
    if failover.targets and (failover.nearest_n or failover.datacenters):
        raise InvalidQueryError("Failover.Targets excludes Failover.NearestN and Failover.Datacenters")
    for target in failover.targets:
        if bool(target.peer) == bool(target.datacenter):
            raise InvalidQueryError("Failover.Targets: each must set one of Peer and Datacenter")
    lists: Iterable[tuple[str, Iterable[str]]] = (
        ("Tags", service.tags),
        ("IgnoreCheckIDs", service.ignore_check_ids),
        ("Failover.Datacenters", failover.datacenters),
        ("Near", (service.near,)),
        ("Service", (service.service,)),
        ("NodeMeta", _flat(service.node_meta)),
        ("ServiceMeta", _flat(service.service_meta)),
    )
    for name, items in lists:
        found = list(items)
        if len(found) > 2 * MAX_ITEMS or any(len(item) > MAX_TEXT for item in found):
            raise InvalidQueryError(f"{name}: at most {MAX_ITEMS} of them, each of at most {MAX_TEXT} characters")


def _flat(pairs: Mapping[str, str]) -> list[str]:
    return [text for pair in pairs.items() for text in pair]
