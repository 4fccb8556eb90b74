"""Kinds that steer traffic: service-router, service-splitter and service-resolver, and what each must satisfy alone."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import msgspec

from catalog.compile.entries.balancing import LoadBalancer, check_balancer
from catalog.compile.entries.duration import Duration
from catalog.compile.entries.reader import ConfigEntryError, EntryHead, EntryValue
from catalog.compile.filter import FilterError, parse_filter
from catalog.compile.selectors import HEALTH
from mesh.decide.regex import RegexError, compile_regex
from mesh.model.names import InvalidNameError, check_label

_SCOPE = ("Namespace", "Partition")
_DEFAULT_SCOPE: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "Namespace": ("default",),
        "Partition": ("default",),
    }
)


class Scoped(EntryValue, frozen=True):
    """A struct that may name Consul's default namespace and partition, and nothing else of theirs."""

    unsupported: ClassVar[tuple[str, ...]] = _SCOPE
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _DEFAULT_SCOPE


class HeaderModifiers(EntryValue, frozen=True):
    """Headers to add, set and remove."""

    add: dict[str, str] = msgspec.field(default_factory=dict)
    set: dict[str, str] = msgspec.field(default_factory=dict)
    remove: tuple[str, ...] = ()


class RouterHeader(EntryValue, frozen=True):
    """One header rule of a route; exactly one operator is set."""

    name: str
    present: bool = False
    exact: str = ""
    prefix: str = ""
    suffix: str = ""
    contains: str = ""
    regex: str = ""
    invert: bool = False
    ignore_case: bool = False


class RouterQueryParam(EntryValue, frozen=True):
    """One query-parameter rule of a route; exactly one operator is set."""

    name: str
    present: bool = False
    exact: str = ""
    regex: str = ""


class RouterHttp(EntryValue, frozen=True):
    """What a route asks of a request; all that is set must hold."""

    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    case_insensitive: bool = False
    header: tuple[RouterHeader, ...] = ()
    query_param: tuple[RouterQueryParam, ...] = ()
    methods: tuple[str, ...] = ()


class RouterMatch(EntryValue, frozen=True):
    """Consul's wrapper around the HTTP match."""

    http: RouterHttp | None = msgspec.field(name="HTTP", default=None)


class RouterDestination(Scoped, frozen=True):
    """Where a route leads and how requests on it are treated. Negative time-outs switch the time-out off."""

    service: str = ""
    service_subset: str = ""
    prefix_rewrite: str = ""
    request_timeout: Duration | None = None
    idle_timeout: Duration | None = None
    num_retries: int = 0
    retry_on: tuple[str, ...] = ()
    retry_on_connect_failure: bool = False
    retry_on_status_codes: tuple[int, ...] = ()
    request_headers: HeaderModifiers | None = None
    response_headers: HeaderModifiers | None = None


class RouterRoute(EntryValue, frozen=True):
    """One route: the first whose match holds is taken."""

    match: RouterMatch | None = None
    destination: RouterDestination | None = None


class ServiceRouter(EntryHead, frozen=True, tag_field="Kind", tag="service-router"):
    """The routes of a service; a catch-all to the service itself follows them."""

    routes: tuple[RouterRoute, ...] = ()

    unsupported: ClassVar[tuple[str, ...]] = _SCOPE
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _DEFAULT_SCOPE


class Split(Scoped, frozen=True):
    """One share, in percent, of a service's traffic."""

    weight: float
    service: str = ""
    service_subset: str = ""
    request_headers: HeaderModifiers | None = None
    response_headers: HeaderModifiers | None = None


class ServiceSplitter(EntryHead, frozen=True, tag_field="Kind", tag="service-splitter"):
    """How a service's traffic is shared out. The weights sum to 100."""

    splits: tuple[Split, ...] = ()

    unsupported: ClassVar[tuple[str, ...]] = _SCOPE
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _DEFAULT_SCOPE


class Subset(EntryValue, frozen=True):
    """A named part of a service's instances: those that `filter` holds for (empty: all)."""

    filter: str = ""
    only_passing: bool = False


