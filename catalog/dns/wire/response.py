"""What comes back from another DNS server: whether it answers what was asked, and the addresses in it. Never trusts a length."""

import struct

import msgspec

from catalog.dns.wire.name import FormatError, read_name
from catalog.dns.wire.query import CD, CLASS_IN, DO, FIXED, HEADER, QR, QUESTION, RD, TC, Query, Type
from catalog.dns.wire.record import Record

RECORDS_LIMIT = 512
_OPT = struct.Struct("!BHHIH")


class Response(msgspec.Struct, frozen=True):
    """Header and answer section of a response; of the answers those that this package knows the shape of."""

    id: int
    flags: int
    question: bytes
    answers: tuple[Record, ...]

    @property
    def rcode(self) -> int:
        return self.flags & 15

    @property
    def truncated(self) -> bool:
        return bool(self.flags & TC)


def encode_query(query: Query, number: int, payload_bytes: int) -> bytes:
    """The same question as a new query: with EDNS if it had EDNS, without its options, which are between neighbours."""
    flags = query.flags & (RD | CD)
    head = HEADER.pack(number, flags, 1, 0, 0, 1 if query.edns else 0) + query.question
    if not query.edns:
        return head
    return head + _OPT.pack(0, Type.OPT, payload_bytes, DO if query.dnssec else 0, 0)


def question_of(name: bytes, kind: int) -> Query:
    """A query for records of a name, recursion desired."""
    return Query(0, RD, name, kind, CLASS_IN, name + QUESTION.pack(kind, CLASS_IN))


def matches(data: bytes, sent: bytes) -> bool:
    """Whether bytes are a response to the query sent: its id and its question, byte for byte (letter case included)."""
    question = question_end(sent)
    return (
        len(data) >= question
        and data[:2] == sent[:2]
        and bool(data[2] & (QR >> 8))
        and data[4:6] == b"\0\1"
        and data[HEADER.size : question] == sent[HEADER.size : question]
    )


def question_end(data: bytes) -> int:
    """The offset after the question section of a message with one question.

    Raises:
        FormatError: it has none.
    """
    _, at = read_name(data, HEADER.size)
    return at + QUESTION.size


def read_response(data: bytes) -> Response:
    """A response's head and answers.

    Raises:
        FormatError: it is none.
    """
    if len(data) < HEADER.size:
        raise FormatError("a message has a header of 12 bytes")
    number, flags, questions, answers, *_ = HEADER.unpack_from(data)
    if not flags & QR or questions != 1 or answers > RECORDS_LIMIT:
        raise FormatError("no response to one question")
    at = question_end(data)
    found = []
    for _ in range(answers):
        record, at = _read_record(data, at)
        if record is not None:
            found.append(record)
    return Response(number, flags, data[HEADER.size : question_end(data)], tuple(found))


def _read_record(data: bytes, at: int) -> tuple[Record | None, int]:
    owner, at = read_name(data, at)
    if at + FIXED.size > len(data):
        raise FormatError("a record runs out of the message")
    kind, klass, ttl_s, size = FIXED.unpack_from(data, at)
    start = at + FIXED.size
    end = start + size
    if end > len(data):
        raise FormatError("a record's data runs out of the message")
    if klass != CLASS_IN:
        return None, end
    if kind in {Type.CNAME, Type.NS, Type.PTR}:
        name, after = read_name(data, start)
        if after != end:
            raise FormatError("a name is not as long as its record")
        return Record(owner, kind, ttl_s, b"", name), end
    if size != {Type.A: 4, Type.AAAA: 16}.get(kind, size):
        raise FormatError("an address of no known length")
    known = kind in {Type.A, Type.AAAA, Type.TXT, Type.SRV}
    return (Record(owner, kind, ttl_s, data[start:end]) if known else None), end


def cut_to(data: bytes, limit_bytes: int) -> bytes:
    """A response that is too long for its asker: header and question with the TC bit; else itself."""
    if len(data) <= limit_bytes:
        return data
    head = bytearray(data[: question_end(data)])
    head[2] |= TC >> 8
    head[6:12] = bytes(6)
    return bytes(head)
