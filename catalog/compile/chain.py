"""From the graph of a discovery chain to the flat `Chain` that proxies decide from: routes -> weighted legs -> targets.

The graph is `catalog.compile.discovery`'s; here it is only folded. What proxies cannot reach (other datacenters, peers) is
left out, and so is nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from catalog.compile.discovery import (
    DEFAULT_CONNECT_TIMEOUT,
    ChainError,
    Discovery,
    DiscoveryTarget,
    ResolverNode,
    RouterNode,
    Share,
    SplitterNode,
    compile_discovery,
)
from catalog.compile.entries.balancing import LoadBalancer
from catalog.compile.entries.duration import Duration
from catalog.compile.entries.traffic import (
    HeaderModifiers,
    RouterDestination,
    RouterHeader,
    RouterHttp,
    RouterRoute,
    Split,
)
from catalog.compile.entry_view import Entries
from mesh.model.chain import (
    Balance,
    Chain,
    HashOf,
    HeaderEdit,
    HeaderRule,
    Leg,
    RetryPolicy,
    Route,
    RouteMatch,
    Target,
)

__all__ = ["ChainError", "compile_chain", "default_chain", "flatten"]

WEIGHT_TOTAL = 10_000
DEFAULT_REQUEST_TIMEOUT_S = Route(()).request_timeout_s


def compile_chain(entries: Entries, service: str, datacenter: str, index: int = 0) -> Chain:
    """Compile the chain of `service`, stamped with `index`.

    Raises:
        ChainError: the entries contradict each other.
    """
    return flatten(compile_discovery(entries, service, datacenter), index)


def default_chain(service: str, datacenter: str, protocol: str, index: int = 0) -> Chain:
    """The chain of a service that no router, splitter or resolver speaks of."""
    id_ = f"{service}.default.default.{datacenter}"
    target = Target(id_, service, "", datacenter, DEFAULT_CONNECT_TIMEOUT.seconds, only_passing=False)
    return Chain(service, index, protocol, (Route((Leg(WEIGHT_TOTAL, id_),)),), (target,))


def flatten(graph: Discovery, index: int = 0) -> Chain:
    """The graph as proxies read it."""
    start = graph.nodes[graph.start]
    if isinstance(start, RouterNode):
        routes = [_route(graph, route, node) for route, node in start.routes[:-1]]
        last = start.routes[-1][1]
    else:
        routes, last = [], graph.start
    shares = _shares(graph, last)
    routes.append(Route(_legs(graph, shares), request_timeout_s=_timeout_s(graph, shares)))
    reached = {
        target.id for target in graph.targets.values() if not target.peer and target.datacenter == graph.datacenter
    }
    targets = [_target(graph, target, reached) for target in graph.targets.values() if target.id in reached]
    return Chain(graph.service, index, graph.protocol, tuple(routes), tuple(targets))


def _route(graph: Discovery, route: RouterRoute, node: str) -> Route:
    destination = route.destination or RouterDestination()
    shares = _shares(graph, node)
    timeout = destination.request_timeout
    idle = destination.idle_timeout
    return Route(
        _legs(graph, shares),
        _route_match(route.match.http if route.match else None),
        destination.prefix_rewrite,
        max(timeout.seconds, 0.0) if timeout and timeout.nanoseconds else _timeout_s(graph, shares),
        max(idle.seconds, 0.0) if idle and idle.nanoseconds else Route(()).idle_timeout_s,
        _retry(destination),
        _edit(destination.request_headers),
        _edit(destination.response_headers),
    )


def _shares(graph: Discovery, node: str) -> Sequence[Share]:
    """The shares behind a node: a resolver is one of all; shares of nothing are none."""
    found = graph.nodes[node]
    if isinstance(found, SplitterNode):
        return [share for share in found.shares if share.part]
    return [Share(Fraction(1), node, Split(100))]


def _timeout_s(graph: Discovery, shares: Sequence[Share]) -> float:
    """The resolvers' request time-out; of several targets the longest, since all share the route's; 0 is off."""
    timeouts = [graph.resolver(share.node).request_timeout for share in shares]
    found = {DEFAULT_REQUEST_TIMEOUT_S if timeout is None else max(timeout.seconds, 0.0) for timeout in timeouts}
    return 0.0 if 0.0 in found else max(found)


def _legs(graph: Discovery, shares: Sequence[Share]) -> tuple[Leg, ...]:
    """Whole weights that sum to exactly `WEIGHT_TOTAL`: the largest remainders get what rounding left over."""
    joined: dict[tuple[str, HeaderEdit, HeaderEdit], Fraction] = {}
    for share in shares:
        key = graph.resolver(share.node).target, _edit(share.request_headers), _edit(share.response_headers)
        joined[key] = joined.get(key, Fraction(0)) + share.part
    exact = [part * WEIGHT_TOTAL for part in joined.values()]
    weights = [int(part) for part in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (weights[i] - exact[i], i))
    for i in by_remainder[: WEIGHT_TOTAL - sum(weights)]:
        weights[i] += 1
    return tuple(Leg(weight, *key) for weight, key in zip(weights, joined, strict=True) if weight)


def _target(graph: Discovery, target: DiscoveryTarget, reached: set[str]) -> Target:
    node = graph.nodes.get(f"resolver:{target.id}")
    resolver = node if isinstance(node, ResolverNode) else None
    return Target(
        id=target.id,
        service=target.service,
        subset=target.subset_name,
        datacenter=target.datacenter,
        connect_timeout_s=target.connect_timeout.seconds,
        only_passing=target.subset.only_passing,
        failover=tuple(id_ for id_ in resolver.failover if id_ in reached) if resolver is not None else (),
        balance=_balance(resolver.balancer) if resolver is not None else None,
    )


def _balance(balancer: LoadBalancer | None) -> Balance | None:
    if balancer is None or not balancer.policy:
        return None
    ring, least = balancer.ring_hash_config, balancer.least_request_config
    hashed = []
    for part in balancer.hash_policies:
        cookie = part.cookie_config
        ttl = cookie.ttl if cookie is not None and cookie.ttl is not None else Duration(0)
        hashed.append(
            HashOf(
                "source_ip" if part.source_ip else part.field,
                part.field_value,
                part.terminal,
                ttl.seconds,
                cookie.path if cookie is not None else "",
            )
        )
    return Balance(
        balancer.policy,
        least.choice_count if least is not None else 0,
        ring.minimum_ring_size if ring is not None else 0,
        ring.maximum_ring_size if ring is not None else 0,
        tuple(hashed),
    )


def _route_match(http: RouterHttp | None) -> RouteMatch:
    if http is None:
        return RouteMatch()
    return RouteMatch(
        http.path_exact,
        http.path_prefix,
        http.path_regex,
        http.case_insensitive,
        tuple(_header_rule(rule) for rule in http.header),
        tuple(HeaderRule(**msgspec.structs.asdict(rule)) for rule in http.query_param),
        http.methods,
    )


_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


def _header_rule(rule: RouterHeader) -> HeaderRule:
    """The rule as proxies know it: `Contains`, and any comparison without letter case, is a regular expression there."""
    if not (rule.contains or rule.ignore_case):
        return HeaderRule(rule.name, rule.present, rule.exact, rule.prefix, rule.suffix, rule.regex, rule.invert)
    text = _META.sub(lambda found: f"\\{found[0]}", rule.exact or rule.prefix or rule.suffix or rule.contains)
    before = "" if rule.exact or rule.prefix else ".*"
    after = "" if rule.exact or rule.suffix else ".*"
    flags = "is" if rule.ignore_case else "s"
    return HeaderRule(rule.name, regex=f"(?{flags}){before}{text}{after}", invert=rule.invert)


_RETRY_STATUS: Mapping[str, tuple[int, ...]] = {
    "5xx": tuple(range(500, 600)),
    "gateway-error": (502, 503, 504),
    "retriable-4xx": (409,),
}
_RETRY_RESET = frozenset({"5xx", "gateway-error", "reset"})
_RETRY_CONNECT = frozenset({"5xx", "gateway-error", "connect-failure", "refused-stream"})


def _retry(destination: RouterDestination) -> RetryPolicy:
    """The mesh's policy unless the route says anything of its own; then that alone, on every method."""
    conditions = frozenset(destination.retry_on)
    listed = destination.retry_on_status_codes
    if not (conditions or listed or destination.retry_on_connect_failure):
        return RetryPolicy(attempts=destination.num_retries or RetryPolicy().attempts)
    statuses = {status for condition in conditions for status in _RETRY_STATUS.get(condition, ())} | set(listed)
    return RetryPolicy(
        attempts=destination.num_retries or 1,
        on_connect_failure=destination.retry_on_connect_failure or bool(conditions & _RETRY_CONNECT),
        on_reset_before_first_byte=bool(conditions & _RETRY_RESET),
        status_codes=tuple(sorted(statuses)),
        all_methods=bool(statuses),
    )


_NO_EDIT = HeaderEdit()


def _edit(modifiers: HeaderModifiers | None) -> HeaderEdit:
    if modifiers is None:
        return _NO_EDIT
    return HeaderEdit(tuple(modifiers.add.items()), tuple(modifiers.set.items()), modifiers.remove)
