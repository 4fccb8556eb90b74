"""The discovery chain of an upstream, compiled flat: routes -> weighted legs -> targets.

The catalog compiles router, splitter and resolver entries into this; a proxy never sees the entries.
The last route always matches everything. A TCP chain has one route without a match.
"""

import msgspec


class HeaderRule(msgspec.Struct, frozen=True):
    """One header or query-parameter rule of a route; exactly one operator is set."""

    name: str
    present: bool = False
    exact: str = ""
    prefix: str = ""
    suffix: str = ""
    regex: str = ""
    invert: bool = False


class RouteMatch(msgspec.Struct, frozen=True):
    """What a route asks of a request; all that is set must hold."""

    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    case_insensitive: bool = False
    headers: tuple[HeaderRule, ...] = ()
    query: tuple[HeaderRule, ...] = ()
    methods: tuple[str, ...] = ()


class HeaderEdit(msgspec.Struct, frozen=True):
    """Headers to add, to set and to remove, in that order."""

    add: tuple[tuple[str, str], ...] = ()
    set: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


class Leg(msgspec.Struct, frozen=True):
    """One share of a route's traffic. `weight` is in hundredths of a percent: a route's legs sum to 10,000."""

    weight: int
    target: str
    request_headers: HeaderEdit = HeaderEdit()
    response_headers: HeaderEdit = HeaderEdit()


class RetryPolicy(msgspec.Struct, frozen=True):
    """When a request is sent again. `status_codes` applies to idempotent methods only, unless the router lists them itself."""

    attempts: int = 1
    on_connect_failure: bool = True
    on_reset_before_first_byte: bool = True
    status_codes: tuple[int, ...] = (502, 503, 504)
    all_methods: bool = False


class Route(msgspec.Struct, frozen=True):
    """One way through the chain. Time-outs are seconds; 0 switches one off."""

    legs: tuple[Leg, ...]
    match: RouteMatch = RouteMatch()
    prefix_rewrite: str = ""
    request_timeout_s: float = 15.0
    idle_timeout_s: float = 300.0
    retry: RetryPolicy = RetryPolicy()
    request_headers: HeaderEdit = HeaderEdit()
    response_headers: HeaderEdit = HeaderEdit()


class Target(msgspec.Struct, frozen=True):
    """Where a leg ends: a service, or one of its subsets, with its fail-over targets in order."""

    id: str
    service: str
    subset: str = ""
    datacenter: str = ""
    connect_timeout_s: float = 5.0
    only_passing: bool = True
    failover: tuple[str, ...] = ()


class Chain(msgspec.Struct, frozen=True):
    """A compiled discovery chain of `service`, made from the catalog at `index`."""

    service: str
    index: int
    protocol: str
    routes: tuple[Route, ...]
    targets: tuple[Target, ...]
