"""Queries: header, question and OPT record; everything else is the sender's error."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.dns.wire.name import FormatError
from catalog.dns.wire.query import HEADER, Type, read_query
from tests.fakes.dns_asker import ask

WEB = b"\x03Web\x07service\x06consul\0"


def test_a_query_is_read_whole() -> None:
    """Id, flags, the name in its letter case, type, and no EDNS."""
    query = read_query(ask("Web.service.consul", Type.SRV, number=513))
    assert (query.id, query.flags, query.name, query.type, query.klass) == (513, 0x0100, WEB, Type.SRV, 1)
    assert query.question == WEB + b"\0\x21\0\1"
    assert not query.edns


def test_edns_says_what_the_asker_takes() -> None:
    """RFC 6891 6.2.3: a payload below 512 counts as 512; version and DO bit stand in the TTL."""
    assert read_query(ask("web.service.consul", edns=1232)).payload_bytes == 1232
    assert read_query(ask("web.service.consul", edns=100)).payload_bytes == 512
    data = bytearray(ask("web.service.consul", edns=4096))
    data[-6:-2] = b"\0\1\x80\0"
    query = read_query(bytes(data))
    assert query.version == 1
    assert query.dnssec


def test_an_option_is_let_be() -> None:
    """Dig sends a cookie with every query."""
    data = ask("web.service.consul", edns=1232)[:-2] + struct.pack("!HHH8s", 12, 10, 8, b"8 bytes.")
    assert read_query(data).payload_bytes == 1232


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 11,
        HEADER.pack(1, 0, 0, 0, 0, 0),
        HEADER.pack(1, 0, 2, 0, 0, 0) + WEB + b"\0\1\0\1" + WEB + b"\0\1\0\1",
        HEADER.pack(1, 0, 1, 0, 0, 0) + WEB + b"\0\1\0",
        HEADER.pack(1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",
        HEADER.pack(1, 0, 1, 0, 0, 0) + b"\x01a" * 200 + b"\0\0\1\0\1",
        HEADER.pack(1, 0, 1, 0, 0, 1) + WEB + b"\0\1\0\1",
        HEADER.pack(1, 0, 1, 0, 0, 1) + WEB + b"\0\1\0\1" + b"\0\0\x29\x10\0\0\0\0\0\0\x09",
        HEADER.pack(1, 0, 1, 0, 0, 2) + WEB + b"\0\1\0\1" + b"\0\0\x29\x10\0\0\0\0\0\0\0" * 2,
        HEADER.pack(1, 0, 1, 1, 0, 0) + WEB + b"\0\1\0\1" + b"\0\0\x29\x10\0\0\0\0\0\0\0",
        HEADER.pack(1, 0, 1, 0, 0, 1) + WEB + b"\0\1\0\1" + b"\1a\0\0\x29\x10\0\0\0\0\0\0\0",
        HEADER.pack(1, 0, 1, 0, 0, 60000) + WEB + b"\0\1\0\1" + b"\0" * 100,
    ],
)
def test_what_is_no_query_is_the_senders_fault(data: bytes) -> None:
    """None, two, cut, compressed or endless questions; records that run out; OPT doubled, misplaced or of a name."""
    with pytest.raises(FormatError):
        read_query(data)


@given(st.binary(max_size=600))
def test_any_bytes_give_a_query_or_the_senders_error(data: bytes) -> None:
    try:
        query = read_query(data)
    except FormatError:
        return
    assert data[12:].startswith(query.question)


@given(st.data())
def test_a_mangled_query_gives_a_query_or_the_senders_error(data: st.DataObject) -> None:
    raw = bytearray(ask("web.service.consul", Type.SRV, edns=1232))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_query(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    except FormatError:
        return
