"""The records of every kind of name, as Consul answers them."""

from typing import Any

import pytest

from catalog.dns.answer.answers import Answers
from catalog.dns.answer.directory import Found, HostEntry, place_of
from catalog.dns.answer.settings import DnsSettings
from catalog.dns.wire.encode import Reply, encode_reply
from catalog.dns.wire.name import encode_name
from catalog.dns.wire.query import Type, read_query
from catalog.dns.wire.record import Soa
from mesh.model.endpoint import Health
from tests.fakes.dns_asker import Heard, Rows, ask, endpoint, hear, host, rows_of

N1, N2 = host("n1", "10.0.0.1"), host("n2", "10.0.0.2", **{"rack": "7", "rfc1035-note": "bare"})
SIX = host("six", "2001:db8::6")
FAR = host("far", "host.example.com")
SOA = "ns.consul. hostmaster.consul. 77 3600 600 86400 0"


def heard(rows: Rows, name: str, kind: Type = Type.A, **settings: Any) -> Heard:
    """The whole reply, instances in the directory's order reversed: that is what `shuffle` did."""
    answers = Answers(DnsSettings(**settings), rows, lambda items: items.reverse(), rows)
    wire = encode_name(name)
    reply = answers.reply(answers.zones.read(wire, kind), wire, kind, 77.9)
    assert isinstance(reply, Reply)
    return hear(encode_reply(read_query(ask(name, kind)), reply, 65535, recursive=False))


def web(*more: Any) -> Rows:
    return rows_of({"web": [endpoint(N1), endpoint(N2, tags=["v2"]), *more]})


def test_a_service_has_the_addresses_of_its_instances() -> None:
    """In the order that randomness gave, under the name as asked; its own address before its node's."""
    rows = web(endpoint(N1, address="10.9.9.9"))
    got = heard(rows, "WEB.service.consul")
    assert [(row.owner, row.data) for row in got.answers] == [
        ("WEB.service.consul.", "10.9.9.9"),
        ("WEB.service.consul.", "10.0.0.2"),
        ("WEB.service.consul.", "10.0.0.1"),
    ]
    assert got.additional == []


def test_an_address_is_answered_once() -> None:
    """Two instances on a node are one A record, and two SRV records if their ports differ."""
    rows = rows_of({"web": [endpoint(N1), endpoint(N1, port=81), endpoint(N1, port=81, weight=9)]})
    assert heard(rows, "web.service.consul").data == ["10.0.0.1"]
    assert heard(rows, "web.service.consul", Type.SRV).data == [
        "1 1 80 n1.node.dc1.consul.",
        "1 9 81 n1.node.dc1.consul.",
    ]


def test_srv_names_the_node_and_brings_its_address() -> None:
    """With the node's meta under the node's name; `rfc1035-` meta bare."""
    got = heard(web(), "web.service.consul", Type.SRV)
    assert [row.data for row in got.answers] == ["1 1 80 n2.node.dc1.consul.", "1 1 80 n1.node.dc1.consul."]
    assert [(row.owner, row.type, row.data) for row in got.additional] == [
        ("n2.node.dc1.consul.", "A", "10.0.0.2"),
        ("n2.node.dc1.consul.", "TXT", "rack=7"),
        ("n2.node.dc1.consul.", "TXT", "bare"),
        ("n1.node.dc1.consul.", "A", "10.0.0.1"),
    ]
    assert {row.type for row in heard(web(), "web.service.consul", Type.SRV, node_meta_txt=False).additional} == {"A"}


