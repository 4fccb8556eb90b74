"""Replies as bytes: counts, compression, truncation, EDNS."""

from hypothesis import given
from hypothesis import strategies as st

from catalog.dns.wire.encode import Answer, Reply, encode_error, encode_reply
from catalog.dns.wire.name import encode_name
from catalog.dns.wire.query import Rcode, Type, read_query
from catalog.dns.wire.record import Record, Soa, address_record, name_record, soa_record, srv_record
from tests.fakes.dns_asker import ask, hear

WEB = encode_name("web.service.consul")
SOA = soa_record(encode_name("consul"), Soa(), 5)


def srv(number: int) -> Answer:
    target = encode_name(f"n{number}.node.dc1.consul")
    return Answer(srv_record(WEB, 1, 80, target, 0), (address_record(target, bytes([10, 0, 0, number]), 0),))


def encoded(
    reply: Reply, limit: int = 512, *, edns: int = 0, compress: bool = True, name: str = "web.service.consul"
) -> bytes:
    query = read_query(ask(name, Type.SRV, edns=edns))
    return encode_reply(query, reply, limit, recursive=False, compress=compress)


def test_sections_are_what_was_given() -> None:
    """Each extra stands once, owners are pointers, an SRV target is not (RFC 2782)."""
    twice = Answer(srv(1).record, (*srv(1).extras, *srv(1).extras))
    data = encoded(Reply(answers=[twice, srv(2)], authority=(SOA,)))
    heard = hear(data)
    assert heard.data == ["1 1 80 n1.node.dc1.consul.", "1 1 80 n2.node.dc1.consul."]
    assert [row.owner for row in heard.additional] == ["n1.node.dc1.consul.", "n2.node.dc1.consul."]
    assert heard.authority[0].data == "ns.consul. hostmaster.consul. 5 3600 600 86400 0"
    assert data.count(b"\x02n1\x04node\x03dc1\x06consul\0") == 1
    assert data.count(b"\x03web") == 1


def test_compression_can_be_switched_off() -> None:
    """Consul's `disable_compression`."""
    reply = Reply(answers=[srv(1)], authority=(SOA,))
    plain = encoded(reply, compress=False)
    assert len(plain) > len(encoded(reply))
    assert plain.count(b"\x03web") == 2
    assert hear(plain) == hear(encoded(reply))


def test_answers_that_do_not_fit_are_left_out_and_it_is_said() -> None:
    """RFC 2181 9: TC, and nothing after the answers; never a byte over the limit."""
    heard = hear(encoded(Reply(answers=[srv(number) for number in range(40)])))
    assert heard.truncated
    assert 5 < len(heard.answers) < 40
    assert heard.additional == []


def test_extras_that_do_not_fit_are_no_truncation() -> None:
    """Additional records are a courtesy."""
    heard = hear(encoded(Reply(answers=[srv(number) for number in range(10)])))
    assert not heard.truncated
    assert len(heard.answers) == 10
    assert len(heard.additional) < 10


def test_edns_is_answered_with_edns() -> None:
    """RFC 6891 6.1.1: an OPT exactly if the query had one; the upper bits of the code stand in it."""
    assert hear(encoded(Reply(), edns=1232)).additional[-1].type == "OPT"
    assert hear(encoded(Reply())).additional == []
    refused = hear(encoded(Reply(Rcode.BADVERS), edns=1232))
    assert (refused.rcode, refused.additional[-1].ttl_s >> 24) == (0, 1)


def test_errors_are_about_queries_alone() -> None:
    """A header is enough for one; a response and a shorter message get silence."""
    heard = hear(encode_error(ask("a.b", number=9) + b"rest", Rcode.FORMERR) or b"")
    assert (heard.id, heard.rcode, heard.question) == (9, 1, "")
    assert encode_error(ask("a.b", flags=0x8100), Rcode.FORMERR) is None
    assert encode_error(b"\0" * 11, Rcode.FORMERR) is None


LABEL = st.sampled_from([b"a", b"b", b"consul", b"A", b"x" * 63])
NAME = st.lists(LABEL, max_size=3).map(lambda labels: b"".join(bytes((len(x),)) + x for x in labels) + b"\0")
RECORD = st.builds(lambda owner, name: name_record(owner, Type.CNAME, name, 1), NAME, NAME)


@given(st.lists(RECORD, max_size=30), st.integers(512, 2000), st.booleans())
def test_whatever_is_written_reads_the_same(records: list[Record], limit: int, compress: bool) -> None:
    """Compressed or not, what fitted is what was given, in its order and letter case, within the limit."""
    data = encoded(Reply(answers=[Answer(record) for record in records]), limit, compress=compress)
    heard = hear(data)
    plain = hear(encoded(Reply(answers=[Answer(record) for record in records]), 65535, compress=False))
    assert len(data) <= limit
    assert heard.answers == plain.answers[: len(heard.answers)]
    assert heard.truncated == (len(heard.answers) < len(records))
