"""The catalog's state as DNS sees it (`catalog.dns.answer.directory.Directory`), cut to what the asker may read.

Rows are made once a change of what they stand on and kept; rights are asked anew for each question, so that a change of
rights counts at once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from catalog.access.authorizer import Access, Authorizer, Resource
from catalog.dns.answer.directory import Endpoint, HostEntry, Place, place_of
from catalog.state.index import Topic
from catalog.state.records import Node, ServiceInstance
from catalog.state.state import State
from mesh.model.endpoint import Health

OWN_SERVICE = "consul"
INGRESS_GATEWAY = "ingress-gateway"
VIRTUAL_ADDRESSES = ("consul-virtual", "virtual")
KEPT_LIMIT = 20_000

T = TypeVar("T")
_SEVERITY = {Health.PASSING: 0, Health.WARNING: 1, Health.CRITICAL: 2}


class StateDirectory:
    """A state, read with the rights that `authorizer` gives at the moment of the question."""

    def __init__(self, state: Callable[[], State], authorizer: Callable[[], Authorizer]) -> None:
        self._state = state
        self._authorizer = authorizer
        self._kept: dict[tuple[str, str], tuple[int, Any]] = {}

    def service(self, name: str) -> Sequence[Endpoint]:
        names = self._map("services", _service_names, ("services",))
        return [endpoint for known in names.get(name, ()) for endpoint in self._readable(self._service(known))]

    def connect(self, name: str) -> Sequence[Endpoint]:
        state = self._state()
        names = self._map("connect", _connect_names, ("services",))
        return [
            endpoint
            for known in names.get(name, ())
            for endpoint in self._readable(
                self._rows("connect", known, ("connect", known), lambda key: _endpoints(state, state.connect(key))),
                known,
            )
        ]

    def ingress(self, name: str) -> Sequence[Endpoint]:
        if not self._may_read(Resource.SERVICE, name):
            return []
        gateways = self._map("ingress", _ingress_names, ("config", INGRESS_GATEWAY))
        exposing = dict.fromkeys((*gateways.get(name, ()), *gateways.get("*", ())))
        return [endpoint for gateway in exposing for endpoint in self._readable(self._service(gateway))]

    def virtual(self, name: str) -> Sequence[Place]:
        state = self._state()
        names = self._map("services", _service_names, ("services",))
        return [
            place
            for known in names.get(name, ())
            if self._may_read(Resource.SERVICE, known)
            for place in self._rows("virtual", known, ("services",), lambda key: _virtual(state, key))
        ]

    def node(self, name: str) -> HostEntry | None:
        names = self._map("nodes", _node_names, ("nodes",))
        for known in names.get(name, ()):
            row = self._state().node(known)
            if row is not None and self._may_read(Resource.NODE, known):
                return _host(row)
        return None

    def nodes_at(self, packed: bytes) -> Sequence[str]:
        names = self._map("addresses", _node_addresses, ("nodes",)).get(packed, ())
        return [name for name in names if self._may_read(Resource.NODE, name)]

    def services_at(self, packed: bytes) -> Sequence[str]:
        names = self._map("instances", _service_addresses, ("services",)).get(packed, ())
        return [name for name in names if self._may_read(Resource.SERVICE, name)]

    def name_servers(self) -> Sequence[HostEntry]:
        return [endpoint.host for endpoint in self._readable(self._service(OWN_SERVICE))]

    def _service(self, name: str) -> list[Endpoint]:
        state = self._state()
        return self._rows("service", name, ("service", name), lambda key: _endpoints(state, state.service(key)))

    def _may_read(self, resource: Resource, name: str) -> bool:
        return self._authorizer().allows(resource, name, Access.READ)

    def _readable(self, endpoints: list[Endpoint], subject: str = "") -> list[Endpoint]:
        """Those whose service and node may be read; `subject` is another service whose reading is asked for."""
        authorizer = self._authorizer()
        if subject and not authorizer.allows(Resource.SERVICE, subject, Access.READ):
            return []
        return [
            endpoint
            for endpoint in endpoints
            if authorizer.allows(Resource.SERVICE, endpoint.service, Access.READ)
            and authorizer.allows(Resource.NODE, endpoint.host.name, Access.READ)
        ]

    def _map(self, what: str, make: Callable[[State], Mapping[Any, Any]], topic: Topic) -> Mapping[Any, Any]:
        state = self._state()
        return self._rows(what, "", topic, lambda _: make(state))

    def _rows(self, what: str, name: str, topic: Topic, make: Callable[[str], T]) -> T:
        """What `make` gives for the name, made anew when the topic has moved."""
        index = self._state().index_of(topic)
        kept = self._kept.get((what, name))
        if kept is not None and kept[0] == index:
            rows: T = kept[1]
            return rows
        if len(self._kept) >= KEPT_LIMIT:
            self._kept.clear()
        rows = make(name)
        self._kept[what, name] = index, rows
        return rows


def _host(row: Node) -> HostEntry:
    return HostEntry(row.node, place_of(row.address), row.datacenter, row.meta)


def _endpoints(state: State, rows: Iterable[ServiceInstance]) -> list[Endpoint]:
    found = []
    for row in rows:
        node = state.node(row.node)
        if node is None:
            continue
        checks = state.instance_checks(row)
        health = max((check.status for check in checks), key=_SEVERITY.__getitem__, default=Health.PASSING)
        found.append(
            Endpoint(
                row.service,
                _host(node),
                place_of(row.address) if row.address else None,
                row.port,
                frozenset(tag.lower() for tag in row.tags),
                row.weights.warning if health is Health.WARNING else row.weights.passing,
                health,
            )
        )
    return found


def _by_lower_case(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.lower(), []).append(name)
    return found


def _service_names(state: State) -> Mapping[Any, Any]:
    return _by_lower_case(state.services())


def _connect_names(state: State) -> Mapping[Any, Any]:
    return _by_lower_case(state.connect_services())


def _node_names(state: State) -> Mapping[Any, Any]:
    return _by_lower_case(row.node for row in state.nodes())


def _node_addresses(state: State) -> Mapping[Any, Any]:
    return _by_address((row.address, row.node) for row in state.nodes())


def _service_addresses(state: State) -> Mapping[Any, Any]:
    return _by_address((row.address, row.service) for name in state.services() for row in state.service(name))


def _by_address(pairs: Iterable[tuple[str, str]]) -> dict[bytes, dict[str, None]]:
    found: dict[bytes, dict[str, None]] = {}
    for address, name in pairs:
        packed = place_of(address).packed
        if packed:
            found.setdefault(packed, {})[name] = None
    return found


def _ingress_names(state: State) -> Mapping[Any, Any]:
    """The gateways that expose each service, by its name in lower case; `*` are those that expose all."""
    found: dict[str, list[str]] = {}
    for entry in state.configs(INGRESS_GATEWAY):
        for listener in entry.body.get("Listeners") or ():
            for service in listener.get("Services") or ():
                found.setdefault(str(service.get("Name", "")).lower(), []).append(entry.name)
    return found


def _virtual(state: State, name: str) -> list[Place]:
    """The virtual addresses that the instances of a service, or its sidecars, are registered with."""
    rows = [*state.connect(name), *state.service(name)]
    texts = [
        row.tagged_addresses[tag].address for row in rows for tag in VIRTUAL_ADDRESSES if tag in row.tagged_addresses
    ]
    return [place_of(text) for text in dict.fromkeys(texts)]