@pytest.mark.parametrize(
    ("address", "target", "kind"),
    [("10.9.9.9", "0a090909", "A"), ("2001:db8::1", "20010db8000000000000000000000001", "AAAA")],
)
def test_srv_of_an_own_address_names_the_address(address: str, target: str, kind: str) -> None:
    """`<hex>.addr.dc1.consul`, which answers for itself."""
    rows = rows_of({"web": [endpoint(N1, address=address, weight=7)]})
    got = heard(rows, "web.service.consul", Type.SRV)
    assert got.data == [f"1 7 80 {target}.addr.dc1.consul."]
    assert [(row.owner, row.type) for row in got.additional] == [(f"{target}.addr.dc1.consul.", kind)]
    again = heard(rows, f"{target}.addr.dc1.consul", Type[kind])
    assert again.answers[0].data == got.additional[0].data
    assert heard(rows, f"{target}.addr.dc1.consul", Type.TXT).rcode == 0


def test_srv_of_an_outside_name_names_it() -> None:
    rows = rows_of({"db": [endpoint(N1, "db", "db.example.com", 5432)]})
    got = heard(rows, "db.service.consul", Type.SRV)
    assert (got.data, got.additional) == (["1 1 5432 db.example.com."], [])


def test_an_outside_name_is_a_cname_and_stands_alone() -> None:
    """RFC 2181 10.1: whichever instance comes first decides."""
    rows = rows_of({"db": [endpoint(N1, "db", "db.example.com"), endpoint(FAR, "db"), endpoint(N2, "db")]})
    assert heard(rows, "db.service.consul").data == ["10.0.0.2"]
    rows.services["db"].reverse()
    got = heard(rows, "db.service.consul")
    assert [(row.type, row.data) for row in got.answers] == [("CNAME", "db.example.com.")]
    assert heard(rows, "db.service.consul", Type.CNAME).data == ["db.example.com."]


def test_a_name_of_our_own_is_followed() -> None:
    """And a circle of them ends."""
    rows = web()
    rows.services["alias"] = [endpoint(N1, "alias", "web.service.consul")]
    rows.services["circle"] = [endpoint(N1, "circle", "circle.service.consul", 9)]
    got = heard(rows, "alias.service.consul")
    assert [(row.type, row.data) for row in got.answers] == [
        ("CNAME", "web.service.consul."),
        ("A", "10.0.0.2"),
        ("A", "10.0.0.1"),
    ]
    assert len(heard(rows, "circle.service.consul").answers) == 4
    srv = heard(rows, "alias.service.consul", Type.SRV)
    assert [row.data for row in srv.additional if row.type == "A"] == ["10.0.0.2", "10.0.0.1"]
    assert heard(rows, "circle.service.consul", Type.SRV).data == ["1 1 9 circle.service.consul."]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Type.A, ["10.0.0.1", "10.0.0.2"]),
        (Type.AAAA, ["2001:db8:0:0:0:0:0:6"]),
        (Type.ANY, ["10.0.0.1", "10.0.0.2", "2001:db8:0:0:0:0:0:6"]),
        (Type.TXT, ["10.0.0.1", "10.0.0.2", "2001:db8:0:0:0:0:0:6"]),
        (Type.NS, []),
        (Type.CNAME, []),
        (Type.PTR, []),
        (Type.SOA, []),
    ],
)
def test_each_type_has_its_records(kind: Type, data: list[str]) -> None:
    """TXT and ANY of a service give its addresses, as a Consul 1.21 does; other types none, with the SOA."""
    got = heard(web(endpoint(SIX)), "web.service.consul", kind)
    assert (got.rcode, got.data) == (0, data)
    assert [row.data for row in got.authority] == ([] if data else [SOA])


def test_tags_cut() -> None:
    rows = web()
    assert heard(rows, "V2.web.service.consul").data == ["10.0.0.2"]
    assert heard(rows, "_web._v2.service.consul", Type.SRV).data == ["1 1 80 n2.node.dc1.consul."]
    assert heard(rows, "v3.web.service.consul").rcode == 3


