"""Reads a name as Consul means it: `[tag.]web.service[.dc1.dc].consul` and its kin. Pure, no knowledge of what exists.

Facts: Consul's documentation of DNS static and dynamic lookups; RFC 2782 for `_web._tcp`.
"""

import enum
from collections.abc import Sequence

import msgspec

from catalog.dns.answer.settings import DnsSettings
from catalog.dns.wire.name import encode_name, labels_of
from catalog.dns.wire.query import Type


class Kind(enum.StrEnum):
    """What a name is about. The first seven are labels in it."""

    SERVICE = "service"
    CONNECT = "connect"
    INGRESS = "ingress"
    VIRTUAL = "virtual"
    NODE = "node"
    QUERY = "query"
    ADDR = "addr"
    APEX = "apex"
    """The domain itself."""
    BETWEEN = "between"
    """Nothing itself, but names are below it, such as `service.consul`: it exists without records (RFC 8020)."""
    POINTER = "pointer"
    """An address of the reverse tree; `name` is empty and `packed` set."""
    NOTHING = "nothing"
    """In the domain, and no name of it."""
    OUTSIDE = "outside"
    """Not ours."""


LABELS = {kind.value: kind for kind in tuple(Kind)[:7]}
DEFAULT = "default"


class Lookup(msgspec.Struct, frozen=True):
    """A name, read. All texts are in lower case; `zone` is the domain it was asked in, in wire form as settings write it."""

    kind: Kind
    name: str = ""
    tag: str = ""
    packed: bytes = b""
    zone: bytes = b""


class Zones:
    """The domains that are served."""

    def __init__(self, settings: DnsSettings) -> None:
        texts = [text.strip(".").lower() for text in (settings.domain, settings.alt_domain)]
        self.zones = [(text.split("."), encode_name(text)) for text in texts if text]
        self.zones.sort(key=lambda zone: -len(zone[0]))
        self.default = encode_name(settings.domain.strip(".").lower())
        self.datacenter = settings.datacenter.lower()

    def read(self, name: bytes, kind: int) -> Lookup:
        """What a name in wire form is about, asked for records of type `kind`."""
        labels = [label.lower().decode("utf-8", "surrogateescape") for label in labels_of(name)]
        for zone, wire in self.zones:
            if labels[-len(zone) :] == zone:
                return self._inside(labels[: -len(zone)], kind, wire)
        if labels[-1:] == ["arpa"] and kind in {Type.PTR, Type.ANY}:
            packed = read_reverse(labels)
            if packed:
                return Lookup(Kind.POINTER, packed=packed, zone=self.default)
        return Lookup(Kind.OUTSIDE)

    def _inside(self, labels: list[str], kind: int, zone: bytes) -> Lookup:
        if not labels:
            return Lookup(Kind.APEX, zone=zone)
        for at in range(len(labels) - 1, -1, -1):
            found = LABELS.get(labels[at])
            if found is not None:
                fits = self._is_here(labels[at + 1 :], peers=found is Kind.VIRTUAL)
                return self._below(found, labels[:at], zone) if fits else Lookup(Kind.NOTHING, zone=zone)
            if kind == Type.SRV and at > 0 and labels[at].startswith("_"):  # RFC 2782 names may leave `service` out
                fits = self._is_here(labels[at + 1 :])
                return _service(labels[: at + 1], zone) if fits else Lookup(Kind.NOTHING, zone=zone)
        between = labels in ([self.datacenter], ["dc"], [self.datacenter, "dc"])
        return Lookup(Kind.BETWEEN if between else Kind.NOTHING, zone=zone)

    def _is_here(self, places: Sequence[str], *, peers: bool = False) -> bool:
        """Whether the labels between kind and domain name our datacenter, default namespace and partition, or nothing.

        The single label of old is a datacenter, but a peer for virtual names; there are no peers and sameness groups.
        """
        if len(places) == 1:
            return not peers and places[0] == self.datacenter
        if len(places) % 2:
            return False
        wanted = {"dc": self.datacenter, "ns": DEFAULT, "ap": DEFAULT}
        pairs = list(zip(places[::2], places[1::2], strict=True))
        return all(wanted.get(word) == value for value, word in pairs) and len({word for _, word in pairs}) == len(
            pairs
        )

    @staticmethod
    def _below(kind: Kind, parts: list[str], zone: bytes) -> Lookup:
        if not parts:
            return Lookup(Kind.BETWEEN, zone=zone)
        match kind:
            case Kind.SERVICE:
                return _service(parts, zone)
            case Kind.NODE:
                return Lookup(kind, ".".join(parts), zone=zone)
            case Kind.QUERY:
                is_srv = len(parts) == 2 and parts[0].startswith("_") and parts[1].startswith("_")
                return Lookup(kind, parts[0][1:] if is_srv else ".".join(parts), zone=zone)
            case Kind.ADDR:
                packed = _read_hex(parts)
                return Lookup(kind, packed=packed, zone=zone) if packed else Lookup(Kind.NOTHING, zone=zone)
            case _:
                return Lookup(kind, parts[-1], zone=zone)


def _service(parts: list[str], zone: bytes) -> Lookup:
    """`web`, `tag.web` (a tag may have dots), or `_web._tag` of RFC 2782, where `_tcp` is no tag."""
    if len(parts) == 2 and parts[0].startswith("_") and parts[1].startswith("_"):
        tag = parts[1][1:]
        return Lookup(Kind.SERVICE, parts[0][1:], "" if tag == "tcp" else tag, zone=zone)
    if len(parts) == 1 and parts[0].startswith("_"):
        return Lookup(Kind.BETWEEN, zone=zone)
    return Lookup(Kind.SERVICE, parts[-1], ".".join(parts[:-1]), zone=zone)


def _read_hex(parts: list[str]) -> bytes:
    """The address that `0a000001` or its IPv6 kin of 32 digits says; empty if it says none."""
    if len(parts) != 1 or len(parts[0]) not in {8, 32} or not set(parts[0]) <= set("0123456789abcdef"):
        return b""
    return bytes.fromhex(parts[0])


def read_reverse(labels: list[str]) -> bytes:
    """The address that a name of `in-addr.arpa` or `ip6.arpa` says, packed; empty if it is not a whole one."""
    if labels[-2:] == ["in-addr", "arpa"] and len(labels) == 6:
        numbers = [label for label in labels[3::-1] if label.isascii() and label.isdigit() and len(label) <= 3]
        values = [int(number) for number in numbers]
        return bytes(values) if len(values) == 4 and max(values) < 256 else b""
    if labels[-2:] == ["ip6", "arpa"] and len(labels) == 34:
        digits = "".join(labels[31::-1])
        if (
            len(digits) == 32
            and all(len(label) == 1 for label in labels[:32])
            and set(digits) <= set("0123456789abcdef")
        ):
            return bytes.fromhex(digits)
    return b""