class Redirect(Scoped, frozen=True):
    """Another service, or one of its subsets, that is used instead."""

    service: str = ""
    service_subset: str = ""
    datacenter: str = ""

    unsupported: ClassVar[tuple[str, ...]] = (*_SCOPE, "Peer", "SamenessGroup")


class FailoverTarget(Scoped, frozen=True):
    """One place to fail over to."""

    service: str = ""
    service_subset: str = ""
    datacenter: str = ""
    peer: str = ""

    idle: ClassVar[tuple[str, ...]] = ("Peer",)


class FailoverPolicy(EntryValue, frozen=True):
    """In which order fail-over targets are tried: only `sequential`."""

    mode: str = ""

    unsupported: ClassVar[tuple[str, ...]] = ("Regions",)


class Failover(Scoped, frozen=True):
    """Where a subset's traffic goes while it has no healthy instance: one service, or several targets in order."""

    service: str = ""
    service_subset: str = ""
    datacenters: tuple[str, ...] = ()
    targets: tuple[FailoverTarget, ...] = ()
    policy: FailoverPolicy | None = None

    unsupported: ClassVar[tuple[str, ...]] = (*_SCOPE, "SamenessGroup")


class ServiceResolver(EntryHead, frozen=True, tag_field="Kind", tag="service-resolver"):
    """Which instances stand for a service, and where to go when there are none."""

    default_subset: str = ""
    subsets: dict[str, Subset] = msgspec.field(default_factory=dict)
    redirect: Redirect | None = None
    failover: dict[str, Failover] = msgspec.field(default_factory=dict)
    connect_timeout: Duration | None = None
    request_timeout: Duration | None = None
    load_balancer: LoadBalancer | None = None

    unsupported: ClassVar[tuple[str, ...]] = (*_SCOPE, "PrioritizeByLocality")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _DEFAULT_SCOPE


RETRY_CONDITIONS = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "connect-failure",
        "refused-stream",
        "retriable-4xx",
    }
)
MAX_ROUTES = 1000
MAX_SPLITS = 1000
MAX_SUBSETS = 256
_METHOD = re.compile(r"[A-Z]{1,20}")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")


def check_router(entry: ServiceRouter) -> ServiceRouter:
    """Check every route by itself."""
    _at_most(len(entry.routes), MAX_ROUTES, "Routes")
    for i, route in enumerate(entry.routes):
        at = f"Routes[{i}]"
        http = route.match.http if route.match else None
        if http is not None:
            _check_match(http, f"{at}.Match.HTTP")
        if route.destination is not None:
            _check_destination(route.destination, http, f"{at}.Destination")
    return entry


def _check_match(http: RouterHttp, at: str) -> None:
    check_paths(http.path_exact, http.path_prefix, http.path_regex, at)
    for i, header in enumerate(http.header):
        where = f"{at}.Header[{i}]"
        check_header_name(header.name, f"{where}.Name")
        operators = (header.present, header.exact, header.prefix, header.suffix, header.contains, header.regex)
        _one_operator(operators, where)
        if header.ignore_case and (header.present or header.regex):
            raise ConfigEntryError(500, f"Config entry: {where}.IgnoreCase goes with Exact, Prefix, Suffix or Contains")
        check_regex(header.regex, f"{where}.Regex")
    for i, param in enumerate(http.query_param):
        where = f"{at}.QueryParam[{i}]"
        if not param.name:
            raise ConfigEntryError(500, f"Config entry: {where}.Name is missing")
        _one_operator((param.present, param.exact, param.regex), where)
        check_regex(param.regex, f"{where}.Regex")
    check_methods(http.methods, at)


def _one_operator(operators: tuple[object, ...], at: str) -> None:
    if sum(1 for operator in operators if operator) != 1:
        raise ConfigEntryError(500, f"Config entry: {at} must set exactly one of its match operators")


