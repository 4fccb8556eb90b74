"""Records for a question: what Consul answers for services, nodes, addresses, the domain itself and the reverse tree.

Pure; the order of instances comes in as `shuffle`, the clock as `now_s`. Critical instances are never answered.
Facts: Consul's documentation of DNS lookups; a Consul 1.21 as measured (TXT and ANY of a service give its addresses).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from catalog.dns.answer.directory import Directory, Endpoint, HostEntry, NoQueries, Place, QueryExecutor
from catalog.dns.answer.question import Kind, Lookup, Zones
from catalog.dns.answer.settings import DnsSettings
from catalog.dns.wire.encode import Answer, Reply
from catalog.dns.wire.name import UnfitNameError, encode_name
from catalog.dns.wire.query import Rcode, Type
from catalog.dns.wire.record import Record, address_record, name_record, soa_record, srv_record, txt_record
from mesh.model.endpoint import Health

NAME_SERVERS = 3
CHASE_LIMIT = 3
"""CNAMEs of our own domain followed in one answer (Consul's bound)."""
_WHOLE = {Type.ANY, Type.TXT}
_BARE_META = "rfc1035-"

Shuffle = Callable[[list[Any]], None]


class Answers:
    """Answers questions about one domain from one directory."""

    def __init__(
        self, settings: DnsSettings, directory: Directory, shuffle: Shuffle, queries: QueryExecutor | None = None
    ) -> None:
        self.zones = Zones(settings)
        self._settings = settings
        self._directory = directory
        self._shuffle = shuffle
        self._queries: QueryExecutor = queries or NoQueries()

    def reply(self, lookup: Lookup, owner: bytes, kind: int, now_s: float) -> Reply:
        """The reply to a question of the domain. `owner` is the name as asked, `now_s` seconds since the epoch.

        Raises:
            NotHeldError: the directory must be filled first.
        """
        records = self._answers(lookup, owner, kind, CHASE_LIMIT)
        if records is None:
            return Reply(Rcode.NXDOMAIN, authority=(self._soa(lookup, now_s),))
        if lookup.kind is Kind.APEX:
            return self._apex(lookup, kind, now_s)
        return Reply(answers=records) if records else Reply(authority=(self._soa(lookup, now_s),))

    def _soa(self, lookup: Lookup, now_s: float) -> Record:
        return soa_record(lookup.zone, self._settings.soa, int(now_s))

    def _answers(self, lookup: Lookup, owner: bytes, kind: int, depth: int) -> Sequence[Answer] | None:
        """The answer section; None if there is no such name."""
        match lookup.kind:
            case Kind.SERVICE:
                ttl_s = self._settings.ttl_of(lookup.name)
                found: Iterable[Endpoint] = self._directory.service(lookup.name)
                if lookup.tag:
                    found = [endpoint for endpoint in found if lookup.tag in endpoint.tags]
            case Kind.CONNECT:
                ttl_s, found = self._settings.ttl_of(lookup.name), self._directory.connect(lookup.name)
            case Kind.INGRESS:
                ttl_s, found = self._settings.ttl_of(lookup.name), self._directory.ingress(lookup.name)
            case Kind.QUERY:
                return self._query(lookup, owner, kind, depth)
            case _:
                return self._single(lookup, owner, kind, depth)
        shown = self._shown(found)
        if not shown:
            return None
        self._shuffle(shown)
        return self._endpoints(shown, lookup, owner, kind, (ttl_s, depth))

    def _single(self, lookup: Lookup, owner: bytes, kind: int, depth: int) -> Sequence[Answer] | None:
        match lookup.kind:
            case Kind.NODE:
                host = self._directory.node(lookup.name)
                return None if host is None else self._node(host, owner, kind, depth)
            case Kind.ADDR:
                record = address_record(owner, lookup.packed, self._settings.node_ttl_s)
                return [Answer(record)] if kind in {record.type, Type.ANY} else []
            case Kind.VIRTUAL:
                ttl_s = self._settings.ttl_of(lookup.name)
                records = [
                    address_record(owner, place.packed, ttl_s)
                    for place in self._directory.virtual(lookup.name)
                    if place.packed
                ]
                return [Answer(record) for record in records if kind in {record.type, Type.ANY}]
            case Kind.POINTER:
                return self._pointers(lookup, owner)
            case Kind.APEX | Kind.BETWEEN:
                return []
            case _:
                return None

    def _query(self, lookup: Lookup, owner: bytes, kind: int, depth: int) -> Sequence[Answer] | None:
        """A prepared query's own order is kept: it may be by distance."""
        found = self._queries.execute(lookup.name)
        shown = self._shown(found.endpoints) if found is not None else []
        if found is None or not shown:
            return None
        ttl_s = self._settings.ttl_of(shown[0].service) if found.ttl_s is None else found.ttl_s
        return self._endpoints(shown, lookup, owner, kind, (ttl_s, depth))

    def _shown(self, found: Iterable[Endpoint]) -> list[Endpoint]:
        if self._settings.only_passing:
            return [endpoint for endpoint in found if endpoint.health is Health.PASSING]
        return [endpoint for endpoint in found if endpoint.health is not Health.CRITICAL]

    def _endpoints(
        self, shown: list[Endpoint], lookup: Lookup, owner: bytes, kind: int, bounds: tuple[int, int]
    ) -> list[Answer]:
        """The records of instances, in their order; `bounds` are TTL and depth."""
        ttl_s, depth = bounds
        if kind == Type.SRV:
            return self._services(shown, lookup, owner, ttl_s)
        if kind not in _WHOLE and kind not in {Type.A, Type.AAAA, Type.CNAME}:
            return []
        places = {endpoint.at.text: endpoint.at for endpoint in shown}
        return self._places(list(places.values()), owner, kind, ttl_s, depth)

    def _places(self, places: list[Place], owner: bytes, kind: int, ttl_s: int, depth: int) -> list[Answer]:
        """Addresses, or the one host name: a CNAME stands alone (RFC 2181 10.1), so the first place decides."""
        if not places or not places[0].text:
            return []
        if not places[0].packed:
            return self._alias(places[0], owner, kind, ttl_s, depth)
        size = {Type.A: 4, Type.AAAA: 16, Type.CNAME: 0}.get(Type(kind))
        wanted = [place.packed for place in places if place.packed and size in {None, len(place.packed)}]
        limit = self._settings.a_record_limit
        return [Answer(address_record(owner, packed, ttl_s)) for packed in (wanted[:limit] if limit else wanted)]

    def _alias(self, place: Place, owner: bytes, kind: int, ttl_s: int, depth: int) -> list[Answer]:
        """A CNAME to a host's name, with what that name has if it is of this domain."""
        try:
            target = encode_name(place.text)
        except UnfitNameError:
            return []
        alias = Answer(name_record(owner, Type.CNAME, target, ttl_s))
        within = self.zones.read(target, kind)
        if kind == Type.CNAME or within.kind is Kind.OUTSIDE or depth < 1:
            return [alias]
        return [alias, *(self._answers(within, target, kind, depth - 1) or ())]

    def _services(self, shown: list[Endpoint], lookup: Lookup, owner: bytes, ttl_s: int) -> list[Answer]:
        answers: dict[bytes, Answer] = {}
        for endpoint in shown:
            target = _target(endpoint, self._settings.datacenter, lookup.zone)
            if target is None:
                continue
            record = srv_record(owner, endpoint.weight, endpoint.port, target, ttl_s)
            key = record.data[4:]  # port and target; two weights of one place are one answer
            if key not in answers:
                answers[key] = Answer(record, self._extras(endpoint, target, lookup, ttl_s))
        return list(answers.values())

    def _extras(self, endpoint: Endpoint, target: bytes, lookup: Lookup, ttl_s: int) -> tuple[Record, ...]:
        """What the target resolves to, and the meta of its node under the node's name."""
        extras = []
        place, host = endpoint.at, endpoint.host
        if place.packed:
            extras.append(address_record(target, place.packed, ttl_s))
        elif endpoint.place is None:
            alias = self._alias(place, target, Type.A, ttl_s, 1)
            extras += [answer.record for answer in alias]
        elif (within := self.zones.read(target, Type.ANY)).kind is not Kind.OUTSIDE:
            found = self._answers(within, target, Type.ANY, 1) or ()
            extras += [answer.record for answer in found if answer.record.type != Type.TXT]
        if self._settings.node_meta_txt and host.meta:
            name = _node_name(host, self._settings.datacenter, lookup.zone)
            extras += self._meta(host, name) if name is not None else ()
        return tuple(extras)

    def _node(self, host: HostEntry, owner: bytes, kind: int, depth: int) -> list[Answer]:
        """A node's address, whatever its health is, and its meta: as answers to TXT and ANY, beside the address otherwise."""
        ttl_s = self._settings.node_ttl_s
        meta = self._meta(host, owner)
        if kind == Type.TXT and host.place.packed:
            return [Answer(record) for record in meta]
        if kind not in {Type.A, Type.AAAA, Type.ANY, Type.CNAME, Type.TXT}:
            return []
        found = self._places([host.place], owner, kind, ttl_s, depth)
        if kind == Type.ANY and host.place.packed:
            return [*found, *(Answer(record) for record in meta)]
        if found and self._settings.node_meta_txt:
            return [Answer(found[0].record, tuple(meta)), *found[1:]]
        return found

    def _meta(self, host: HostEntry, owner: bytes) -> list[Record]:
        """Node meta as TXT: `key=value` (RFC 1464), the value alone for keys that begin with `rfc1035-`."""
        return [
            txt_record(
                owner,
                value if key.lower().startswith(_BARE_META) else f"{_quoted(key)}={value}",
                self._settings.node_ttl_s,
            )
            for key, value in sorted(host.meta.items())
        ]

    def _pointers(self, lookup: Lookup, owner: bytes) -> list[Answer] | None:
        """The nodes with that address, else the services: None if nobody has it."""
        datacenter = self._settings.datacenter
        names = [f"{name}.node.{datacenter}." for name in self._directory.nodes_at(lookup.packed)]
        names = names or [f"{name}.service.{datacenter}." for name in self._directory.services_at(lookup.packed)]
        targets = [_fitting(name, lookup.zone) for name in names]
        found = [target for target in targets if target is not None]
        ttl_s = self._settings.node_ttl_s
        return [Answer(name_record(owner, Type.PTR, target, ttl_s)) for target in found] or None

    def _apex(self, lookup: Lookup, kind: int, now_s: float) -> Reply:
        """The domain itself: SOA and NS."""
        soa = self._soa(lookup, now_s)
        servers: list[Answer] = []
        if kind in {Type.NS, Type.SOA, Type.ANY}:
            servers = self._name_servers(lookup)
        match kind:
            case Type.SOA:
                glue = tuple(extra for server in servers for extra in server.extras)
                return Reply(
                    answers=[Answer(soa)], authority=tuple(server.record for server in servers), additional=glue
                )
            case Type.ANY:
                return Reply(answers=[Answer(soa), *servers])
            case _:
                return Reply(answers=servers) if servers else Reply(authority=(soa,))

    def _name_servers(self, lookup: Lookup) -> list[Answer]:
        ttl_s = self._settings.node_ttl_s
        hosts = list({host.name: host for host in self._directory.name_servers()}.values())
        self._shuffle(hosts)
        answers: list[Answer] = []
        for host in hosts:
            name = _node_name(host, self._settings.datacenter, lookup.zone)
            if name is not None and len(answers) < NAME_SERVERS:
                glue = (address_record(name, host.place.packed, ttl_s),) if host.place.packed else ()
                answers.append(Answer(name_record(lookup.zone, Type.NS, name, ttl_s), glue))
        return answers


def _target(endpoint: Endpoint, datacenter: str, zone: bytes) -> bytes | None:
    """The SRV target: the node's name, `<hex>.addr` of the instance's own address, or that address if it is a name."""
    place = endpoint.place
    if place is None:
        return _node_name(endpoint.host, datacenter, zone)
    if place.packed:
        return _fitting(f"{place.packed.hex()}.addr.{endpoint.host.datacenter or datacenter}.", zone)
    return _fitting(place.text, b"\0")


def _node_name(host: HostEntry, datacenter: str, zone: bytes) -> bytes | None:
    return _fitting(f"{host.name}.node.{host.datacenter or datacenter}.", zone)


def _fitting(text: str, zone: bytes) -> bytes | None:
    """The name in wire form below a zone; None if it is no domain name, and then it is not answered."""
    try:
        name = encode_name(text)[:-1] + zone
    except UnfitNameError:
        return None
    return name if len(name) <= 255 else None


def _quoted(key: str) -> str:
    """An attribute's name as RFC 1464 writes it: `=` and the backquote are quoted."""
    return key.replace("`", "``").replace("=", "`=")
