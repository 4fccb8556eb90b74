"""A query as a value, and the header and question of any message (RFC 1035 4.1, RFC 6891 6.1)."""

import enum
import struct

import msgspec

from catalog.dns.wire.name import ROOT, FormatError, read_name

HEADER = struct.Struct("!HHHHHH")
FIXED = struct.Struct("!HHIH")
"""Type, class, TTL and length of the data: what stands between a record's owner and its data."""
QUESTION = struct.Struct("!HH")
RECORDS_LIMIT = 16
"""Records that a query may carry; it needs one, its OPT."""

QR = 0x8000
AA = 0x0400
TC = 0x0200
RD = 0x0100
RA = 0x0080
CD = 0x0010
OPCODE = 0x7800
DO = 0x8000
"""In the OPT record's TTL: the asker wants DNSSEC records."""

CLASS_IN = 1
CLASS_ANY = 255
CLASSIC_BYTES = 512


class Type(enum.IntEnum):
    """Record types (RFC 1035 3.2.2, 3596, 2782, 6891)."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    IXFR = 251
    AXFR = 252
    ANY = 255


class Rcode(enum.IntEnum):
    """How an answer ended (RFC 1035 4.1.1, 6891)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class Query(msgspec.Struct, frozen=True):
    """What was asked. `name` is in wire form with its letter case; `question` the bytes of the question section.

    `payload_bytes` is what the asker takes over UDP (EDNS), 0 without EDNS; `version` its version of EDNS, `dnssec` its DO bit.
    """

    id: int
    flags: int
    name: bytes
    type: int
    klass: int
    question: bytes
    payload_bytes: int = 0
    version: int = 0
    dnssec: bool = False

    @property
    def edns(self) -> bool:
        """Whether it carried an OPT record."""
        return self.payload_bytes > 0

    @property
    def opcode(self) -> int:
        """0 is a standard query."""
        return (self.flags & OPCODE) >> 11


def read_query(data: bytes) -> Query:
    """The query that a message holds. Bytes after it are let be.

    Raises:
        FormatError: it is none; the header may still be good enough for a FORMERR.
    """
    if len(data) < HEADER.size:
        raise FormatError("a message has a header of 12 bytes")
    number, flags, questions, *counts = HEADER.unpack_from(data)
    if questions != 1:
        raise FormatError(f"{questions} questions in one message: one is served")
    if sum(counts) > RECORDS_LIMIT:
        raise FormatError(f"{sum(counts)} records in a query")
    name, at = read_plain_name(data, HEADER.size)
    if at + QUESTION.size > len(data):
        raise FormatError("the question runs out of the message")
    kind, klass = QUESTION.unpack_from(data, at)
    at += QUESTION.size
    payload, extended = _read_opt(data, at, counts) if any(counts) else (0, 0)
    question = data[HEADER.size : at]
    return Query(number, flags, name, kind, klass, question, payload, extended >> 16 & 0xFF, bool(extended & DO))


def read_plain_name(data: bytes, start: int) -> tuple[bytes, int]:
    """The name at `start` and the offset after it; pointers have no place in a question.

    Raises:
        FormatError: it is none.
    """
    at = start
    try:
        while size := data[at]:
            at += 1 + size
            if size > 63 or at - start > 254:
                raise FormatError("the question's name is no name")
    except IndexError:
        raise FormatError("the question's name runs out of the message") from None
    return data[start : at + 1], at + 1


def _read_opt(data: bytes, at: int, counts: list[int]) -> tuple[int, int]:
    """Payload size (at least 512) and TTL field of the OPT record among what follows the question; 0, 0 without one."""
    found: tuple[int, int] | None = None
    additional_from = counts[0] + counts[1]
    for number in range(sum(counts)):
        owner, at = read_name(data, at)
        if at + FIXED.size > len(data):
            raise FormatError("a record runs out of the message")
        kind, klass, ttl, size = FIXED.unpack_from(data, at)
        at += FIXED.size + size
        if at > len(data):
            raise FormatError("a record's data runs out of the message")
        if kind != Type.OPT:
            continue
        if found is not None or owner != ROOT or number < additional_from:
            raise FormatError("a query has one OPT record at most, of the root, in its additional section")
        found = max(klass, CLASSIC_BYTES), ttl
    return found or (0, 0)