def _check_destination(destination: RouterDestination, http: RouterHttp | None, at: str) -> None:
    _check_service(destination.service, f"{at}.Service")
    if destination.prefix_rewrite and not (http and (http.path_exact or http.path_prefix)):
        raise ConfigEntryError(500, f"Config entry: {at}.PrefixRewrite needs Match.HTTP.PathPrefix or PathExact")
    if destination.prefix_rewrite and not destination.prefix_rewrite.startswith("/"):
        raise ConfigEntryError(500, f"Config entry: {at}.PrefixRewrite must start with '/'")
    if not 0 <= destination.num_retries <= 100:
        raise ConfigEntryError(500, f"Config entry: {at}.NumRetries must be from 0 to 100")
    for condition in destination.retry_on:
        if condition not in RETRY_CONDITIONS:
            known = ", ".join(sorted(RETRY_CONDITIONS))
            raise ConfigEntryError(500, f"Config entry: {at}.RetryOn {condition[:40]!r} is not one of {known}")
    for status in destination.retry_on_status_codes:
        if not 400 <= status <= 599:
            raise ConfigEntryError(500, f"Config entry: {at}.RetryOnStatusCodes {status} is not from 400 to 599")
    check_modifiers(destination.request_headers, f"{at}.RequestHeaders")
    check_modifiers(destination.response_headers, f"{at}.ResponseHeaders")


def check_splitter(entry: ServiceSplitter) -> ServiceSplitter:
    """Check that the weights are in steps of 0.01 and sum to 100."""
    if not entry.splits:
        raise ConfigEntryError(500, "Config entry: Splits must hold at least one split")
    _at_most(len(entry.splits), MAX_SPLITS, "Splits")
    total = 0
    for i, split in enumerate(entry.splits):
        at = f"Splits[{i}]"
        hundredths = round(split.weight * 100) if 0 <= split.weight <= 100 else -1
        if hundredths < 0 or abs(split.weight * 100 - hundredths) > 1e-6:
            raise ConfigEntryError(500, f"Config entry: {at}.Weight must be from 0 to 100 in steps of 0.01")
        total += hundredths
        _check_service(split.service, f"{at}.Service")
        check_modifiers(split.request_headers, f"{at}.RequestHeaders")
        check_modifiers(split.response_headers, f"{at}.ResponseHeaders")
    if total != 10_000:
        raise ConfigEntryError(500, f"Config entry: the sum of all split weights must be 100, not {total / 100:g}")
    return entry


def check_resolver(entry: ServiceResolver) -> ServiceResolver:
    """Check subsets, redirect and fail-over as far as this entry alone shows them."""
    _at_most(len(entry.subsets), MAX_SUBSETS, "Subsets")
    _at_most(len(entry.failover), MAX_SUBSETS + 1, "Failover")
    for name, subset in entry.subsets.items():
        _check_name(name, "Subsets", "subset name")
        try:
            parse_filter(subset.filter, HEALTH)
        except FilterError as error:
            raise ConfigEntryError(500, f"Config entry: Subsets[{name!r}].Filter: {error}") from error
    _known_subset(entry, entry.default_subset, "DefaultSubset")
    if entry.redirect is not None:
        _check_redirect(entry, entry.redirect)
    for name, failover in entry.failover.items():
        at = f"Failover[{name!r}]"
        if name != "*":
            _known_subset(entry, name, at)
        _check_failover(entry, failover, at)
    if entry.connect_timeout is not None and entry.connect_timeout.nanoseconds < 0:
        raise ConfigEntryError(500, "Config entry: ConnectTimeout must not be negative")
    if entry.request_timeout is not None and entry.request_timeout.nanoseconds < 0:
        raise ConfigEntryError(500, "Config entry: RequestTimeout must not be negative")
    check_balancer(entry.load_balancer)
    return entry


def _check_redirect(entry: ServiceResolver, redirect: Redirect) -> None:
    if entry.failover:
        raise ConfigEntryError(500, "Config entry: Redirect and Failover exclude each other")
    if not (redirect.service or redirect.service_subset or redirect.datacenter):
        raise ConfigEntryError(500, "Config entry: Redirect is empty: set Redirect.Service")
    if redirect.service_subset and not redirect.service:
        raise ConfigEntryError(500, "Config entry: Redirect.ServiceSubset needs Redirect.Service")
    _check_service(redirect.service, "Redirect.Service")


