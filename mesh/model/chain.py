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


class HashOf(msgspec.Struct, frozen=True):
    """One thing of a request that is hashed: a `header`, `cookie` or `query_parameter` of that name, or the `source_ip`.

    `terminal`: if it is there, nothing after it is looked at. A cookie that is not there is made, with that path and,
    unless 0, that life in seconds.
    """

    field: str
    name: str = ""
    terminal: bool = False
    cookie_life_s: float = 0.0
    cookie_path: str = ""


class Balance(msgspec.Struct, frozen=True):
    """How one of a target's instances is picked: Consul's `random`, `round_robin`, `least_request`, `ring_hash`, `maglev`.

    Numbers of 0 are the proxy's own choice. A proxy that does not know the policy picks as it always does.
    """

    policy: str
    choices: int = 0
    least_ring: int = 0
    most_ring: int = 0
    hash_of: tuple[HashOf, ...] = ()


class Target(msgspec.Struct, frozen=True):
    """Where a leg ends: a service, or one of its subsets, with its fail-over targets in order."""

    id: str
    service: str
    subset: str = ""
    datacenter: str = ""
    connect_timeout_s: float = 5.0
    only_passing: bool = True
    failover: tuple[str, ...] = ()
    balance: Balance | None = None


class Chain(msgspec.Struct, frozen=True):
    """A compiled discovery chain of `service`, made from the catalog at `index`."""

    service: str
    index: int
    protocol: str
    routes: tuple[Route, ...]
    targets: tuple[Target, ...]
