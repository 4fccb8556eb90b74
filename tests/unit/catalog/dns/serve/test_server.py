"""The server on real sockets: what is answered, what is bounded, what it survives."""

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from catalog.dns.answer.answers import Answers
from catalog.dns.answer.directory import NotHeldError
from catalog.dns.answer.responder import Responder
from catalog.dns.answer.settings import DnsSettings
from catalog.dns.serve.listen import DnsListener, listen_dns
from catalog.dns.serve.recursor import Recursors, receive_message
from catalog.dns.serve.server import DnsLimits, DnsServer, Fill
from catalog.dns.wire.query import Query, Rcode, Type
from tests.fakes.dns_asker import Heard, Rows, ask, endpoint, hear, host, rows_of
from tests.fakes.dns_upstream import addresses, upstream

MANY = rows_of({"web": [endpoint(host(f"n{number}", f"10.0.0.{number}")) for number in range(100)]})


class Lazy(Rows):
    """A directory that must be filled first."""

    def __init__(self) -> None:
        super().__init__()
        self.held: set[str] = set()
        self.filled: list[str] = []
        self.away = False

    def service(self, name: str) -> list[Any]:
        if name == "fault":
            raise RuntimeError("nobody foresaw this")
        if name not in self.held:
            raise NotHeldError(name)
        return MANY.service(name)

    async def fill(self, what: str) -> bool:
        await trio.lowlevel.checkpoint()
        self.filled.append(what)
        if self.away:
            return False
        if what != "never":
            self.held.add(what)
        return True


@asynccontextmanager
async def serving(
    rows: Rows = MANY,
    *,
    fill: Fill | None = None,
    limits: DnsLimits | None = None,
    where: str = "127.0.0.1",
    **settings: Any,
) -> AsyncIterator[DnsListener]:
    made = DnsSettings(**settings)
    responder = Responder(made, Answers(made, rows, lambda items: None, rows), lambda: 77.0)
    recursors = Recursors(made.recursors, 0.2) if made.recursors else None
    server = DnsServer(responder, recursors, fill, limits or DnsLimits())
    with listen_dns(f"{where}:0") as listener:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run, listener)
            yield listener
            nursery.cancel_scope.cancel()


def port_of(listener: DnsListener) -> int:
    return int(listener.udp.getsockname()[1])


async def by_udp(listener: DnsListener, data: bytes, host_: str = "127.0.0.1") -> Heard | None:
    family = trio.socket.AF_INET6 if ":" in host_ else trio.socket.AF_INET
    with trio.socket.socket(family, trio.socket.SOCK_DGRAM) as sock:
        await sock.connect((host_, port_of(listener)))
        await sock.send(data)
        with trio.move_on_after(1):
            return hear(await sock.recv(65535))
    return None


async def by_tcp(listener: DnsListener, *queries: bytes) -> list[Heard]:
    stream = await trio.open_tcp_stream("127.0.0.1", port_of(listener))
    async with stream:
        await stream.send_all(b"".join(len(query).to_bytes(2, "big") + query for query in queries))
        found = []
        for _ in queries:
            data = await receive_message(stream, 65535)
            assert data is not None
            found.append(hear(data))
        return found


@pytest.mark.parametrize(("where", "asked"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("[::]", "::1")])
async def test_udp_answers_from_where_it_was_asked(where: str, asked: str) -> None:
    """Also on all addresses: an asker takes no answer from another one."""
    async with serving(where=where) as listener:
        got = await by_udp(listener, ask("web.service.consul", edns=4096), asked)
        assert got is not None
        assert len(got.answers) == 100


async def test_tcp_answers_what_is_sent_at_once_in_order() -> None:
    """RFC 7766 6.2.1.1: pipelining."""
    async with serving() as listener:
        got = await by_tcp(listener, *[ask("web.service.consul", Type.SRV, number=number) for number in range(5)])
        assert [(one.id, len(one.answers)) for one in got] == [(number, 100) for number in range(5)]


async def test_nonsense_gets_an_error_or_silence_and_harms_nobody() -> None:
    async with serving() as listener:
        got = await by_udp(listener, ask("web.service.consul")[:-3])
        assert got is not None
        assert got.rcode == Rcode.FORMERR
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            await sock.connect(("127.0.0.1", port_of(listener)))
            for data in (b"", b"x", ask("web.service.consul", flags=0x8000), b"\xff" * 4096):
                await sock.send(data)
            await sock.send(ask("web.service.consul", number=3))
            assert hear(await sock.recv(4096)).id == 3


async def test_tcp_connections_end(autojump_clock: trio.abc.Clock) -> None:
    """One that says nothing in time, says half, announces too much, or sends a response, is closed."""
    async with serving(limits=DnsLimits(idle_s=5)) as listener:
        for sent in (b"", b"\0\x20half", b"\xff\xff", b"\0\x0c" + b"\0\1\x80" + b"\0" * 9):
            stream = await trio.open_tcp_stream("127.0.0.1", port_of(listener))
            async with stream:
                if sent:
                    await stream.send_all(sent)
                with trio.fail_after(6):
                    assert await stream.receive_some(10) == b""


