"""A call and its attempts: elsewhere after a failure, within the budget, never after a byte of the answer, never past its time."""

from typing import Any

import pytest
import trio

from mesh.proxy.link import Link
from mesh.wire.trunk_events import Opened
from mesh.wire.trunk_frames import Code, decode_fields, encode_fields
from tests.fakes.mesh_world import HTTP_ALPN, Owner, caller, connect, dead_port, foreign, instances, open_outbound

GET = b"GET /a HTTP/1.1\r\nhost: api\r\n\r\n"
BLOCK = encode_fields([(b"content-length", b"2")])


def answer(link: Link, event: Opened) -> None:
    """200 with two bytes."""
    link.trunk.out.send_answer(event.stream, 200, BLOCK, b"ok")
    link.touch()


def hang(link: Link, event: Opened) -> None:
    """Nothing."""


def reset_with(code: Code) -> Any:
    def serve(link: Link, event: Opened) -> None:
        link.reset(event.stream, code)

    return serve


def begin_and_break(link: Link, event: Opened) -> None:
    """The head of an answer, then a reset."""
    link.trunk.out.send_head(event.stream, 200, encode_fields([(b"content-length", b"9")]), end=False)
    link.trunk.out.send_data(event.stream, b"abc")
    link.touch()
    link.flush()
    link.reset(event.stream, Code.BROKEN)


async def ask(port: int, request: bytes = GET) -> bytes:
    stream = await connect(port)
    async with stream:
        await stream.send_all(request)
        return await stream.receive_some()


async def test_a_request_goes_over_a_trunk_and_its_answer_comes_back() -> None:
    """The head as the application wrote it, with a trace and what time is left beside it."""
    async with instances(answer) as (one,), open_outbound(caller(one.port)) as (outbound, side):
        text = await ask(outbound.ports["api"])
        assert text.startswith(b"HTTP/1.1 200 ")
        assert text.endswith(b"\r\n\r\nok")
        request = one.keeper.opened[0].request
        assert request is not None
        assert (request.method, request.target) == (b"GET", b"/a")
        assert 0 < request.timeout_ms <= 15_000
        assert len(request.trace) == 55
        assert len(side.log.lines) == 1


async def test_a_failed_connect_is_tried_elsewhere() -> None:
    """Of two instances one is dead: every call succeeds, whatever its method, and the retry is counted."""
    async with instances(answer) as (one,), open_outbound(caller(one.port, dead_port())) as (outbound, side):
        for _ in range(8):
            post = b"POST /a HTTP/1.1\r\nhost: api\r\ncontent-length: 0\r\n\r\n"
            assert (await ask(outbound.ports["api"], post)).startswith(b"HTTP/1.1 200 ")
        assert 0 < side.metrics.retries.child("api").value <= 8


async def test_an_empty_budget_refuses_the_retry() -> None:
    """Retries stop at the budget: the call fails after its first attempt, and that is counted."""
    async with open_outbound(caller(dead_port(), dead_port())) as (outbound, side):
        budget, now_s = outbound.directory.service("api").budget, outbound.ring.time_s()
        budget.request(now_s)
        while budget.withdraw(now_s):
            pass
        assert (await ask(outbound.ports["api"])).startswith(b"HTTP/1.1 503 ")
        assert side.metrics.retries_refused.child("api").value == 1
        assert side.metrics.retries.child("api").value == 0


async def test_nothing_is_tried_again_after_the_first_byte() -> None:
    """The answer breaks in its midst: the application sees it cut short, and no second instance is asked."""
    async with (
        instances(begin_and_break, begin_and_break) as (one, two),
        open_outbound(caller(one.port, two.port)) as (outbound, side),
    ):
        stream = await connect(outbound.ports["api"])
        text = b""
        async with stream:
            await stream.send_all(GET)
            while chunk := await stream.receive_some():
                text += chunk
        assert text.startswith(b"HTTP/1.1 200 ")
        assert text.endswith(b"\r\n\r\nabc")
        assert text.count(b"HTTP/1.1") == 1
        assert len(one.keeper.opened) + len(two.keeper.opened) == 1
        assert side.metrics.retries.child("api").value == 0


async def test_a_reset_is_tried_again_only_for_idempotent_methods() -> None:
    """A reset may follow real work: a GET goes elsewhere, a POST is 502."""
    broken = reset_with(Code.BROKEN)
    async with instances(broken, broken) as (one, two), open_outbound(caller(one.port, two.port)) as (outbound, _):
        assert (await ask(outbound.ports["api"])).startswith(b"HTTP/1.1 502 ")
        assert (len(one.keeper.opened), len(two.keeper.opened)) == (1, 1)
        post = b"POST /a HTTP/1.1\r\nhost: api\r\ncontent-length: 0\r\n\r\n"
        assert (await ask(outbound.ports["api"], post)).startswith(b"HTTP/1.1 502 ")
        assert len(one.keeper.opened) + len(two.keeper.opened) == 3


