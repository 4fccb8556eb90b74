"""Kinds that lead from an API gateway to services: http-route and tcp-route. Kept, shown and judged; their writer is told."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import msgspec

from catalog.compile.entries.connection import check_choice, check_not_negative, refuse
from catalog.compile.entries.defaults import is_host
from catalog.compile.entries.duration import Duration
from catalog.compile.entries.gateways import EntryReference
from catalog.compile.entries.policy import JwtRequirement
from catalog.compile.entries.reader import EntryHead, EntryValue
from catalog.compile.entries.traffic import Scoped, check_header_name, check_regex

_SCOPE: Mapping[str, tuple[object, ...]] = MappingProxyType({"Partition": ("default",), "Namespace": ("default",)})
METHODS = frozenset({"", "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
MAX_RULES = 1000


class RouteHeaderFilter(EntryValue, frozen=True):
    """Headers to add, remove and set."""

    add: dict[str, str] = msgspec.field(default_factory=dict)
    remove: tuple[str, ...] = ()
    set: dict[str, str] = msgspec.field(default_factory=dict)


class UrlRewrite(EntryValue, frozen=True):
    """The path that a request gets."""

    path: str = ""


class RetryFilter(EntryValue, frozen=True):
    """When a request is sent again."""

    num_retries: int = 0
    retry_on: tuple[str, ...] = ()
    retry_on_status_codes: tuple[int, ...] = ()
    retry_on_connect_failure: bool = False


class TimeoutFilter(EntryValue, frozen=True):
    """How long a request may take."""

    request_timeout: Duration | None = None
    idle_timeout: Duration | None = None


class RouteFilters(EntryValue, frozen=True):
    """What is done to a request."""

    headers: tuple[RouteHeaderFilter, ...] = ()
    url_rewrite: UrlRewrite | None = msgspec.field(name="URLRewrite", default=None)
    retry_filter: RetryFilter | None = None
    timeout_filter: TimeoutFilter | None = None
    jwt: JwtRequirement | None = msgspec.field(name="JWT", default=None)


class RouteResponseFilters(EntryValue, frozen=True):
    """What is done to a response."""

    headers: tuple[RouteHeaderFilter, ...] = ()


class RouteMatchRule(EntryValue, frozen=True):
    """One rule on a named part of a request."""

    match: str = ""
    name: str = ""
    value: str = ""


class RoutePathRule(EntryValue, frozen=True):
    """The rule on the path."""

    match: str = ""
    value: str = ""


class HttpRouteMatch(EntryValue, frozen=True):
    """What a rule asks of a request."""

    headers: tuple[RouteMatchRule, ...] = ()
    method: str = ""
    path: RoutePathRule | None = None
    query: tuple[RouteMatchRule, ...] = ()


class HttpRouteService(Scoped, frozen=True):
    """Where a rule leads, with its share."""

    name: str
    weight: int = 0
    filters: RouteFilters | None = None
    response_filters: RouteResponseFilters | None = None


class HttpRouteRule(EntryValue, frozen=True):
    """One rule: the first whose match holds is taken."""

    filters: RouteFilters | None = None
    response_filters: RouteResponseFilters | None = None
    matches: tuple[HttpRouteMatch, ...] = ()
    services: tuple[HttpRouteService, ...] = ()


class HttpRoute(EntryHead, frozen=True, tag_field="Kind", tag="http-route"):
    """From an API gateway's HTTP listeners to services."""

    parents: tuple[EntryReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[HttpRouteRule, ...] = ()

    passive: ClassVar[tuple[str, ...]] = (*EntryHead.passive, "Status")
    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE
    idle: ClassVar[tuple[str, ...]] = ("Rules",)


class TcpRouteService(Scoped, frozen=True):
    """Where a TCP route leads."""

    name: str


class TcpRoute(EntryHead, frozen=True, tag_field="Kind", tag="tcp-route"):
    """From an API gateway's TCP listener to a service."""

    parents: tuple[EntryReference, ...] = ()
    services: tuple[TcpRouteService, ...] = ()

    passive: ClassVar[tuple[str, ...]] = (*EntryHead.passive, "Status")
    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE
    idle: ClassVar[tuple[str, ...]] = ("Services",)


def check_http_route(entry: HttpRoute) -> HttpRoute:
    """Parents are API gateways, host names are some, rules are readable."""
    for i, host in enumerate(entry.hostnames):
        if not is_host(host.removeprefix("*.")):
            raise refuse(f"Hostnames[{i}] {host[:80]!r} is no host name, nor one that begins with '*.'")
    if len(entry.rules) > MAX_RULES:
        raise refuse(f"Rules holds more than {MAX_RULES}")
    for i, rule in enumerate(entry.rules):
        for j, match in enumerate(rule.matches):
            _check_match(match, f"Rules[{i}].Matches[{j}]")
        _check_filters(rule.filters, f"Rules[{i}].Filters")
        for j, service in enumerate(rule.services):
            at = f"Rules[{i}].Services[{j}]"
            if not service.name:
                raise refuse(f"{at}: Service name cannot be blank")
            check_not_negative(service.weight, f"{at}.Weight")
            _check_filters(service.filters, f"{at}.Filters")
    return msgspec.structs.replace(entry, parents=_parents(entry.parents))


def check_tcp_route(entry: TcpRoute) -> TcpRoute:
    """Parents are API gateways, and there is at most one service."""
    if len(entry.services) > 1:
        raise refuse("tcp-route currently only supports one service")
    return msgspec.structs.replace(entry, parents=_parents(entry.parents))


def _parents(parents: tuple[EntryReference, ...]) -> tuple[EntryReference, ...]:
    """The parents with their kind filled in."""
    found = []
    for i, parent in enumerate(parents):
        check_choice(parent.kind or "api-gateway", ("api-gateway",), f"Parents[{i}].Kind")
        if not parent.name:
            raise refuse(f"Parents[{i}].Name is missing")
        found.append(msgspec.structs.replace(parent, kind="api-gateway"))
    if len(set(found)) != len(found):
        raise refuse("Parents names a listener twice")
    return tuple(found)


def _check_match(match: HttpRouteMatch, at: str) -> None:
    check_choice(match.method.upper(), METHODS, f"{at}.Method")
    if match.path is not None:
        check_choice(match.path.match, ("exact", "prefix", "regex"), f"{at}.Path.Match")
        if match.path.match == "regex":
            check_regex(match.path.value, f"{at}.Path.Value")
        elif not match.path.value.startswith("/"):
            raise refuse(f"{at}.Path.Value must start with '/'")
    for i, header in enumerate(match.headers):
        where = f"{at}.Headers[{i}]"
        check_choice(header.match, ("exact", "prefix", "suffix", "present", "regex"), f"{where}.Match")
        check_header_name(header.name, f"{where}.Name")
        check_regex(header.value if header.match == "regex" else "", f"{where}.Value")
    for i, query in enumerate(match.query):
        where = f"{at}.Query[{i}]"
        check_choice(query.match, ("exact", "present", "regex"), f"{where}.Match")
        if not query.name:
            raise refuse(f"{where}.Name is missing")
        check_regex(query.value if query.match == "regex" else "", f"{where}.Value")


def _check_filters(filters: RouteFilters | None, at: str) -> None:
    if filters is None:
        return
    if filters.url_rewrite is not None and not filters.url_rewrite.path.startswith("/"):
        raise refuse(f"{at}.URLRewrite.Path must start with '/'")
    for i, headers in enumerate(filters.headers):
        for name in (*headers.add, *headers.set, *headers.remove):
            check_header_name(name, f"{at}.Headers[{i}]")
    if filters.retry_filter is not None:
        check_not_negative(filters.retry_filter.num_retries, f"{at}.RetryFilter.NumRetries")
