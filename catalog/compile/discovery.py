"""The discovery chain as a graph, Consul's form: a router, splitters and resolvers as nodes, and the targets they end at.

The one compiler: `/v1/discovery-chain` prints the graph, and sync flattens it for proxies (`catalog.compile.chain`). A
service without entries gets the default graph, one resolver. A graph that would contradict itself (a loop, an unknown
subset, services of different protocols) is a `ChainError`, never a guess.
"""

from fractions import Fraction

import msgspec

from catalog.compile.entries.balancing import LoadBalancer
from catalog.compile.entries.defaults import ProxyDefaults, ServiceDefaults
from catalog.compile.entries.duration import Duration
from catalog.compile.entries.traffic import (
    Failover,
    FailoverTarget,
    HeaderModifiers,
    RouterDestination,
    RouterHttp,
    RouterMatch,
    RouterRoute,
    ServiceResolver,
    ServiceRouter,
    ServiceSplitter,
    Split,
    Subset,
)
from catalog.compile.entry_view import Entries, entry_of, is_l7, protocol_of
from mesh.model.identity import DEFAULT_NAMESPACE

MAX_LEGS = 1000
DEFAULT_PARTITION = "default"
DEFAULT_CONNECT_TIMEOUT = Duration(5_000_000_000)


class ChainError(ValueError):
    """The config entries at hand make no usable chain; the text says which of them and why."""


class Overrides(msgspec.Struct, frozen=True):
    """What a caller wants otherwise than the entries say. A protocol without requests passes routers and splitters by."""

    protocol: str = ""
    connect_timeout: Duration | None = None
    mesh_gateway: str = ""


NO_OVERRIDES = Overrides()


class DiscoveryTarget(msgspec.Struct, frozen=True):
    """Where a resolver ends: a service or a subset of it, in a datacenter or at a peer."""

    id: str
    service: str
    subset_name: str = ""
    subset: Subset = Subset()
    datacenter: str = ""
    peer: str = ""
    connect_timeout: Duration = DEFAULT_CONNECT_TIMEOUT
    mesh_gateway: str = ""
    external_sni: str = ""


class ResolverNode(msgspec.Struct, frozen=True):
    """A target with where to go when it has no healthy instance. `is_default`: no entry speaks of the service."""

    target: str
    is_default: bool = False
    connect_timeout: Duration = DEFAULT_CONNECT_TIMEOUT
    request_timeout: Duration | None = None
    failover: tuple[str, ...] = ()
    policy: str = ""
    balancer: LoadBalancer | None = None


class Share(msgspec.Struct, frozen=True):
    """A part of a splitter's traffic, its headers those of all splitters on the way to it."""

    part: Fraction
    node: str
    definition: Split
    request_headers: HeaderModifiers | None = None
    response_headers: HeaderModifiers | None = None


class SplitterNode(msgspec.Struct, frozen=True):
    """Shares that sum to one; splitters behind splitters are worked in."""

    name: str
    shares: tuple[Share, ...]
    balancer: LoadBalancer | None = None


class RouterNode(msgspec.Struct, frozen=True):
    """Routes in order, each with the node it leads to; the last one takes everything."""

    name: str
    routes: tuple[tuple[RouterRoute, str], ...]


Node = RouterNode | SplitterNode | ResolverNode


class Discovery(msgspec.Struct, frozen=True):
    """A compiled graph. `customised`: overrides made it other than the entries say."""

    service: str
    datacenter: str
    protocol: str
    start: str
    nodes: dict[str, Node]
    targets: dict[str, DiscoveryTarget]
    customised: bool = False

    @property
    def is_default(self) -> bool:
        """Whether no router, splitter or resolver had a say."""
        (node, *more) = self.nodes.values()
        return not more and isinstance(node, ResolverNode) and node.is_default

    def resolver(self, name: str) -> ResolverNode:
        """The resolver of that node name."""
        node = self.nodes[name]
        assert isinstance(node, ResolverNode)
        return node


def compile_discovery(
    entries: Entries, service: str, datacenter: str, overrides: Overrides = NO_OVERRIDES
) -> Discovery:
    """Compile the graph of `service` as callers in `datacenter` see it.

    Raises:
        ChainError: the entries contradict each other.
    """
    return _Build(entries, service, datacenter, overrides).graph()


