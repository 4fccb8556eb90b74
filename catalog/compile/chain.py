"""The discovery chain compiler: router -> splitter -> resolver entries into one flat `Chain` (Consul's meaning).

A service without entries gets the default chain: one route, one target. A chain that would contradict itself (a loop,
an unknown subset, services of different protocols) is a `ChainError`, never a guess.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import msgspec

from catalog.compile.entries.traffic import (
    Failover,
    HeaderModifiers,
    RouterDestination,
    RouterHttp,
    RouterRoute,
    ServiceResolver,
    ServiceRouter,
    ServiceSplitter,
    Split,
)
from catalog.compile.entry_view import Entries, entry_of, is_l7, protocol_of
from mesh.model.chain import Chain, HeaderEdit, HeaderRule, Leg, RetryPolicy, Route, RouteMatch, Target
from mesh.model.identity import DEFAULT_NAMESPACE

WEIGHT_TOTAL = 10_000
MAX_LEGS = 1000
DEFAULT_CONNECT_TIMEOUT_S = 5.0
DEFAULT_REQUEST_TIMEOUT_S = Route(()).request_timeout_s
DEFAULT_PARTITION = "default"


class ChainError(ValueError):
    """The config entries at hand make no usable chain; the text says which of them and why."""


def compile_chain(entries: Entries, service: str, datacenter: str, index: int = 0) -> Chain:
    """Compile the chain of `service`, stamped with `index`.

    Raises:
        ChainError: the entries contradict each other.
    """
    build = _Build(entries, service, datacenter)
    routes = build.routes()
    return Chain(service, index, build.protocol, tuple(routes), tuple(build.targets.values()))


def default_chain(service: str, datacenter: str, protocol: str, index: int = 0) -> Chain:
    """The chain of a service that no router, splitter or resolver speaks of."""
    target = _target(service, "", datacenter, None)
    return Chain(service, index, protocol, (Route((Leg(WEIGHT_TOTAL, target.id),)),), (target,))


class _Share(NamedTuple):
    """A part of a route's traffic on its way to becoming a leg."""

    part: Fraction
    target: str
    request_headers: HeaderEdit
    response_headers: HeaderEdit


_NO_EDIT = HeaderEdit()


