"""A request to the application: permit first, who calls told, cut at the deadline, and never more than was announced."""

import pytest
import trio

from mesh.model.intention import Action
from mesh.proxy.link import Link
from mesh.wire.trunk import Trunk
from mesh.wire.trunk_frames import ALPN, encode_fields, encode_request
from tests.fakes.mesh_world import App, Keeper, Owner, callee, connect_tls, hear, ok, open_inbound, say

GET = b"GET /a HTTP/1.1\r\nhost: api\r\n\r\n"


async def start(nursery: trio.Nursery, answer: object = ok) -> App:
    app = App(answer)  # type: ignore[arg-type]
    await nursery.start(app.serve)
    return app


async def test_the_caller_is_told_and_its_own_claims_are_taken_away(nursery: trio.Nursery) -> None:
    """X-Forwarded-Client-Cert is ours: one line with the caller's URI; what the caller wrote there does not pass."""
    app = await start(nursery)
    async with open_inbound(app.port) as (inbound, side):
        tls = await connect_tls(inbound.port, "web")
        lie = b"GET /a HTTP/1.1\r\nhost: api\r\nx-forwarded-client-cert: URI=spiffe://evil\r\n\r\n"
        assert (await say(tls, lie)).startswith(b"HTTP/1.1 200 ")
        tls.close()
        head = app.requests[0].lower()
        assert b"evil" not in head
        assert head.count(b"x-forwarded-client-cert:") == 1
        assert b"uri=spiffe://test.linkspan/ns/default/dc/dc1/svc/web" in head
        assert len(side.log.lines) == 1
        assert b'"decision":"allow"' in side.log.lines[0]


async def test_a_denied_request_never_reaches_the_application(nursery: trio.Nursery) -> None:
    """It gets 403, is counted as denied, and the application sees no connection."""
    app = await start(nursery)
    async with open_inbound(app.port) as (inbound, side):
        tls = await connect_tls(inbound.port, "stranger")
        assert (await say(tls, GET)).startswith(b"HTTP/1.1 403 ")
        tls.close()
        assert (app.connections, app.requests) == (0, [])
        assert b'"decision":"deny"' in side.log.lines[0]
        assert side.metrics.denied.child("stranger", "api").value == 1


async def test_a_deadline_without_an_answer_is_504(nursery: trio.Nursery) -> None:
    """The caller's own deadline is kept: its request is answered 504 and the application's connection is not used again."""
    app = await start(nursery, lambda request: None)
    async with open_inbound(app.port) as (inbound, _):
        tls = await connect_tls(inbound.port, "web")
        tls.send(b"GET /a HTTP/1.1\r\nhost: api\r\nx-linkspan-deadline-ms: 900\r\n\r\n")
        while not app.requests:
            await trio.lowlevel.checkpoint()
        inbound.on_sweep(inbound.ring.time_s() + 2)
        assert (await hear(tls)).startswith(b"HTTP/1.1 504 ")
        tls.close()
        assert inbound.live == {}


async def test_a_malformed_answer_is_502(nursery: trio.Nursery) -> None:
    """What is no HTTP never reaches the caller."""
    app = await start(nursery, lambda request: b"NONSENSE\r\n\r\n")
    async with open_inbound(app.port) as (inbound, _):
        tls = await connect_tls(inbound.port, "web")
        assert (await say(tls, GET)).startswith(b"HTTP/1.1 502 ")
        tls.close()


async def test_a_dead_kept_connection_is_tried_again_only_for_idempotent_methods(nursery: trio.Nursery) -> None:
    """The application closes a kept connection as it is used: a GET goes out again on a new one, a POST is 502."""
    app = await start(nursery, lambda request: b"" if len(app.requests) in {2, 4} else ok(request))
    async with open_inbound(app.port) as (inbound, _):
        tls = await connect_tls(inbound.port, "web")
        assert (await say(tls, GET)).startswith(b"HTTP/1.1 200 ")
        assert (await say(tls, GET)).startswith(b"HTTP/1.1 200 ")
        assert app.connections == 2
        post = b"POST /a HTTP/1.1\r\nhost: api\r\ncontent-length: 0\r\n\r\n"
        assert (await say(tls, post)).startswith(b"HTTP/1.1 502 ")
        assert len(app.requests) == 4
        tls.close()


async def test_a_changed_policy_cuts_what_is_under_way(nursery: trio.Nursery) -> None:
    """A live request whose caller is denied by the new policy is answered 403 and counted as revoked."""
    app = await start(nursery, lambda request: None)
    async with open_inbound(app.port) as (inbound, side):
        tls = await connect_tls(inbound.port, "web")
        tls.send(GET)
        while not app.requests:
            await trio.lowlevel.checkpoint()
        inbound.on_snapshot(callee(action=Action.DENY))
        assert (await hear(tls)).startswith(b"HTTP/1.1 403 ")
        tls.close()
        assert b'"decision":"revoked"' in side.log.lines[0]
        assert side.metrics.revoked.child("web", "api").value == 1


@pytest.mark.parametrize("pieces", [[b"abc"], []], ids=["body", "no body"])
async def test_trailers_that_come_before_the_application_is_reached_are_sent(pieces: list[bytes]) -> None:
    """The request ends while the application is still dialled: its trailers follow the last chunk all the same."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with open_inbound(listeners[0].socket.getsockname()[1]) as (inbound, _):
        tls = await connect_tls(inbound.port, "web", ALPN)
        link = Link(inbound.ring, tls, Trunk(is_dialler=True), Keeper())
        stream = link.trunk.open_http(encode_request(b"POST", b"/a", encode_fields([(b"host", b"api")])), end=False)
        stream.owner = owner = Owner()
        for piece in pieces:
            link.trunk.out.send_data(stream, piece)
        link.trunk.out.send_end(stream, encode_fields([(b"x-sum", b"7")]))
        link.touch()
        got = b""
        async with await listeners[0].accept() as app:
            with trio.fail_after(2):
                while not got.endswith(b"0\r\nx-sum: 7\r\n\r\n"):
                    got += await app.receive_some()
                await app.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                while not owner.heard:
                    await trio.lowlevel.checkpoint()
        assert (
            got.partition(b"\r\n\r\n")[2]
            == b"".join(b"3\r\n%b\r\n" % piece for piece in pieces) + b"0\r\nx-sum: 7\r\n\r\n"
        )
        link.close("end")
    await listeners[0].aclose()
