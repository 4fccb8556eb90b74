"""Bytes to bytes: judges a message, has it answered, cuts the answer to what the asker takes. Pure.

A response is never answered, and nothing that arrives raises.
"""

from collections.abc import Callable
from typing import NamedTuple

from catalog.dns.answer.answers import Answers
from catalog.dns.answer.question import Kind
from catalog.dns.answer.settings import DnsSettings
from catalog.dns.wire.encode import OWN_PAYLOAD_BYTES, Reply, encode_error, encode_reply
from catalog.dns.wire.name import FormatError
from catalog.dns.wire.query import (
    CLASS_ANY,
    CLASS_IN,
    CLASSIC_BYTES,
    HEADER,
    QR,
    Query,
    Rcode,
    Type,
    read_query,
)

TCP_BYTES = 65535


class Forward(NamedTuple):
    """A name that is not ours, for the recursors. `name`, if set, is where a CNAME of our own answer leads."""

    query: Query
    reply: Reply | None = None
    name: bytes = b""


class Responder:
    """Answers messages. `now` is seconds since the epoch."""

    def __init__(self, settings: DnsSettings, answers: Answers, now: Callable[[], float]) -> None:
        self._settings = settings
        self._answers = answers
        self._now = now

    def respond(self, data: bytes, *, over_tcp: bool) -> bytes | Forward | None:
        """The response, None for silence, or what the recursors must be asked first.

        Raises:
            NotHeldError: the directory must be filled first.
        """
        if len(data) < HEADER.size or data[2] & (QR >> 8):
            return None
        try:
            query = read_query(data)
        except FormatError:
            return encode_error(data, Rcode.FORMERR)
        return self._answer(query, over_tcp=over_tcp)

    def _answer(self, query: Query, *, over_tcp: bool) -> bytes | Forward | None:
        rcode = _refusal(query)
        if rcode:
            return self.encode(query, Reply(rcode, authoritative=False), over_tcp=over_tcp)
        lookup = self._answers.zones.read(query.name, query.type)
        if lookup.kind is not Kind.OUTSIDE:
            reply = self._answers.reply(lookup, query.name, query.type, self._now())
            if lookup.kind is not Kind.POINTER or reply.answers or not self._settings.recursors:
                chased = self._chase(query, reply)
                return chased or self.encode(query, reply, over_tcp=over_tcp)
        if self._settings.recursors:
            return Forward(query)
        return self.encode(query, Reply(Rcode.REFUSED, authoritative=False), over_tcp=over_tcp)

    def _chase(self, query: Query, reply: Reply) -> Forward | None:
        """What the recursors must add: the address of the host outside that the answer's CNAME leads to."""
        if not self._settings.recursors or not reply.answers or query.type not in {Type.A, Type.AAAA, Type.ANY}:
            return None
        last = reply.answers[-1].record
        if last.type != Type.CNAME or self._answers.zones.read(last.name, query.type).kind is not Kind.OUTSIDE:
            return None
        return Forward(query, reply, last.name)

    def encode(self, query: Query, reply: Reply, *, over_tcp: bool) -> bytes:
        """The reply as bytes: over UDP without EDNS few answers in 512 bytes, else what the asker takes."""
        settings = self._settings
        limit = settings.udp_answer_limit
        if not over_tcp and not query.edns and 0 < limit < len(reply.answers):
            reply = reply._replace(answers=reply.answers[:limit], cut=settings.enable_truncate)
        return encode_reply(
            query,
            reply,
            size_limit(query, over_tcp=over_tcp),
            recursive=bool(settings.recursors),
            compress=not settings.disable_compression,
        )

    def failure(self, data: bytes) -> bytes | None:
        """SERVFAIL for a message that could not be answered now."""
        try:
            return encode_reply(
                read_query(data),
                Reply(Rcode.SERVFAIL, authoritative=False),
                CLASSIC_BYTES,
                recursive=bool(self._settings.recursors),
            )
        except FormatError:
            return encode_error(data, Rcode.SERVFAIL)


def size_limit(query: Query, *, over_tcp: bool) -> int:
    """How many bytes the answer to a query may have."""
    if over_tcp:
        return TCP_BYTES
    return min(max(query.payload_bytes, CLASSIC_BYTES), OWN_PAYLOAD_BYTES)


def _refusal(query: Query) -> Rcode:
    """Why a query is not looked at; NOERROR if it is."""
    if query.version:
        return Rcode.BADVERS
    if query.opcode or query.type in {Type.AXFR, Type.IXFR}:
        return Rcode.NOTIMP
    if query.type in {0, Type.OPT}:
        return Rcode.FORMERR
    if query.klass not in {CLASS_IN, CLASS_ANY}:
        return Rcode.REFUSED
    return Rcode.NOERROR