def test_critical_instances_are_hidden_and_warning_ones_if_asked() -> None:
    """Consul's `only_passing`."""
    rows = rows_of(
        {
            "web": [endpoint(N1, health=Health.WARNING), endpoint(N2, health=Health.CRITICAL)],
            "down": [endpoint(N2, health=Health.CRITICAL)],
        }
    )
    assert heard(rows, "web.service.consul").data == ["10.0.0.1"]
    assert heard(rows, "web.service.consul", only_passing=True).rcode == 3
    assert heard(rows, "down.service.consul").rcode == 3


@pytest.mark.parametrize(
    "name", ["nope.service.consul", "nope.consul", "nope.node.consul", "nope.query.consul", "web.service.dc2.consul"]
)
def test_what_there_is_not_is_nxdomain_with_the_soa(name: str) -> None:
    """RFC 2308: the SOA's minimum says how long that may be kept."""
    got = heard(web(), name, soa=Soa(min_ttl_s=5))
    assert (got.rcode, got.answers) == (3, [])
    assert [(row.owner, row.type, row.ttl_s) for row in got.authority] == [("consul.", "SOA", 5)]


def test_names_between_exist_without_records() -> None:
    """RFC 8020: NXDOMAIN would say that there is nothing below either."""
    for name in ("service.consul", "_tcp.service.consul", "dc1.consul"):
        got = heard(web(), name)
        assert (got.rcode, got.answers, got.authority[0].data) == (0, [], SOA)


def test_a_node_answers_whatever_its_health_is() -> None:
    """Its address, with its meta beside it; as answers to TXT and ANY."""
    rows = web()
    got = heard(rows, "n2.node.consul", node_ttl_s=8)
    assert [(row.data, row.ttl_s) for row in got.answers] == [("10.0.0.2", 8)]
    assert [(row.owner, row.data) for row in got.additional] == [
        ("n2.node.consul.", "rack=7"),
        ("n2.node.consul.", "bare"),
    ]
    assert heard(rows, "n2.node.consul", Type.TXT).data == ["bare", "rack=7"]
    assert heard(rows, "n2.node.consul", Type.ANY).data == ["10.0.0.2", "bare", "rack=7"]
    assert heard(rows, "n2.node.consul", node_meta_txt=False).additional == []
    assert (heard(rows, "n2.node.consul", Type.SRV).rcode, heard(rows, "n2.node.consul", Type.AAAA).data) == (0, [])


def test_a_node_may_have_a_name_or_nothing_for_an_address() -> None:
    rows = Rows()
    rows.hosts.update(far=FAR, void=HostEntry("void", place_of("")), long=HostEntry("long", place_of("x" * 70)))
    assert heard(rows, "far.node.consul").data == ["host.example.com."]
    for name in ("void.node.consul", "long.node.consul"):
        assert (heard(rows, name).rcode, heard(rows, name).answers) == (0, [])


def test_meta_that_is_no_attribute_is_quoted() -> None:
    """RFC 1464: `=` and the backquote in the name."""
    rows = Rows()
    rows.hosts["n3"] = HostEntry("n3", place_of("10.0.0.3"), "dc1", {"a=`": "b"})
    assert heard(rows, "n3.node.consul", Type.TXT).data == ["a`=``=b"]


def test_what_is_no_domain_name_is_not_a_target() -> None:
    """A node of 70 letters has no name in DNS: its instances have addresses, and no SRV."""
    rows = rows_of({"web": [endpoint(host("x" * 70, "10.0.0.3")), endpoint(N1)]})
    assert heard(rows, "web.service.consul", Type.SRV).data == ["1 1 80 n1.node.dc1.consul."]
    assert heard(rows, "web.service.consul").data == ["10.0.0.1", "10.0.0.3"]
    long = rows_of({"web": [endpoint(host(".".join(["x" * 60] * 4), "10.0.0.3"))]})
    assert heard(long, "web.service.consul", Type.SRV).answers == []