class _Build:
    """One compilation. `targets` fills up in the order in which targets are met."""

    def __init__(self, entries: Entries, service: str, datacenter: str) -> None:
        self._entries = entries
        self._service = service
        self._datacenter = datacenter
        self.protocol = protocol_of(entries, service)
        self.targets: dict[str, Target] = {}
        self._request_timeout_s: dict[str, float] = {}

    def routes(self) -> list[Route]:
        """Every route, the catch-all last."""
        router = entry_of(self._entries, ServiceRouter, "service-router", self._service)
        routes: list[Route] = []
        if router is not None:
            self._needs_l7("service-router", self._service)
            routes = [self._route(route) for route in router.routes]
        shares = self._shares(self._service, "", ())
        return [*routes, Route(self._legs(shares), request_timeout_s=self._timeout_s(shares))]

    def _needs_l7(self, kind: str, name: str) -> None:
        if not is_l7(self.protocol):
            raise ChainError(
                f"{kind} {name!r} needs protocol http, http2 or grpc, and {self._service!r} speaks {self.protocol!r}: "
                "write a service-defaults entry with Protocol first"
            )

    def _same_protocol(self, service: str) -> None:
        protocol = protocol_of(self._entries, service)
        if protocol != self.protocol:
            raise ChainError(
                f"the discovery chain of {self._service!r} mixes protocols: it speaks {self.protocol!r}, "
                f"and {service!r} speaks {protocol!r}"
            )

    def _route(self, route: RouterRoute) -> Route:
        destination = route.destination or RouterDestination()
        shares = self._shares(destination.service or self._service, destination.service_subset, ())
        timeout = destination.request_timeout
        idle = destination.idle_timeout
        return Route(
            self._legs(shares),
            _route_match(route.match.http if route.match else None),
            destination.prefix_rewrite,
            max(timeout.seconds, 0.0) if timeout and timeout.nanoseconds else self._timeout_s(shares),
            max(idle.seconds, 0.0) if idle and idle.nanoseconds else Route(()).idle_timeout_s,
            _retry(destination),
            _edit(destination.request_headers),
            _edit(destination.response_headers),
        )

    def _timeout_s(self, shares: Sequence[_Share]) -> float:
        """The resolvers' request time-out; of several targets the longest, since all share the route's; 0 is off."""
        found = {self._request_timeout_s[share.target] for share in shares}
        return 0.0 if 0.0 in found else max(found)

    def _shares(self, service: str, subset: str, above: tuple[str, ...]) -> list[_Share]:
        """Follow the splitter of `service`, and the splitters of the services that it shares out to."""
        if service in above:
            raise ChainError(f"service-splitters form a loop: {' -> '.join((*above, service))}")
        splitter = None
        if not subset:
            splitter = entry_of(self._entries, ServiceSplitter, "service-splitter", service)
        if splitter is None:
            return [_Share(Fraction(1), self._resolve(service, subset), _NO_EDIT, _NO_EDIT)]
        self._needs_l7("service-splitter", service)
        self._same_protocol(service)
        shares: list[_Share] = []
        for split in splitter.splits:
            shares += self._split(service, split, (*above, service))
            if len(shares) > MAX_LEGS:
                raise ChainError(f"the splitters of {self._service!r} make more than {MAX_LEGS} shares")
        return shares

    def _split(self, service: str, split: Split, above: tuple[str, ...]) -> list[_Share]:
        aim = split.service or service
        request, response = _edit(split.request_headers), _edit(split.response_headers)
        if aim == service:
            inner = [_Share(Fraction(1), self._resolve(aim, split.service_subset), _NO_EDIT, _NO_EDIT)]
        else:
            inner = self._shares(aim, split.service_subset, above)
        part = Fraction(round(split.weight * 100), WEIGHT_TOTAL)
        return [
            _Share(
                part * share.part,
                share.target,
                _merged(request, share.request_headers),
                _merged(response, share.response_headers),
            )
            for share in inner
            if part
        ]

    def _legs(self, shares: Sequence[_Share]) -> tuple[Leg, ...]:
        """Whole weights that sum to exactly `WEIGHT_TOTAL`: the largest remainders get what rounding left over."""
        joined: dict[tuple[str, HeaderEdit, HeaderEdit], Fraction] = {}
        for share in shares:
            key = share.target, share.request_headers, share.response_headers
            joined[key] = joined.get(key, Fraction(0)) + share.part
        exact = [part * WEIGHT_TOTAL for part in joined.values()]
        weights = [int(part) for part in exact]
        by_remainder = sorted(range(len(exact)), key=lambda i: (weights[i] - exact[i], i))
        for i in by_remainder[: WEIGHT_TOTAL - sum(weights)]:
            weights[i] += 1
        return tuple(Leg(weight, *key) for weight, key in zip(weights, joined, strict=True) if weight)

    def _resolve(self, service: str, subset: str) -> str:
        """Add the target that a service or subset resolves to, with its fail-over; returns its id."""
        target, resolver = self._final(service, subset)
        known = self.targets.get(target.id)
        if known is None or not known.failover:
            self.targets[target.id] = target
            self.targets[target.id] = msgspec.structs.replace(target, failover=self._failover(target, resolver))
        timeout = resolver.request_timeout if resolver is not None else None
        timeout_s = max(timeout.seconds, 0.0) if timeout and timeout.nanoseconds else DEFAULT_REQUEST_TIMEOUT_S
        self._request_timeout_s[target.id] = timeout_s
        return target.id

    def _final(self, service: str, subset: str) -> tuple[Target, ServiceResolver | None]:
        """Follow redirects and default subsets to the end."""
        seen: list[str] = []
        while True:
            self._same_protocol(service)
            resolver = entry_of(self._entries, ServiceResolver, "service-resolver", service)
            redirect = resolver.redirect if resolver is not None else None
            if redirect is not None:
                self._here(redirect.datacenter)
                seen.append(service)
                service, subset = redirect.service or service, redirect.service_subset
                if service in seen:
                    raise ChainError(f"service-resolver redirects form a loop: {' -> '.join((*seen, service))}")
                continue
            if resolver is not None and not subset:
                subset = resolver.default_subset
            if subset and (resolver is None or subset not in resolver.subsets):
                raise ChainError(f"service {service!r} does not have a subset named {subset!r}: add it to its resolver")
            return _target(service, subset, self._datacenter, resolver), resolver

    def _failover(self, target: Target, resolver: ServiceResolver | None) -> tuple[str, ...]:
        if resolver is None:
            return ()
        failover = resolver.failover.get(target.subset) or resolver.failover.get("*")
        ids: list[str] = []
        for service, subset in self._failover_aims(failover, target) if failover is not None else ():
            other, _ = self._final(service, subset)
            if other.id != target.id and other.id not in ids:
                self.targets.setdefault(other.id, other)
                ids.append(other.id)
        return tuple(ids)

    def _failover_aims(self, failover: Failover, target: Target) -> list[tuple[str, str]]:
        """Where to go, of this datacenter and of no peer: to others no path leads (their writer was told)."""
        if failover.targets:
            aims = [aim for aim in failover.targets if aim.datacenter in {"", self._datacenter} and not aim.peer]
            return [(aim.service or target.service, aim.service_subset) for aim in aims]
        if failover.datacenters and self._datacenter not in failover.datacenters:
            return []
        return [(failover.service or target.service, failover.service_subset)]

    def _here(self, datacenter: str) -> None:
        if datacenter not in {"", self._datacenter}:
            raise ChainError(
                f"no path to datacenter {datacenter[:80]!r}: this catalog serves {self._datacenter!r} alone"
            )