async def test_tcp_connections_are_few() -> None:
    """In all, and from one address; a place is free again when one ends."""
    for limits in (DnsLimits(connections=2), DnsLimits(connections_per_address=2)):
        async with serving(limits=limits) as listener:
            first = await trio.open_tcp_stream("127.0.0.1", port_of(listener))
            async with first, await trio.open_tcp_stream("127.0.0.1", port_of(listener)):
                third = await trio.open_tcp_stream("127.0.0.1", port_of(listener))
                async with third:
                    with contextlib.suppress(trio.BrokenResourceError):  # reset is as good
                        assert await third.receive_some(1) == b""
                await first.aclose()
                await trio.testing.wait_all_tasks_blocked(0.02)
                assert len(await by_tcp(listener, ask("web.service.consul"))) == 1


async def test_what_is_not_held_is_fetched_first() -> None:
    """Over UDP and TCP; what cannot be had is SERVFAIL, and so is what does not stay."""
    rows = Lazy()
    async with serving(rows, fill=rows.fill) as listener:
        got = await by_udp(listener, ask("web.service.consul"))
        assert got is not None
        assert (len(got.answers), rows.filled) == (3, ["web"])
        never = await by_udp(listener, ask("never.service.consul"))
        assert never is not None
        assert never.rcode == Rcode.SERVFAIL
        rows.away = True
        assert (await by_tcp(listener, ask("db.service.consul")))[0].rcode == Rcode.SERVFAIL
    async with serving(Lazy()) as listener:
        assert (await by_tcp(listener, ask("web.service.consul")))[0].rcode == Rcode.SERVFAIL


async def test_waiting_askers_are_few() -> None:
    """Beyond the bound a datagram is let fall; those that can be answered at once are not concerned."""
    rows = Lazy()
    rows.held.add("web")
    gate = trio.Event()

    async def fill(what: str) -> bool:
        await gate.wait()
        return await rows.fill(what)

    async with serving(rows, fill=fill, limits=DnsLimits(waiting=1)) as listener, trio.open_nursery() as nursery:
        answered: list[Heard | None] = []

        async def first() -> None:
            answered.append(await by_udp(listener, ask("slow.service.consul")))

        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked(0.02)
        with trio.move_on_after(0.1):
            assert await by_udp(listener, ask("other.service.consul")) is None
        assert await by_udp(listener, ask("web.service.consul")) is not None
        gate.set()
    assert answered[0] is not None


async def test_a_fault_costs_one_answer(caplog: pytest.LogCaptureFixture) -> None:
    """It is SERVFAIL and a line in the log, over UDP and TCP; the server lives."""
    async with serving(Lazy()) as listener:
        with caplog.at_level(logging.ERROR):
            got = await by_udp(listener, ask("fault.service.consul"))
        assert got is not None
        assert got.rcode == Rcode.SERVFAIL
        assert "could not be answered" in caplog.text
        assert (await by_tcp(listener, ask("fault.service.consul")))[0].rcode == Rcode.SERVFAIL
        assert await by_udp(listener, ask("consul", Type.SOA)) is not None


async def test_other_names_are_asked_of_the_recursors() -> None:
    """Their answer comes back as it is; without one, SERVFAIL with RA."""
    async with upstream(addresses(b"\1\2\3\4")) as server, serving(recursors=(server.address,)) as listener:
        for got in (await by_udp(listener, ask("example.com")), (await by_tcp(listener, ask("example.com")))[0]):
            assert got is not None
            assert (got.data, got.id) == (["1.2.3.4"], 7)
    async with serving(recursors=("127.0.0.1:1",)) as listener:
        lost = await by_udp(listener, ask("example.com"))
        assert lost is not None
        assert lost.flags & 0x008F == 0x0082


async def test_an_answer_that_is_too_long_for_its_asker_is_cut() -> None:
    """A recursor that sends more than was asked for does not make us send it."""

    def long(query: Query, *, over_tcp: bool) -> Sequence[bytes]:
        return addresses(*[bytes([10, 0, 1, number]) for number in range(60)])(query, over_tcp=True)

    async with upstream(long) as server, serving(recursors=(server.address,)) as listener:
        got = await by_udp(listener, ask("example.com"))
        assert got is not None
        assert (got.truncated, got.answers) == (True, [])


async def test_an_alias_outside_is_resolved() -> None:
    """CNAME and address in one answer; the CNAME alone when the recursors do not know."""
    rows = rows_of({"db": [endpoint(host("n", "10.0.0.1"), "db", "db.example.com")]})
    async with upstream(addresses(b"\1\2\3\4")) as server, serving(rows, recursors=(server.address,)) as listener:
        for kind in (Type.A, Type.ANY):
            got = await by_udp(listener, ask("db.service.consul", kind))
            assert got is not None
            assert [(row.owner, row.data) for row in got.answers] == [
                ("db.service.consul.", "db.example.com."),
                ("db.example.com.", "1.2.3.4"),
            ]
    async with serving(rows, recursors=("127.0.0.1:1",)) as listener:
        got = await by_udp(listener, ask("db.service.consul"))
        assert got is not None
        assert got.data == ["db.example.com."]
