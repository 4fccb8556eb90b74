"""What other servers say: believed only if it answers the question, whatever its bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.dns.wire.encode import Answer, Reply, encode_reply
from catalog.dns.wire.name import FormatError, encode_name
from catalog.dns.wire.query import HEADER, Type, read_query
from catalog.dns.wire.record import address_record, name_record, srv_record
from catalog.dns.wire.response import cut_to, encode_query, matches, question_of, read_response
from tests.fakes.dns_asker import ask, hear

NAME = encode_name("Host.example")
OTHER = encode_name("other.example")


def answered(sent: bytes, *answers: Answer) -> bytes:
    return encode_reply(read_query(sent), Reply(answers=answers), 65535, recursive=True)


def test_a_question_is_passed_on_without_its_options() -> None:
    """Flags, letter case and EDNS are kept; the id and the payload size are our own."""
    query = read_query(ask("Host.example", edns=600, flags=0x0110))
    passed = read_query(encode_query(query, 99, 1400))
    assert (passed.id, passed.flags, passed.question, passed.payload_bytes) == (99, 0x0110, query.question, 1400)
    assert encode_query(read_query(ask("a.b", number=1)), 1, 1400) == ask("a.b", number=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: b"\xff" + d[1:],
        lambda d: d[:2] + b"\1" + d[3:],
        lambda d: d.replace(b"Host", b"host"),
        lambda d: d[:20],
    ],
)
def test_only_what_was_asked_is_believed(change: object) -> None:
    """Another id, no response, another letter case, too short."""
    sent = ask("Host.example")
    data = answered(sent, Answer(address_record(NAME, bytes(4), 60)))
    assert matches(data, sent)
    assert callable(change)
    assert not matches(change(data), sent)


def test_a_chain_is_read() -> None:
    """CNAME and address with owners and TTL; records of unknown kinds are passed over."""
    sent = ask("Host.example")
    odd = address_record(NAME, bytes(4), 60)._replace(type=99)
    chain = (
        name_record(NAME, Type.CNAME, OTHER, 60),
        odd,
        address_record(OTHER, b"\1\2\3\4", 30),
        srv_record(OTHER, 1, 2, NAME, 3),
    )
    response = read_response(answered(sent, *map(Answer, chain)))
    assert response.answers == (chain[0], chain[2], chain[3])
    assert (response.id, response.rcode, response.truncated) == (7, 0, False)


def test_a_long_response_is_cut_to_its_question() -> None:
    """The asker is told to come again over TCP."""
    data = answered(ask("Host.example"), *[Answer(address_record(NAME, bytes([n] * 4), 0)) for n in range(100)])
    assert cut_to(data, len(data)) is data
    cut = hear(cut_to(data, 512))
    assert (cut.truncated, cut.question, cut.answers) == (True, "Host.example.", [])


def test_an_own_question_desires_recursion() -> None:
    assert read_query(encode_query(question_of(NAME, Type.AAAA), 3, 0)).type == Type.AAAA


@pytest.mark.parametrize("data", [b"", ask("a.b"), HEADER.pack(1, 0x8000, 1, 9, 0, 0) + b"\1a\0\0\1\0\1"])
def test_what_is_no_response_is_the_senders_fault(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_response(data)


@given(st.data())
def test_any_bytes_give_a_response_or_the_senders_error(data: st.DataObject) -> None:
    raw = bytearray(answered(ask("Host.example"), Answer(name_record(NAME, Type.CNAME, OTHER, 60))))
    for _ in range(data.draw(st.integers(0, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_response(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    except FormatError:
        return