def _target(service: str, subset: str, datacenter: str, resolver: ServiceResolver | None) -> Target:
    head = f"{subset}." if subset else ""
    timeout = resolver.connect_timeout if resolver is not None else None
    return Target(
        id=f"{head}{service}.{DEFAULT_NAMESPACE}.{DEFAULT_PARTITION}.{datacenter}",
        service=service,
        subset=subset,
        datacenter=datacenter,
        connect_timeout_s=timeout.seconds if timeout and timeout.nanoseconds else DEFAULT_CONNECT_TIMEOUT_S,
        only_passing=bool(subset and resolver and resolver.subsets[subset].only_passing),
    )


def _route_match(http: RouterHttp | None) -> RouteMatch:
    if http is None:
        return RouteMatch()
    return RouteMatch(
        http.path_exact,
        http.path_prefix,
        http.path_regex,
        http.case_insensitive,
        tuple(HeaderRule(**msgspec.structs.asdict(rule)) for rule in http.header),
        tuple(HeaderRule(**msgspec.structs.asdict(rule)) for rule in http.query_param),
        http.methods,
    )


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


def _edit(modifiers: HeaderModifiers | None) -> HeaderEdit:
    if modifiers is None:
        return _NO_EDIT
    return HeaderEdit(tuple(modifiers.add.items()), tuple(modifiers.set.items()), modifiers.remove)


def _merged(outer: HeaderEdit, inner: HeaderEdit) -> HeaderEdit:
    """Two edits in one: the inner splitter's `set` wins, since it comes later on the way."""
    if outer == _NO_EDIT:
        return inner
    if inner == _NO_EDIT:
        return outer
    set_ = dict(outer.set) | dict(inner.set)
    return HeaderEdit(outer.add + inner.add, tuple(set_.items()), tuple(dict.fromkeys(outer.remove + inner.remove)))
