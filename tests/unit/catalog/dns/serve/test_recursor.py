"""Recursors: in order, in time, and only what was asked is believed."""

from collections.abc import Sequence

import pytest
import trio

from catalog.dns.serve.recursor import Recursors, parse_recursor, receive_message
from catalog.dns.wire.query import Query, Rcode, Type, read_query
from catalog.dns.wire.response import question_of
from tests.fakes.dns_asker import ask, hear
from tests.fakes.dns_upstream import addresses, silent_address, upstream

QUERY = read_query(ask("Host.example", number=77))
ONE = b"\x01\x02\x03\x04"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
        ("[2001:db8::1]:54", ("2001:db8::1", 54)),
    ],
)
def test_a_recursor_is_an_address(text: str, address: tuple[str, int]) -> None:
    assert parse_recursor(text) == address


@pytest.mark.parametrize(
    "text", ["", "dns.example", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:70000", "[::1", "[::1]x", "1:2:3"]
)
def test_what_is_no_recursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="DNS server"):
        parse_recursor(text)


async def test_the_answer_comes_back_with_the_askers_id() -> None:
    """Letter case kept; the id that goes out is another one."""
    async with upstream(addresses(ONE)) as server:
        got = hear(await Recursors([server.address]).ask(QUERY, over_tcp=False) or b"")
        assert (got.id, got.question, got.data) == (77, "Host.example.", ["1.2.3.4"])
        assert server.asked[0][0].name == QUERY.name
        assert await Recursors([server.address]).ask(read_query(ask("a.b", edns=1232)), over_tcp=False)
        assert server.asked[1][0].payload_bytes == 1232


async def test_they_are_asked_in_order() -> None:
    """One that is silent or refuses is passed over; the next one's answer counts."""
    sock, silent = silent_address()
    async with upstream(addresses(rcode=Rcode.REFUSED)) as refusing, upstream(addresses(ONE)) as good:
        recursors = Recursors([silent, refusing.address, good.address], timeout_s=0.05)
        got = hear(await recursors.ask(QUERY, over_tcp=False) or b"")
        assert (got.data, len(refusing.asked), len(good.asked)) == (["1.2.3.4"], 1, 1)
        refused = hear(await Recursors([refusing.address, silent], timeout_s=0.05).ask(QUERY, over_tcp=False) or b"")
        assert refused.rcode == Rcode.REFUSED
        assert await Recursors([silent], timeout_s=0.05).ask(QUERY, over_tcp=False) is None
    sock.close()


async def test_nobody_there_is_no_answer() -> None:
    """A port where nobody listens refuses at once."""
    sock, address = silent_address()
    sock.close()
    assert await Recursors([address]).ask(QUERY, over_tcp=True) is None


async def test_forged_answers_are_let_fall() -> None:
    """Another id, another name; the true one behind them counts (RFC 5452)."""

    def forging(query: Query, *, over_tcp: bool) -> Sequence[bytes]:
        true = addresses(ONE)(query, over_tcp=over_tcp)[0]
        return [bytes([true[0] ^ 1]) + true[1:], true.replace(b"Host", b"Hose"), true[:9], true]

    async with upstream(forging) as server:
        assert hear(await Recursors([server.address]).ask(QUERY, over_tcp=False) or b"").data == ["1.2.3.4"]


async def test_what_is_cut_is_asked_again_over_tcp() -> None:
    """For an asker over TCP; one over UDP gets the cut answer and comes again by itself."""
    many = addresses(*[bytes([10, 0, 1, number]) for number in range(60)])
    async with upstream(many) as server:
        recursors = Recursors([server.address])
        assert hear(await recursors.ask(QUERY, over_tcp=False) or b"").truncated
        assert len(hear(await recursors.ask(QUERY, over_tcp=True) or b"").answers) == 60
        assert server.kinds == [(Type.A, False), (Type.A, False), (Type.A, True)]


async def test_a_name_of_our_own_is_resolved() -> None:
    async with upstream(addresses(ONE)) as server:
        response = await Recursors([server.address]).resolve(question_of(QUERY.name, Type.A))
        assert response is not None
        assert response.answers[0].data == ONE

    def torn(query: Query, *, over_tcp: bool) -> Sequence[bytes]:
        return [addresses(ONE)(query, over_tcp=over_tcp)[0][:-3]]

    async with upstream(torn) as server:
        assert await Recursors([server.address]).resolve(question_of(QUERY.name, Type.A)) is None


async def test_few_ask_at_once() -> None:
    """Beyond the bound there is no answer, at once; a place is free again afterwards."""
    sock, silent = silent_address()
    recursors = Recursors([silent], timeout_s=0.05, concurrent=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: recursors.ask(QUERY, over_tcp=False))
        await trio.testing.wait_all_tasks_blocked()
        before_s = trio.current_time()
        assert await recursors.ask(QUERY, over_tcp=False) is None
        assert trio.current_time() - before_s < 0.04
    sock.close()
    async with upstream(addresses(ONE)) as server:
        recursors = Recursors([server.address], concurrent=1)
        assert await recursors.ask(QUERY, over_tcp=False)
        assert await recursors.ask(QUERY, over_tcp=False)


@pytest.mark.parametrize(
    ("sent", "message"),
    [(b"\0\3abc", b"abc"), (b"\0\0", b""), (b"\0\3ab", None), (b"", None), (b"\0", None), (b"\1\0", None)],
)
async def test_a_message_has_its_length_in_front(sent: bytes, message: bytes | None) -> None:
    """RFC 1035 4.2.2; torn, or longer than the bound, it is none."""
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(sent)
    await theirs.send_eof()
    assert await receive_message(ours, 100) == message
