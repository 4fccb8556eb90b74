"""Resource records as values, and their data in wire form.

Owners and data hold names in wire form without compression; `wire.encode` compresses where the RFCs allow it.
"""

import struct
from typing import NamedTuple

from catalog.dns.wire.query import Type

_SRV = struct.Struct("!HHH")
_SOA = struct.Struct("!IIIII")
STRING_LIMIT = 255


class Record(NamedTuple):
    """One record of class IN. `name` is the one name in its data that may be compressed, after which `data` follows.

    For SRV, whose target may not be compressed (RFC 2782), all of it stands in `data`.
    """

    owner: bytes
    type: int
    ttl_s: int
    data: bytes
    name: bytes = b""


def address_record(owner: bytes, packed: bytes, ttl_s: int) -> Record:
    """A or AAAA, by the length of the packed address."""
    return Record(owner, Type.A if len(packed) == 4 else Type.AAAA, ttl_s, packed)


def srv_record(owner: bytes, weight: int, port: int, target: bytes, ttl_s: int) -> Record:
    """SRV of priority 1, as Consul answers."""
    return Record(owner, Type.SRV, ttl_s, _SRV.pack(1, min(max(weight, 0), 0xFFFF), port & 0xFFFF) + target)


def name_record(owner: bytes, kind: Type, target: bytes, ttl_s: int) -> Record:
    """CNAME, NS or PTR."""
    return Record(owner, kind, ttl_s, b"", target)


def txt_record(owner: bytes, text: str, ttl_s: int) -> Record:
    """TXT; a text over 255 bytes is split into several strings."""
    raw = text.encode("utf-8", "surrogateescape")
    pieces = [raw[at : at + STRING_LIMIT] for at in range(0, len(raw), STRING_LIMIT)] or [b""]
    return Record(owner, Type.TXT, ttl_s, b"".join(bytes((len(piece),)) + piece for piece in pieces))


class Soa(NamedTuple):
    """The numbers of a SOA record, in seconds (Consul's `dns_config.soa`)."""

    refresh_s: int = 3600
    retry_s: int = 600
    expire_s: int = 86400
    min_ttl_s: int = 0


def soa_record(zone: bytes, soa: Soa, serial: int) -> Record:
    """The SOA of a zone as Consul gives it: `ns.<zone>`, `hostmaster.<zone>`, the clock as serial.

    Its TTL is `min_ttl_s`: how long a negative answer may be kept (RFC 2308 5).
    """
    numbers = _SOA.pack(serial & 0xFFFFFFFF, soa.refresh_s, soa.retry_s, soa.expire_s, soa.min_ttl_s)
    return Record(zone, Type.SOA, soa.min_ttl_s, b"\x0ahostmaster" + zone + numbers, b"\x02ns" + zone)