def test_sidecars_gateways_and_virtual_addresses() -> None:
    rows = web()
    rows.sidecars["web"] = [endpoint(N1, "web-sidecar-proxy", port=21000)]
    rows.gateways["web"] = [endpoint(N2, "ingress")]
    rows.virtuals["web"] = [place_of("240.0.0.1"), place_of("")]
    assert heard(rows, "web.connect.consul", Type.SRV).data == ["1 1 21000 n1.node.dc1.consul."]
    assert heard(rows, "web.ingress.consul").data == ["10.0.0.2"]
    assert heard(rows, "web.virtual.consul").data == ["240.0.0.1"]
    unknown = heard(rows, "x.virtual.consul")
    assert (unknown.rcode, unknown.answers) == (0, [])
    assert heard(rows, "x.connect.consul").rcode == heard(rows, "x.ingress.consul").rcode == 3


def test_a_prepared_query_keeps_its_order_and_says_its_ttl() -> None:
    """Without a TTL of its own, that of its service counts."""
    rows = web()
    rows.queries["near"] = Found([endpoint(N2), endpoint(N1)], 12)
    rows.queries["plain"] = Found([endpoint(N1)])
    rows.queries["none"] = Found([])
    assert [(row.data, row.ttl_s) for row in heard(rows, "near.query.consul").answers] == [
        ("10.0.0.2", 12),
        ("10.0.0.1", 12),
    ]
    assert heard(rows, "plain.query.consul", service_ttl_s={"web": 4}).answers[0].ttl_s == 4
    assert heard(rows, "none.query.consul").rcode == 3


def test_ttl_and_limit_of_answers() -> None:
    got = heard(web(), "web.service.consul", service_ttl_s={"*": 30}, a_record_limit=1)
    assert [(row.data, row.ttl_s) for row in got.answers] == [("10.0.0.2", 30)]


def test_an_address_leads_back_to_nodes_then_services() -> None:
    rows = rows_of({"web": [endpoint(N1, address="10.9.9.9"), endpoint(N2)]})
    assert heard(rows, "1.0.0.10.in-addr.arpa", Type.PTR).data == ["n1.node.dc1.consul."]
    assert heard(rows, "9.9.9.10.in-addr.arpa", Type.PTR).data == ["web.service.dc1.consul."]
    assert heard(rows, "8.9.9.10.in-addr.arpa", Type.PTR).rcode == 3


def test_the_domain_has_a_soa_and_name_servers() -> None:
    rows = rows_of(
        {"consul": [endpoint(N1, "consul"), endpoint(FAR, "consul"), *[endpoint(host("x" * 70, "10.0.0.3"), "consul")]]}
    )
    ns = heard(rows, "consul", Type.NS)
    assert ns.data == ["far.node.dc1.consul.", "n1.node.dc1.consul."]
    assert [(row.owner, row.data) for row in ns.additional] == [("n1.node.dc1.consul.", "10.0.0.1")]
    soa = heard(rows, "consul", Type.SOA)
    assert (soa.data, len(soa.authority), len(soa.additional)) == ([SOA], 2, 1)
    assert [row.type for row in heard(rows, "consul", Type.ANY).answers] == ["SOA", "NS", "NS"]
    nothing = heard(rows, "consul", Type.A)
    assert (nothing.rcode, nothing.answers, nothing.authority[0].data) == (0, [], SOA)
    assert heard(Rows(), "consul", Type.NS).authority[0].type == "SOA"


def test_no_more_than_three_name_servers() -> None:
    rows = rows_of({"consul": [endpoint(host(f"s{number}", f"10.0.0.{number}"), "consul") for number in range(9)]})
    assert len(heard(rows, "consul", Type.NS).answers) == 3


def test_targets_are_in_the_domain_that_was_asked() -> None:
    """Consul's `alt_domain`."""
    got = heard(web(), "web.service.mesh.test", Type.SRV, alt_domain="mesh.test")
    assert got.data == ["1 1 80 n1.node.dc1.mesh.test.", "1 1 80 n2.node.dc1.mesh.test."]
    assert heard(web(), "x.service.mesh.test", alt_domain="mesh.test").authority[0].owner == "mesh.test."