class _Build:
    """One compilation. `_nodes` and `_targets` fill up in the order in which they are met."""

    def __init__(self, entries: Entries, service: str, datacenter: str, overrides: Overrides) -> None:
        self._entries = entries
        self._service = service
        self._datacenter = datacenter
        self._overrides = overrides
        self._own_protocol = protocol_of(entries, service)
        self._protocol = overrides.protocol or self._own_protocol
        self._plain = bool(overrides.protocol) and not is_l7(overrides.protocol)
        self._nodes: dict[str, Node] = {}
        self._targets: dict[str, DiscoveryTarget] = {}

    def graph(self) -> Discovery:
        """Everything that a call of the service could reach."""
        router = None if self._plain else entry_of(self._entries, ServiceRouter, "service-router", self._service)
        start = self._node(self._service, "") if router is None else self._router(router)
        customised = self._overrides != NO_OVERRIDES
        return Discovery(self._service, self._datacenter, self._protocol, start, self._nodes, self._targets, customised)

    def _router(self, router: ServiceRouter) -> str:
        self._needs_l7("service-router", self._service)
        name = _scoped(self._service)
        start = f"router:{name}"
        self._nodes[start] = RouterNode(name, ())  # the first of the nodes
        routes = []
        for route in router.routes:
            destination = route.destination or RouterDestination()
            routes.append((route, self._node(destination.service or self._service, destination.service_subset)))
        rest = RouterRoute(RouterMatch(RouterHttp(path_prefix="/")), RouterDestination(service=self._service))
        routes.append((rest, self._node(self._service, "")))
        self._nodes[start] = RouterNode(name, tuple(routes))
        return start

    def _needs_l7(self, kind: str, name: str) -> None:
        if not is_l7(self._protocol):
            raise ChainError(
                f"{kind} {name!r} needs protocol http, http2 or grpc, and {self._service!r} speaks {self._protocol!r}: "
                "write a service-defaults entry with Protocol first"
            )

    def _same_protocol(self, service: str) -> None:
        if self._overrides.protocol:
            return
        protocol = protocol_of(self._entries, service)
        if protocol != self._own_protocol:
            raise ChainError(
                f"the discovery chain of {self._service!r} mixes protocols: it speaks {self._own_protocol!r}, "
                f"and {service!r} speaks {protocol!r}"
            )

    def _node(self, service: str, subset: str) -> str:
        """The node for a service or subset: its splitter, else its resolver."""
        splitter = None
        if not subset and not self._plain:
            splitter = entry_of(self._entries, ServiceSplitter, "service-splitter", service)
        if splitter is None:
            return self._resolver(service, subset)
        name = _scoped(service)
        key = f"splitter:{name}"
        if key not in self._nodes:
            self._nodes[key] = SplitterNode(name, ())
            resolver = entry_of(self._entries, ServiceResolver, "service-resolver", service)
            balancer = resolver.load_balancer if resolver is not None else None
            self._nodes[key] = SplitterNode(name, tuple(self._shares(service, splitter, ())), balancer)
        return key

    def _shares(self, service: str, splitter: ServiceSplitter, above: tuple[str, ...]) -> list[Share]:
        """The splitter's shares, those of the splitters that it leads to worked in."""
        if service in above:
            raise ChainError(f"service-splitters form a loop: {' -> '.join((*above, service))}")
        self._needs_l7("service-splitter", service)
        self._same_protocol(service)
        shares: list[Share] = []
        for split in splitter.splits:
            shares += self._split(service, split, (*above, service))
            if len(shares) > MAX_LEGS:
                raise ChainError(f"the splitters of {self._service!r} make more than {MAX_LEGS} shares")
        return shares

    def _split(self, service: str, split: Split, above: tuple[str, ...]) -> list[Share]:
        aim = split.service or service
        part = Fraction(round(split.weight * 100), 10_000)
        inner = None
        if aim != service and not split.service_subset:
            inner = entry_of(self._entries, ServiceSplitter, "service-splitter", aim)
        if inner is None:
            node = self._resolver(aim, split.service_subset)
            return [Share(part, node, split, split.request_headers, split.response_headers)]
        return [
            Share(
                part * share.part,
                share.node,
                share.definition,
                _merged(split.request_headers, share.request_headers),
                _merged(split.response_headers, share.response_headers),
            )
            for share in self._shares(aim, inner, above)
        ]

    def _resolver(self, service: str, subset: str) -> str:
        """Add the resolver that a service or subset ends at, with its fail-over; returns its node's name."""
        target, resolver = self._final(service, subset)
        key = f"resolver:{target.id}"
        if key in self._nodes:
            return key
        self._targets[target.id] = target
        node = ResolverNode(target.id, is_default=resolver is None, connect_timeout=target.connect_timeout)
        if resolver is not None:
            timeout = resolver.request_timeout
            failover = resolver.failover.get(target.subset_name) or resolver.failover.get("*")
            node = msgspec.structs.replace(
                node,
                request_timeout=timeout if timeout is not None and timeout.nanoseconds else None,
                balancer=resolver.load_balancer,
                policy=failover.policy.mode if failover is not None and failover.policy is not None else "",
            )
            self._nodes[key] = node
            node = msgspec.structs.replace(node, failover=self._failover(failover, target))
        self._nodes[key] = node
        return key

    def _final(self, service: str, subset: str) -> tuple[DiscoveryTarget, ServiceResolver | None]:
        """Follow redirects and default subsets to the end."""
        seen: list[str] = []
        while True:
            self._same_protocol(service)
            resolver = entry_of(self._entries, ServiceResolver, "service-resolver", service)
            redirect = resolver.redirect if resolver is not None else None
            if redirect is not None:
                if redirect.datacenter not in {"", self._datacenter}:
                    raise ChainError(
                        f"no path to datacenter {redirect.datacenter[:80]!r}: this catalog serves {self._datacenter!r} alone"
                    )
                seen.append(service)
                service, subset = redirect.service or service, redirect.service_subset
                if service in seen:
                    raise ChainError(f"service-resolver redirects form a loop: {' -> '.join((*seen, service))}")
                continue
            if resolver is not None and not subset:
                subset = resolver.default_subset
            if subset and (resolver is None or subset not in resolver.subsets):
                raise ChainError(f"service {service!r} does not have a subset named {subset!r}: add it to its resolver")
            return self._target(service, subset, resolver), resolver

    def _target(self, service: str, subset: str, resolver: ServiceResolver | None) -> DiscoveryTarget:
        timeout = self._overrides.connect_timeout or (resolver.connect_timeout if resolver is not None else None)
        own = entry_of(self._entries, ServiceDefaults, "service-defaults", service)
        every = entry_of(self._entries, ProxyDefaults, "proxy-defaults", "global")
        modes = [
            entry.mesh_gateway.mode for entry in (own, every) if entry is not None and entry.mesh_gateway is not None
        ]
        return DiscoveryTarget(
            id=_target_id(service, subset, self._datacenter),
            service=service,
            subset_name=subset,
            subset=resolver.subsets[subset] if subset and resolver is not None else Subset(),
            datacenter=self._datacenter,
            connect_timeout=timeout if timeout is not None and timeout.nanoseconds else DEFAULT_CONNECT_TIMEOUT,
            mesh_gateway=next((mode for mode in (self._overrides.mesh_gateway, *modes) if mode), ""),
            external_sni=own.external_sni if own is not None else "",
        )

    def _failover(self, failover: Failover | None, target: DiscoveryTarget) -> tuple[str, ...]:
        ids: list[str] = []
        for aim in _aims(failover) if failover is not None else ():
            service = aim.service or target.service
            if aim.peer or aim.datacenter not in {"", self._datacenter}:
                other = self._elsewhere(service, aim)
            else:
                other, _ = self._final(service, aim.service_subset)
            if other.id != target.id and other.id not in ids:
                self._targets.setdefault(other.id, other)
                ids.append(other.id)
        return tuple(ids)

    def _elsewhere(self, service: str, aim: FailoverTarget) -> DiscoveryTarget:
        """A target that no path leads to from here: shown, and never dialled."""
        where = f"external.{aim.peer}" if aim.peer else aim.datacenter
        resolver = entry_of(self._entries, ServiceResolver, "service-resolver", service)
        here = self._target(service, "", resolver)
        return msgspec.structs.replace(
            here,
            id=_target_id(service, aim.service_subset, where),
            subset_name=aim.service_subset,
            datacenter="" if aim.peer else aim.datacenter,
            peer=aim.peer,
        )


def _aims(failover: Failover) -> list[FailoverTarget]:
    if failover.targets:
        return list(failover.targets)
    return [
        FailoverTarget(failover.service, failover.service_subset, datacenter)
        for datacenter in failover.datacenters or ("",)
    ]


def _scoped(service: str) -> str:
    return f"{service}.{DEFAULT_NAMESPACE}.{DEFAULT_PARTITION}"


def _target_id(service: str, subset: str, where: str) -> str:
    head = f"{subset}." if subset else ""
    return f"{head}{_scoped(service)}.{where}"


def _merged(outer: HeaderModifiers | None, inner: HeaderModifiers | None) -> HeaderModifiers | None:
    """Two edits in one: the inner splitter's `set` wins, since it comes later on the way."""
    if outer is None or inner is None:
        return inner if outer is None else outer
    return HeaderModifiers(
        outer.add | inner.add, outer.set | inner.set, tuple(dict.fromkeys(outer.remove + inner.remove))
    )