def _check_failover(entry: ServiceResolver, failover: Failover, at: str) -> None:
    single = bool(failover.service or failover.service_subset or failover.datacenters)
    if single == bool(failover.targets):
        raise ConfigEntryError(500, f"Config entry: {at} must set either Targets or Service and ServiceSubset")
    if failover.policy is not None and failover.policy.mode not in {"", "sequential"}:
        raise ConfigEntryError(500, f"Config entry: {at}.Policy.Mode must be sequential in this version")
    _at_most(len(failover.targets), MAX_SUBSETS, f"{at}.Targets")
    targets = [(at, failover.service, failover.service_subset)]
    targets += [(f"{at}.Targets[{i}]", part.service, part.service_subset) for i, part in enumerate(failover.targets)]
    for where, service, subset in targets:
        _check_service(service, f"{where}.Service")
        if not service or service == entry.name:
            _known_subset(entry, subset, f"{where}.ServiceSubset")


def _known_subset(entry: ServiceResolver, subset: str, at: str) -> None:
    if subset and subset not in entry.subsets:
        raise ConfigEntryError(500, f"Config entry: {at} names the subset {subset[:80]!r}, which Subsets does not hold")


def check_paths(exact: str, prefix: str, regex: str, at: str) -> None:
    """At most one kind of path rule, starting with '/', with a regular expression that compiles."""
    if sum(1 for path in (exact, prefix, regex) if path) > 1:
        raise ConfigEntryError(500, f"Config entry: {at} must set at most one of PathExact, PathPrefix and PathRegex")
    for path, field in ((exact, "PathExact"), (prefix, "PathPrefix")):
        if path and not path.startswith("/"):
            raise ConfigEntryError(500, f"Config entry: {at}.{field} must start with '/'")
    check_regex(regex, f"{at}.PathRegex")


def check_regex(regex: str, at: str) -> None:
    """A regular expression that proxies can use."""
    try:
        compile_regex(regex)
    except RegexError as error:
        raise ConfigEntryError(500, f"Config entry: {at}: {error}") from error


def check_methods(methods: tuple[str, ...], at: str) -> None:
    """HTTP methods in upper case, each once."""
    for method in methods:
        if not _METHOD.fullmatch(method):
            raise ConfigEntryError(500, f"Config entry: {at}.Methods {method[:40]!r} must be in upper case letters")
    if len(set(methods)) != len(methods):
        raise ConfigEntryError(500, f"Config entry: {at}.Methods names a method twice")


def check_header_name(name: str, at: str) -> None:
    """A header name as RFC 9110 5.1 allows it."""
    if not _TOKEN.fullmatch(name):
        raise ConfigEntryError(500, f"Config entry: {at} {name[:40]!r} is no header name")


def check_modifiers(modifiers: HeaderModifiers | None, at: str) -> None:
    """Header names and values that cannot break out of their line."""
    if modifiers is None:
        return
    for field, pairs in (("Add", modifiers.add), ("Set", modifiers.set)):
        for name, value in pairs.items():
            check_header_name(name, f"{at}.{field}")
            if any(ord(char) < 32 or ord(char) == 127 for char in value) or len(value) > 8192:
                raise ConfigEntryError(
                    500, f"Config entry: {at}.{field}[{name!r}] holds a control character or is too long"
                )
    for name in modifiers.remove:
        check_header_name(name, f"{at}.Remove")


def _at_most(count: int, limit: int, at: str) -> None:
    if count > limit:
        raise ConfigEntryError(500, f"Config entry: {at} holds {count}, and at most {limit} are taken")


def _check_service(service: str, at: str) -> None:
    if service:
        _check_name(service, at, "service name")


def _check_name(name: str, at: str, what: str) -> None:
    try:
        check_label(name, what)
    except InvalidNameError as error:
        raise ConfigEntryError(500, f"Config entry: {at}: {error}") from error
