"""Asks DNS in tests: builds queries, reads whole responses, and holds a directory of fixed rows."""

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from catalog.dns.answer.directory import Endpoint, Found, HostEntry, Place, place_of
from catalog.dns.wire.name import encode_name, read_name, text_of
from catalog.dns.wire.query import FIXED, HEADER, Type
from mesh.model.endpoint import Health


class Row(NamedTuple):
    """One record of a response, its data as a person reads it."""

    owner: str
    type: str
    ttl_s: int
    data: str


class Heard(NamedTuple):
    """A whole response."""

    id: int
    flags: int
    question: str
    answers: list[Row]
    authority: list[Row]
    additional: list[Row]

    @property
    def rcode(self) -> int:
        return self.flags & 15

    @property
    def truncated(self) -> bool:
        return bool(self.flags & 0x0200)

    @property
    def data(self) -> list[str]:
        """The answers' data, sorted."""
        return sorted(row.data for row in self.answers)


def ask(name: str, kind: Type = Type.A, *, edns: int = 0, number: int = 7, flags: int = 0x0100) -> bytes:
    """A query; `edns` is the payload size of its OPT record, 0 is none."""
    head = HEADER.pack(number, flags, 1, 0, 0, 1 if edns else 0)
    opt = b"\0" + FIXED.pack(Type.OPT, edns, 0, 0) if edns else b""
    return head + encode_name(name) + struct.pack("!HH", kind, 1) + opt


def hear(data: bytes) -> Heard:
    """A response, read to its last byte."""
    number, flags, questions, *counts = HEADER.unpack_from(data)
    at, question = HEADER.size, ""
    if questions:
        name, at = read_name(data, at)
        question, at = text_of(name), at + 4
    sections: list[list[Row]] = []
    for count in counts:
        rows = []
        for _ in range(count):
            row, at = _row(data, at)
            rows.append(row)
        sections.append(rows)
    assert at == len(data)
    return Heard(number, flags, question, *sections)


def _row(data: bytes, at: int) -> tuple[Row, int]:
    owner, at = read_name(data, at)
    kind, _, ttl_s, size = FIXED.unpack_from(data, at)
    at += FIXED.size
    return Row(text_of(owner), Type(kind).name, ttl_s, _shown(data, at, kind, size)), at + size


def _shown(data: bytes, at: int, kind: int, size: int) -> str:
    """A record's data as a person reads it; that of an unknown type in hexadecimal."""
    raw = data[at : at + size]
    match kind:
        case Type.A:
            text = ".".join(map(str, raw))
        case Type.AAAA:
            text = ":".join(f"{int.from_bytes(raw[two : two + 2], 'big'):x}" for two in range(0, 16, 2))
        case Type.CNAME | Type.NS | Type.PTR:
            text = text_of(read_name(data, at)[0])
        case Type.SRV:
            priority, weight, port = struct.unpack_from("!HHH", raw)
            text = f"{priority} {weight} {port} {text_of(read_name(data, at + 6)[0])}"
        case Type.SOA:
            first, at = read_name(data, at)
            second, at = read_name(data, at)
            text = " ".join([text_of(first), text_of(second), *map(str, struct.unpack_from("!IIIII", data, at))])
        case Type.TXT:
            texts = []
            while raw:
                texts.append(raw[1 : 1 + raw[0]].decode())
                raw = raw[1 + raw[0] :]
            text = "|".join(texts)
        case _:
            text = raw.hex()
    return text


def host(name: str, address: str, **meta: str) -> HostEntry:
    """A node of dc1."""
    return HostEntry(name, place_of(address), "dc1", meta)


def endpoint(
    node: HostEntry,
    service: str = "web",
    address: str = "",
    port: int = 80,
    tags: Sequence[str] = (),
    weight: int = 1,
    health: Health = Health.PASSING,
) -> Endpoint:
    """An instance; without `address` it has its node's."""
    return Endpoint(service, node, place_of(address) if address else None, port, frozenset(tags), weight, health)


class Rows:
    """A directory of fixed rows (`catalog.dns.answer.directory.Directory`) that is a query executor too."""

    def __init__(self) -> None:
        self.services: dict[str, list[Endpoint]] = {}
        self.sidecars: dict[str, list[Endpoint]] = {}
        self.gateways: dict[str, list[Endpoint]] = {}
        self.virtuals: dict[str, list[Place]] = {}
        self.hosts: dict[str, HostEntry] = {}
        self.queries: dict[str, Found] = {}

    def service(self, name: str) -> list[Endpoint]:
        return self.services.get(name, [])

    def connect(self, name: str) -> list[Endpoint]:
        return self.sidecars.get(name, [])

    def ingress(self, name: str) -> list[Endpoint]:
        return self.gateways.get(name, [])

    def virtual(self, name: str) -> list[Place]:
        return self.virtuals.get(name, [])

    def node(self, name: str) -> HostEntry | None:
        return self.hosts.get(name)

    def nodes_at(self, packed: bytes) -> list[str]:
        return [name for name, one in self.hosts.items() if one.place.packed == packed]

    def services_at(self, packed: bytes) -> list[str]:
        found = [
            name for name, rows in self.services.items() for row in rows if row.place and row.place.packed == packed
        ]
        return list(dict.fromkeys(found))

    def name_servers(self) -> list[HostEntry]:
        return [row.host for row in self.services.get("consul", [])]

    def execute(self, name: str) -> Found | None:
        return self.queries.get(name)


def rows_of(services: Mapping[str, list[Endpoint]]) -> Rows:
    """A directory of those services and their nodes."""
    rows = Rows()
    rows.services.update(services)
    rows.hosts.update({one.host.name: one.host for found in services.values() for one in found})
    return rows
