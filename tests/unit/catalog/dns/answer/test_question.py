"""The table of names: what each one is about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.dns.answer.question import Kind, Lookup, Zones, read_reverse
from catalog.dns.answer.settings import DnsSettings
from catalog.dns.wire.name import encode_name, name_of
from catalog.dns.wire.query import Type

ZONES = Zones(DnsSettings(alt_domain="mesh.test."))
CONSUL, ALT = encode_name("consul"), encode_name("mesh.test")


def read(text: str, kind: Type = Type.A) -> tuple[str, str, str]:
    found = ZONES.read(encode_name(text), kind)
    return str(found.kind), found.name, found.tag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web.service.consul", ("service", "web", "")),
        ("WEB.Service.CONSUL", ("service", "web", "")),
        ("web.service.dc1.consul", ("service", "web", "")),
        ("web.service.dc1.dc.consul", ("service", "web", "")),
        ("web.service.default.ns.default.ap.dc1.dc.consul", ("service", "web", "")),
        ("v1.web.service.consul", ("service", "web", "v1")),
        ("v1.2.web.service.dc1.consul", ("service", "web", "v1.2")),
        ("_web._tcp.service.consul", ("service", "web", "")),
        ("_Web._TCP.service.consul", ("service", "web", "")),
        ("_web._amqp.service.dc1.consul", ("service", "web", "amqp")),
        ("_web._v1.service.dc1.dc.consul", ("service", "web", "v1")),
        ("node.service.consul", ("service", "node", "")),
        ("web.connect.consul", ("connect", "web", "")),
        ("web.ingress.dc1.dc.consul", ("ingress", "web", "")),
        ("web.virtual.consul", ("virtual", "web", "")),
        ("web.virtual.default.ns.consul", ("virtual", "web", "")),
        ("n1.node.consul", ("node", "n1", "")),
        ("n1.example.com.node.dc1.consul", ("node", "n1.example.com", "")),
        ("service.node.consul", ("node", "service", "")),
        ("near.query.consul", ("query", "near", "")),
        ("a.b.query.dc1.dc.consul", ("query", "a.b", "")),
        ("_near._tcp.query.consul", ("query", "near", "")),
        ("0a000001.addr.consul", ("addr", "", "")),
        ("web.service.mesh.test", ("service", "web", "")),
        ("consul", ("apex", "", "")),
        ("mesh.test", ("apex", "", "")),
        ("service.consul", ("between", "", "")),
        ("_tcp.service.consul", ("between", "", "")),
        ("node.dc1.consul", ("between", "", "")),
        ("dc1.consul", ("between", "", "")),
        ("dc.consul", ("between", "", "")),
        ("dc1.dc.consul", ("between", "", "")),
        ("web.consul", ("nothing", "", "")),
        ("web.service.dc2.consul", ("nothing", "", "")),
        ("web.service.dc2.dc.consul", ("nothing", "", "")),
        ("web.service.dc1.dc.dc1.dc.consul", ("nothing", "", "")),
        ("web.service.dc1.dc1.consul", ("nothing", "", "")),
        ("web.service.other.ns.consul", ("nothing", "", "")),
        ("web.service.far.peer.consul", ("nothing", "", "")),
        ("web.service.all.sg.consul", ("nothing", "", "")),
        ("web.virtual.far.consul", ("nothing", "", "")),
        ("0a00001.addr.consul", ("nothing", "", "")),
        ("0a00000g.addr.consul", ("nothing", "", "")),
        ("x.0a000001.addr.consul", ("nothing", "", "")),
        ("service.dc2.consul", ("nothing", "", "")),
        ("example.com", ("outside", "", "")),
        ("notconsul", ("outside", "", "")),
        ("test", ("outside", "", "")),
        ("", ("outside", "", "")),
    ],
)
def test_a_name_says_what_it_is_about(text: str, expected: tuple[str, str, str]) -> None:
    """Consul's forms; letter case is nothing; one datacenter, default namespace and partition, no peers."""
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("_web._tcp.consul", ("service", "web", "")),
        ("_web._v1.dc1.dc.consul", ("service", "web", "v1")),
        ("_web._v1.dc2.consul", ("nothing", "", "")),
        ("_tcp.consul", ("nothing", "", "")),
    ],
)
def test_srv_names_may_leave_service_out(text: str, expected: tuple[str, str, str]) -> None:
    """`_<service>._<protocol>[.service]` in Consul's documentation, for SRV alone."""
    assert read(text, Type.SRV) == expected
    assert read(text, Type.A)[0] == "nothing"


def test_the_answer_is_in_the_domain_that_was_asked() -> None:
    assert ZONES.read(encode_name("web.service.consul"), Type.A).zone == CONSUL
    assert ZONES.read(encode_name("web.service.Mesh.test"), Type.A).zone == ALT


def test_the_longer_domain_counts() -> None:
    zones = Zones(DnsSettings(domain="test", alt_domain="mesh.test"))
    assert zones.read(encode_name("web.service.mesh.test"), Type.A).zone == ALT


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("1.0.0.10.in-addr.arpa", b"\x0a\0\0\1"),
        ("1." + "0." * 31 + "ip6.arpa", b"\0" * 15 + b"\1"),
        ("F.E." + "0." * 30 + "IP6.arpa", b"\0" * 15 + b"\xef"),
        ("0.0.10.in-addr.arpa", b""),
        ("1.0.0.256.in-addr.arpa", b""),
        ("1.0.0.1x.in-addr.arpa", b""),
        ("1.0.0.\u0661.in-addr.arpa", b""),
        ("ab." + "0." * 31 + "ip6.arpa", b""),
        ("g." + "0." * 31 + "ip6.arpa", b""),
        ("1.0.0.10.ip6.arpa", b""),
    ],
)
def test_the_reverse_tree_names_addresses(text: str, packed: bytes) -> None:
    """RFC 1035 3.5 and RFC 3596 2.5; what is no whole address is not ours."""
    found = ZONES.read(encode_name(text), Type.PTR)
    assert found == (Lookup(Kind.POINTER, packed=packed, zone=CONSUL) if packed else Lookup(Kind.OUTSIDE))
    assert ZONES.read(encode_name(text), Type.A).kind is Kind.OUTSIDE


def test_hexadecimal_addresses_are_read() -> None:
    found = ZONES.read(encode_name("20010DB8000000000000000000000001.addr.dc1.consul"), Type.AAAA)
    assert found.packed == bytes.fromhex("20010db8000000000000000000000001")


@given(
    st.lists(
        st.one_of(st.sampled_from([b"service", b"dc1", b"dc", b"_tcp", b"arpa"]), st.binary(min_size=1, max_size=5)),
        max_size=40,
    )
)
def test_any_name_is_about_something(labels: list[bytes]) -> None:
    """Also with bytes that are no text; 255 bytes are the codec's bound."""
    name = b"".join(bytes((len(label),)) + label for label in [*labels[:30], b"consul"]) + b"\0"
    assert isinstance(ZONES.read(name, Type.SRV).kind, Kind)
    assert name_of([b"a"]) == b"\1a\0"
    assert isinstance(read_reverse([label.decode("utf-8", "surrogateescape") for label in labels]), bytes)
