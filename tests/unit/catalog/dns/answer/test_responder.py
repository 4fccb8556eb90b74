"""Bytes to bytes: what is answered, refused, cut, passed on, and met with silence."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.dns.answer.answers import Answers
from catalog.dns.answer.responder import Forward, Responder
from catalog.dns.answer.settings import DnsSettings
from catalog.dns.wire.name import encode_name, text_of
from catalog.dns.wire.query import Rcode, Type
from tests.fakes.dns_asker import Heard, Rows, ask, endpoint, hear, host, rows_of

MANY = rows_of({"web": [endpoint(host(f"n{number}", f"10.0.0.{number}")) for number in range(100)]})


def responder(rows: Rows = MANY, **settings: Any) -> Responder:
    made = DnsSettings(**settings)
    return Responder(made, Answers(made, rows, lambda items: None, rows), lambda: 77.0)


def heard(data: bytes, *, over_tcp: bool = False, **settings: Any) -> Heard:
    result = responder(**settings).respond(data, over_tcp=over_tcp)
    assert isinstance(result, bytes)
    return hear(result)


def test_an_answer_is_authoritative_and_says_what_was_asked() -> None:
    """Id, RD and the question with its letter case come back; RA only with recursors."""
    got = heard(ask("Web.Service.Consul", number=4711))
    assert (got.id, got.question, got.flags) == (4711, "Web.Service.Consul.", 0x8500)
    assert heard(ask("web.service.consul", flags=0), recursors=("192.0.2.1",)).flags == 0x8480


def test_udp_without_edns_gives_three() -> None:
    """No TC bit, unless `enable_truncate`; the bound can be moved and lifted."""
    plain = ask("web.service.consul")
    got = heard(plain)
    assert (len(got.answers), got.truncated) == (3, False)
    assert heard(plain, enable_truncate=True).truncated
    assert len(heard(plain, udp_answer_limit=5).answers) == 5
    assert heard(plain, udp_answer_limit=0).truncated


def test_extras_are_those_of_the_answers_given() -> None:
    assert len(heard(ask("web.service.consul", Type.SRV)).additional) == 3


def test_edns_gives_what_fits() -> None:
    """All in 4,096 bytes; with TC in 512; never more than we send ourselves."""
    assert len(heard(ask("web.service.consul", edns=4096)).answers) == 100
    small = heard(ask("web.service.consul", edns=512))
    assert small.truncated
    assert 20 < len(small.answers) < 100
    result = responder().respond(ask("web.service.consul", Type.SRV, edns=65535), over_tcp=False)
    assert isinstance(result, bytes)
    assert len(result) <= 4096


def test_tcp_gives_all() -> None:
    got = heard(ask("web.service.consul", Type.SRV), over_tcp=True)
    assert (len(got.answers), len(got.additional), got.truncated) == (100, 100, False)


def test_tcp_has_a_bound_too() -> None:
    rows = rows_of({"web": [endpoint(host("n", "10.0.0.1"), port=number) for number in range(3000)]})
    result = responder(rows).respond(ask("web.service.consul", Type.SRV), over_tcp=True)
    assert isinstance(result, bytes)
    assert len(result) <= 65535
    assert hear(result).truncated


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (ask("example.com"), Rcode.REFUSED),
        (ask("version.bind", Type.TXT)[:-1] + b"\3", Rcode.REFUSED),
        (ask("web.service.consul")[:-1] + b"\3", Rcode.REFUSED),
        (ask("web.service.consul", Type.AXFR), Rcode.NOTIMP),
        (ask("web.service.consul", Type.IXFR), Rcode.NOTIMP),
        (ask("web.service.consul", flags=0x2800), Rcode.NOTIMP),
        (ask("web.service.consul", Type.OPT), Rcode.FORMERR),
        (ask("web.service.consul")[:-3], Rcode.FORMERR),
        (struct.pack("!HHHHHH", 5, 0x100, 0, 0, 0, 0), Rcode.FORMERR),
        (ask("1.0.0.in-addr.arpa", Type.PTR), Rcode.REFUSED),
    ],
)
def test_what_is_not_served_is_refused_with_its_code(data: bytes, rcode: Rcode) -> None:
    """Other names, classes, operations and zone transfers; what is no query. Never authoritative."""
    got = heard(data)
    assert got.rcode == rcode
    assert not got.flags & 0x0400


def test_another_version_of_edns_is_told_ours() -> None:
    """RFC 6891 6.1.3: BADVERS."""
    data = bytearray(ask("web.service.consul", edns=1232))
    data[-5] = 1
    got = heard(bytes(data))
    assert got.rcode | got.additional[-1].ttl_s >> 20 == Rcode.BADVERS


@pytest.mark.parametrize("data", [b"", b"\0" * 11, ask("web.service.consul", flags=0x8100), b"\xff" * 60])
def test_silence(data: bytes) -> None:
    """Shorter than a header, or a response: two servers must not answer each other for ever."""
    assert responder().respond(data, over_tcp=False) is None


def test_with_recursors_other_names_are_passed_on() -> None:
    """Also addresses that nobody here has; names of ours never."""
    served = responder(recursors=("192.0.2.1",))
    assert isinstance(served.respond(ask("example.com"), over_tcp=False), Forward)
    assert isinstance(served.respond(ask("9.9.9.9.in-addr.arpa", Type.PTR), over_tcp=False), Forward)
    assert isinstance(served.respond(ask("1.0.0.10.in-addr.arpa", Type.PTR), over_tcp=False), bytes)
    assert isinstance(served.respond(ask("nope.service.consul"), over_tcp=False), bytes)


def test_with_recursors_an_outside_alias_is_resolved() -> None:
    """For addresses; the name is where the last CNAME leads."""
    rows = rows_of({"db": [endpoint(host("n", "10.0.0.1"), "db", "db.example.com")]})
    served = responder(rows, recursors=("192.0.2.1",))
    result = served.respond(ask("db.service.consul"), over_tcp=False)
    assert isinstance(result, Forward)
    assert (text_of(result.name), len(result.reply.answers) if result.reply else 0) == ("db.example.com.", 1)
    assert isinstance(served.respond(ask("db.service.consul", Type.CNAME), over_tcp=False), bytes)
    assert isinstance(responder(rows).respond(ask("db.service.consul"), over_tcp=False), bytes)


def test_a_failure_is_said() -> None:
    """SERVFAIL with the question; about what is no query, FORMERR's kin or silence."""
    failed = hear(responder().failure(ask("web.service.consul")) or b"")
    assert (failed.rcode, failed.question) == (2, "web.service.consul.")
    assert hear(responder().failure(ask("web.service.consul")[:14]) or b"").rcode == 2
    assert responder().failure(b"") is None


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_give_an_answer_or_silence(data: bytes, over_tcp: bool) -> None:
    result = responder().respond(data, over_tcp=over_tcp)
    if result is not None:
        assert isinstance(result, bytes)
        assert result[:2] == data[:2]
        assert result[2] & 0x80


NAMES = st.sampled_from(
    ["web.service.consul", "_web._tcp.service.consul", "n1.node.consul", "1.0.0.10.in-addr.arpa", "consul"]
)


@given(st.data(), NAMES)
def test_a_mangled_query_gives_an_answer_or_silence(data: st.DataObject, name: str) -> None:
    """Never an exception, never more bytes than the asker may get."""
    raw = bytearray(ask(name, data.draw(st.sampled_from(list(Type))), edns=data.draw(st.sampled_from([0, 512, 1232]))))
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    result = responder().respond(bytes(raw[: data.draw(st.integers(0, len(raw)))]), over_tcp=False)
    assert result is None or (isinstance(result, bytes) and 12 <= len(result) <= 4096)


def test_a_name_of_bytes_is_no_fault() -> None:
    """Labels may hold any byte; such a service is not known."""
    data = ask("x.service.consul").replace(b"\x01x", b"\x01\xff")
    assert heard(data).rcode == 3
    assert encode_name("\udcff") == b"\1\xff\0"
