"""Records to bytes: compression, truncation, EDNS. What is sent never exceeds what was asked for."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from catalog.dns.wire.name import ROOT
from catalog.dns.wire.query import AA, CD, CLASS_IN, FIXED, HEADER, OPCODE, QR, RA, RD, TC, Query, Rcode, Type
from catalog.dns.wire.record import Record

POINTERS_BELOW = 0x4000
QUESTION_AT = b"\xc0\x0c"
OPT_BYTES = 11
OWN_PAYLOAD_BYTES = 4096
"""The largest UDP message that is sent or taken, whatever an asker says it takes."""


class Answer(NamedTuple):
    """One record of the answer section with the additional ones that belong to it."""

    record: Record
    extras: tuple[Record, ...] = ()


class Reply(NamedTuple):
    """What is answered, before it is bytes. `authoritative`: the name is ours."""

    rcode: int = Rcode.NOERROR
    answers: Sequence[Answer] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    authoritative: bool = True
    cut: bool = False
    """Answers were left out on purpose and the asker shall know."""


class _Writer:
    """A message that grows up to its limit."""

    def __init__(self, query: Query, limit_bytes: int, *, compress: bool) -> None:
        self._size = HEADER.size + len(query.question)
        self._limit = limit_bytes
        self._name = query.name
        self._parts: list[bytes] = [query.question]
        self._compress = compress
        self._offsets: dict[bytes, int] | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)

    def put(self, record: Record) -> bool:
        """Append a record; False if it does not fit: then nothing more may be put."""
        owner = QUESTION_AT if record.owner == self._name and self._compress else self._named(record.owner, self._size)
        at = self._size + len(owner) + FIXED.size
        data = self._named(record.name, at) + record.data if record.name else record.data
        size = at + len(data)
        if size > self._limit:
            return False
        self._parts += (owner, FIXED.pack(record.type, CLASS_IN, record.ttl_s, len(data)), data)
        self._size = size
        return True

    def _named(self, name: bytes, at: int) -> bytes:
        """The name as it stands at offset `at`: its longest known end is a pointer."""
        if not self._compress:
            return name
        if self._offsets is None:
            self._offsets = {}
            self._learn(self._name, HEADER.size)
        skipped = 0
        while name[skipped]:
            known = self._offsets.get(name[skipped:])
            if known is not None:
                self._learn(name, at, skipped)
                return name[:skipped] + (0xC000 | known).to_bytes(2, "big")
            skipped += 1 + name[skipped]
        self._learn(name, at, skipped)
        return name

    def _learn(self, name: bytes, at: int, until: int = 255) -> None:
        assert self._offsets is not None
        skipped = 0
        while name[skipped] and skipped < until and at + skipped < POINTERS_BELOW:
            self._offsets.setdefault(name[skipped:], at + skipped)
            skipped += 1 + name[skipped]


def encode_reply(query: Query, reply: Reply, limit_bytes: int, *, recursive: bool, compress: bool = True) -> bytes:
    """The reply to a query in at most `limit_bytes` (512 and more).

    Answers that do not fit are left out and the TC bit says so; additional records that do not fit are just left out
    (RFC 2181 9). `recursive` sets the RA bit: there are recursors.
    """
    writer = _Writer(query, limit_bytes - (OPT_BYTES if query.edns else 0), compress=compress)
    answers = _put_all(writer, [answer.record for answer in reply.answers])
    full = answers < len(reply.answers)
    authority = 0 if full else _put_all(writer, reply.authority)
    full = full or authority < len(reply.authority)
    extras = 0 if full else _put_all(writer, _extras(reply))
    flags = QR | query.flags & (OPCODE | RD | CD) | reply.rcode & 15
    flags |= (AA if reply.authoritative else 0) | (TC if full or reply.cut else 0) | (RA if recursive else 0)
    opt = _opt(reply.rcode) if query.edns else b""
    counts = 1, answers, authority, extras + bool(opt)
    return HEADER.pack(query.id, flags, *counts) + writer.body + opt


def _put_all(writer: _Writer, records: Iterable[Record]) -> int:
    """How many of the records fitted, from the first."""
    count = 0
    for record in records:
        if not writer.put(record):
            break
        count += 1
    return count


def _extras(reply: Reply) -> list[Record]:
    """The additional records, each once."""
    found = dict.fromkeys(extra for answer in reply.answers for extra in answer.extras)
    found.update(dict.fromkeys(reply.additional))
    return list(found)


def _opt(rcode: int) -> bytes:
    return ROOT + FIXED.pack(Type.OPT, OWN_PAYLOAD_BYTES, rcode >> 4 << 24, 0)


def encode_error(data: bytes, rcode: Rcode) -> bytes | None:
    """An error about bytes that are no query; None if not even the header is one, or it is a response itself."""
    if len(data) < HEADER.size:
        return None
    number, flags, *_ = HEADER.unpack_from(data)
    if flags & QR:
        return None
    return HEADER.pack(number, QR | flags & (OPCODE | RD | CD) | rcode, 0, 0, 0, 0)
