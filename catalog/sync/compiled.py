"""From a resource's name to its value and to the topics that the value depends on. Pure over the state.

`chain/<service>`, `endpoints/<service>`, `intentions/<service>`, `gateways/<network>`, `exports/<network>`, and the single
`roots`, `mesh` and `networks`. Every valid name has a value: what is not registered has none of what could be there.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from catalog.compile.chain import ChainError, compile_chain
from catalog.compile.endpoints import (
    Registry,
    compile_endpoints,
    compile_exports,
    compile_gateways,
    compile_networks,
)
from catalog.compile.entries.defaults import Mesh
from catalog.compile.entry_view import Entries, EntrySource, Recorder, Topic, entry_of, protocol_of
from catalog.compile.intentions import compile_intentions
from catalog.state.index import ROOTS_TABLE
from catalog.state.records import MESH_GATEWAY, Check, Node, Record, ServiceInstance
from mesh.model.chain import Chain
from mesh.model.endpoint import EndpointSet, ExportSet, NetworkMap
from mesh.model.intention import Action, IntentionSet
from mesh.model.names import InvalidNameError, check_label
from mesh.model.snapshot import MeshSettings, Roots

Value = Chain | EndpointSet | IntentionSet | ExportSet | NetworkMap | Roots | MeshSettings


class UnknownResourceError(ValueError):
    """The caller named a resource that there cannot be."""


class ReadState(Registry, EntrySource, Protocol):
    """The state as resources read it (`catalog.state.State` is one)."""

    @property
    def index(self) -> int:
        """The index of the last change."""
        ...

    def index_of(self, *topics: Topic) -> int:
        """The highest index of the topics."""
        ...

    def records(self, table: str) -> list[Record]:
        """Another room's records."""
        ...


class Facts(msgspec.Struct, frozen=True):
    """What the catalog itself knows beside its state. `roots` makes the trust bundle from the records of `roots`."""

    datacenter: str
    trust_domain: str
    roots: Callable[[Iterable[Record]], Roots]
    default_action: Action = Action.DENY


class Compiled(msgspec.Struct, frozen=True):
    """A resource's value, stamped with index 0, and what it depends on."""

    value: Value
    topics: frozenset[Topic]


def compile_resource(name: str, state: ReadState, entries: Entries, facts: Facts) -> Compiled:
    """Compile the resource `name`.

    Raises:
        UnknownResourceError: there is no such kind, or its name is no service or network.
    """
    check_resource_name(name)
    kind, _, key = name.partition("/")
    recorder = Recorder(entries)
    registry = _Registered(state)
    value = _COMPILERS[kind](key, _Room(state, registry, recorder, facts))
    return Compiled(value, frozenset(recorder.topics | _TOPICS[kind](key) | registry.needed()))


def check_resource_name(name: str) -> str:
    """Return `name` if it can name a resource.

    Raises:
        UnknownResourceError: it cannot.
    """
    kind, slash, key = name.partition("/")
    if kind in _SINGLE and not slash:
        return name
    if kind in _COMPILERS and kind not in _SINGLE and slash:
        try:
            check_label(key, "name")
        except InvalidNameError as error:
            raise UnknownResourceError(f"resource {name[:120]!r}: {error}") from error
        return name
    raise UnknownResourceError(
        f"there is no resource {name[:120]!r}: use chain/, endpoints/ or intentions/<service>, gateways/ or "
        "exports/<network>, roots, mesh or networks"
    )


class _Registered:
    """The registry, remembering which services were asked for."""

    def __init__(self, state: Registry) -> None:
        self._state = state
        self._topics: set[Topic] = set()
        self._every = False
        self.node: Callable[[str], Node | None] = state.node
        self.instance: Callable[[str, str], ServiceInstance | None] = state.instance
        self.kind: Callable[[str], list[ServiceInstance]] = state.kind
        self.instance_checks: Callable[[ServiceInstance], list[Check]] = state.instance_checks

    def connect(self, name: str) -> list[ServiceInstance]:
        """The fronts of a service; it depends on them, and on the instances and checks behind them."""
        self._topics |= {("connect", name), ("service", name)}
        return self._state.connect(name)

    def connect_services(self) -> list[str]:
        """Every service's name."""
        self._every = True
        return self._state.connect_services()

    def needed(self) -> set[Topic]:
        """What was asked for. Who asked for every service waits for any registration, not for each by name."""
        return {("services",), ("nodes",)} if self._every else self._topics


class _Room(msgspec.Struct, frozen=True):
    """What a compiler is given."""

    state: ReadState
    registry: _Registered
    entries: Entries
    facts: Facts


def _chain(service: str, room: _Room) -> Chain:
    """A chain that contradicts itself has no route: nothing is sent where nobody meant it to go."""
    try:
        return compile_chain(room.entries, service, room.facts.datacenter)
    except ChainError:
        return Chain(service, 0, protocol_of(room.entries, service), (), ())


def _mesh(_: str, room: _Room) -> MeshSettings:
    entry = entry_of(room.entries, Mesh, "mesh", "mesh")
    sanitize = entry.http.sanitize_x_forwarded_client_cert if entry is not None and entry.http is not None else True
    return MeshSettings(room.facts.datacenter, room.facts.trust_domain, 0, sanitize is not False)


_COMPILERS: Mapping[str, Callable[[str, _Room], Value]] = {
    "chain": _chain,
    "endpoints": lambda service, room: compile_endpoints(room.registry, room.entries, service),
    "intentions": lambda service, room: compile_intentions(room.entries, service, 0, room.facts.default_action),
    "gateways": lambda network, room: compile_gateways(room.registry, network),
    "exports": lambda network, room: compile_exports(room.registry, room.entries, network),
    "networks": lambda _, room: compile_networks(room.registry, room.entries),
    "roots": lambda _, room: msgspec.structs.replace(room.facts.roots(room.state.records(ROOTS_TABLE)), index=0),
    "mesh": _mesh,
}
_SINGLE = frozenset({"roots", "mesh", "networks"})


def _none(_: str) -> set[Topic]:
    return set()


def _gateways(_: str) -> set[Topic]:
    return {("kind", MESH_GATEWAY)}


_TOPICS: Mapping[str, Callable[[str], set[Topic]]] = {
    "chain": _none,
    "endpoints": _none,
    "intentions": _none,
    "gateways": _gateways,
    "exports": _none,
    "networks": _gateways,
    "roots": lambda _: {("roots",)},
    "mesh": _none,
}