async def test_a_denial_is_403_and_final() -> None:
    """Policy said no: no other instance is asked."""
    no = reset_with(Code.DENIED)
    async with instances(no, no) as (one, two), open_outbound(caller(one.port, two.port)) as (outbound, side):
        assert (await ask(outbound.ports["api"])).startswith(b"HTTP/1.1 403 ")
        assert len(one.keeper.opened) + len(two.keeper.opened) == 1
        assert b'"decision":"deny"' in side.log.lines[0]


async def test_a_malformed_answer_is_502() -> None:
    """A head that may not pass is answered for: 502, recorded as malformed."""

    def lie(link: Link, event: Opened) -> None:
        link.trunk.out.send_answer(event.stream, 200, encode_fields([(b"bad name", b"x")]), b"ok")
        link.touch()

    async with instances(lie) as (one,), open_outbound(caller(one.port, retries=0)) as (outbound, side):
        assert (await ask(outbound.ports["api"])).startswith(b"HTTP/1.1 502 ")
        assert b'"decision":"malformed"' in side.log.lines[0]


async def test_the_deadline_is_504_and_resets_the_stream() -> None:
    """The application gets its 504, the peer a reset, and nothing is left of the call."""
    async with (
        instances(hang) as (one,),
        open_outbound(caller(one.port)) as (outbound, _),
        trio.open_nursery() as tasks,
    ):
        texts: list[bytes] = []

        async def call() -> None:
            texts.append(await ask(outbound.ports["api"]))

        tasks.start_soon(call)
        while not one.keeper.opened:
            await trio.lowlevel.checkpoint()
        outbound.on_sweep(outbound.ring.time_s() + 16)
        while one.keeper.opened[0].stream.is_open or not texts:
            await trio.lowlevel.checkpoint()
        assert texts[0].startswith(b"HTTP/1.1 504 ")
        assert outbound.live == {}


async def test_without_instances_a_call_is_503() -> None:
    """There is nothing to choose from, and the application is told so."""
    async with open_outbound(caller()) as (outbound, _):
        assert (await ask(outbound.ports["api"])).startswith(b"HTTP/1.1 503 ")


UPLOAD = b"POST /a HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"
EMPTY_UPLOAD = UPLOAD.replace(b"3\r\nabc\r\n", b"")


class Taker(Owner):
    """Takes a request whole and then answers it, or breaks it."""

    def __init__(self, link: Link, event: Opened, ends: Any) -> None:
        super().__init__()
        self.heard.append(("open", bytes(event.body), event.end))
        self._link, self._event, self._ends = link, event, ends
        event.stream.owner = self
        if event.end:
            ends(link, event)

    def on_data(self, data: Any, *, end: bool) -> None:
        super().on_data(data, end=end)
        if end:
            self._ends(self._link, self._event)

    def on_end(self, block: bytes) -> None:
        super().on_end(block)
        self._ends(self._link, self._event)


@pytest.mark.parametrize(("request_", "body"), [(UPLOAD, b"abc"), (EMPTY_UPLOAD, b"")], ids=["body", "no body"])
async def test_trailers_that_come_before_the_trunk_are_sent(request_: bytes, body: bytes) -> None:
    """The request ends while the instance is still dialled: body, trailers and end arrive all the same."""
    takers: list[Taker] = []

    def take(link: Link, event: Opened) -> None:
        takers.append(Taker(link, event, answer))

    async with instances(take) as (one,), open_outbound(caller(one.port)) as (outbound, _):
        assert (await ask(outbound.ports["api"], request_)).startswith(b"HTTP/1.1 200 ")
        heard = takers[0].heard
        assert heard[0] == ("open", body, False)
        assert decode_fields(heard[-1][1]) == [(b"x-sum", b"7")]


async def test_trailers_are_sent_again_with_their_body() -> None:
    """A retry carries what the first attempt did, trailers included."""
    takers: list[Taker] = []

    def refuse_first(link: Link, event: Opened) -> None:
        first = not takers
        takers.append(Taker(link, event, reset_with(Code.REFUSED) if first else answer))

    async with (
        instances(refuse_first, refuse_first) as (one, two),
        open_outbound(caller(one.port, two.port)) as (outbound, _),
    ):
        assert (await ask(outbound.ports["api"], UPLOAD)).startswith(b"HTTP/1.1 200 ")
        assert len(takers) == 2
        for taker in takers:
            assert taker.heard[0][1] == b"abc"
            assert decode_fields(taker.heard[-1][1]) == [(b"x-sum", b"7")]


async def test_trailers_reach_a_peer_without_trunks() -> None:
    """They are written behind the last chunk, also when they came before the connection."""
    got = b""

    async def talk(tls: trio.SSLStream[Any]) -> None:
        nonlocal got
        while data := await tls.receive_some():
            got += data
            if got.endswith(b"x-sum: 7\r\n\r\n"):
                await tls.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with foreign(talk, HTTP_ALPN) as port, open_outbound(caller(port)) as (outbound, _):
        with trio.fail_after(2):
            assert (await ask(outbound.ports["api"], UPLOAD)).startswith(b"HTTP/1.1 200 ")
        assert got.endswith(b"\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n")
