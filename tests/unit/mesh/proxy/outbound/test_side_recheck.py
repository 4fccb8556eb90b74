"""Whom we call is judged for as long as we are connected: revoked, expired or not meant any more, it is cut, counted and told."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from mesh.model.snapshot import Local, Snapshot
from mesh.proxy.link import Link
from mesh.wire.trunk_events import Opened
from mesh.wire.trunk_frames import encode_fields
from tests.fakes.authority import TRUST_DOMAIN, Authority
from tests.fakes.mesh_world import (
    AUTHORITY,
    HTTP_ALPN,
    NETWORK,
    caller,
    connect,
    foreign,
    identity,
    instances,
    open_outbound,
)

GET = b"GET /a HTTP/1.1\r\nhost: api\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def revoking(snapshot: Snapshot, service: str = "api") -> Snapshot:
    """The same with the certificate of a service revoked."""
    return replace(snapshot, roots=AUTHORITY.roots(index=2, revoked_serials=(identity(service).leaf.serial,)))


def elsewhere(snapshot: Snapshot) -> Snapshot:
    """The same in a datacenter whose services have other names."""
    return replace(snapshot, local=Local("web", NETWORK, "dc9", TRUST_DOMAIN))


def expired(snapshot: Snapshot) -> Snapshot:
    """The same; the caller turns its clock."""
    return replace(snapshot)


def answer(link: Link, event: Opened) -> None:
    link.trunk.out.send_answer(event.stream, 200, encode_fields([(b"content-length", b"2")]), b"ok")
    link.touch()


def hang(link: Link, event: Opened) -> None:
    """Nothing."""


async def until(holds: Callable[[], Any]) -> None:
    with trio.fail_after(2):
        while not holds():
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("protocol", ["http", "tcp"])
@pytest.mark.parametrize(
    ("change", "text"),
    [(revoking, "is revoked"), (elsewhere, "who is meant now"), (expired, "expired")],
    ids=["revoked", "another name", "expired"],
)
async def test_a_trunk_to_who_is_acceptable_no_more_is_cut(
    change: Callable[[Snapshot], Snapshot], text: str, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its streams end at once, it is counted and logged; nothing goes there again."""
    async with instances(hang) as (one,):
        snapshot = caller(one.port, protocol=protocol, retries=0)
        async with open_outbound(snapshot) as (outbound, side):
            async with await connect(outbound.ports["api"]) as stream:
                await stream.send_all(GET)
                await until(lambda: one.keeper.opened)
                assert not one.keeper.closed
                if change is expired:
                    end_s = identity("api").leaf.not_after_s
                    side.parts.wall_clock = lambda: end_s + 1
                    outbound.on_sweep(outbound.ring.time_s() + 2)
                else:
                    outbound.on_snapshot(change(snapshot))
                if protocol == "http":
                    assert (await stream.receive_some()).startswith(b"HTTP/1.1 502 ")
                else:
                    with pytest.raises(trio.BrokenResourceError):
                        await stream.receive_some()
            await until(lambda: one.keeper.closed)
            assert side.metrics.revoked.child("web", "api").value == 1
            assert "cut a connection to api: " in caplog.text
            assert text in caplog.text
            again = await connect(outbound.ports["api"])
            await again.send_all(GET)
            await until(lambda: any(b"could not be reached" in line for line in side.log.lines))
            assert len(one.keeper.opened) == 1
            await again.aclose()


async def test_other_peers_keep_their_trunks() -> None:
    """A change of revocations that is not about them cuts nobody, and an unchanged snapshot asks nobody."""
    async with instances(answer) as (one,), open_outbound(caller(one.port)) as (outbound, side):
        async with await connect(outbound.ports["api"]) as stream:
            for change in (lambda one: one, lambda one: revoking(one, "stranger")):
                await stream.send_all(GET)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
                outbound.on_snapshot(change(caller(one.port)))
            await stream.send_all(GET)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
        assert len(one.links) == 1
        assert side.metrics.revoked.child("web", "api").value == 0


async def test_a_trunk_that_was_retired_is_judged_as_well() -> None:
    """The endpoint is gone from the catalog, its last stream still runs: a revoked certificate ends that too."""
    async with instances(hang) as (one,):
        snapshot = caller(one.port, protocol="tcp")
        async with open_outbound(snapshot) as (outbound, side):
            async with await connect(outbound.ports["api"]) as stream:
                await stream.send_all(b"x")
                await until(lambda: one.keeper.opened)
                gone = replace(snapshot, endpoints={})
                outbound.on_snapshot(gone)
                await until(lambda: one.keeper.leaving)
                assert not one.keeper.closed
                outbound.on_snapshot(revoking(gone))
                with pytest.raises(trio.BrokenResourceError):
                    await stream.receive_some()
            assert side.metrics.revoked.child("web", "api").value == 1


async def test_connections_to_peers_without_trunks_are_cut() -> None:
    """One kept and one with a request under way: both are closed, the request is answered 502."""

    async def talk(tls: trio.SSLStream[Any]) -> None:
        while request := await tls.receive_some():
            if b"/hang" not in request:
                await tls.send_all(ANSWER)

    async with foreign(talk, HTTP_ALPN) as port, open_outbound(caller(port, retries=0)) as (outbound, side):
        busy, kept = await connect(outbound.ports["api"]), await connect(outbound.ports["api"])
        await busy.send_all(GET.replace(b"/a", b"/hang"))
        await until(lambda: outbound.live)
        await kept.send_all(GET)
        assert (await kept.receive_some()).startswith(b"HTTP/1.1 200 ")
        outbound.on_snapshot(revoking(caller(port, retries=0)))
        assert (await busy.receive_some()).startswith(b"HTTP/1.1 502 ")
        assert side.metrics.revoked.child("web", "api").value == 2
        await kept.send_all(GET)
        assert (await kept.receive_some()).startswith(b"HTTP/1.1 503 ")
        await busy.aclose()
        await kept.aclose()


async def test_streams_to_peers_without_trunks_are_cut() -> None:
    """A TLS connection of its own is reset, recorded as revoked."""

    async def talk(tls: trio.SSLStream[Any]) -> None:
        while data := await tls.receive_some():
            await tls.send_all(data)

    snapshot = caller(1, protocol="tcp", retries=0)
    async with foreign(talk) as port, open_outbound(caller(port, protocol="tcp", retries=0)) as (outbound, side):
        async with await connect(outbound.ports["api"]) as stream:
            await stream.send_all(b"echo")
            assert await stream.receive_some() == b"echo"
            outbound.on_snapshot(revoking(replace(snapshot, endpoints=caller(port).endpoints)))
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        assert side.metrics.revoked.child("web", "api").value == 1
        assert b'"decision":"revoked"' in side.log.lines[0]


async def test_a_root_that_is_gone_takes_trunks_along(caplog: pytest.LogCaptureFixture) -> None:
    """A trunk whose peer's certificate was verified by a root that left the bundle is cut; one more root cuts nothing."""
    added = Authority(common_name="added").roots()
    async with (
        instances(answer) as (one,),
        open_outbound(caller(one.port)) as (outbound, _),
        await connect(outbound.ports["api"]) as stream,
    ):
        await stream.send_all(GET)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
        [peer] = outbound.directory._peers.values()
        links = tuple(peer._links)
        assert links
        both = replace(added, index=2, roots=(*added.roots, *AUTHORITY.roots().roots))
        for roots in (both, replace(added, index=3)):
            assert not any(link.is_closed for link in links)
            outbound._parts.identity.replace(roots=roots)
            outbound.on_snapshot(replace(caller(one.port), roots=roots))
        assert all(link.is_closed for link in links)
    assert "is trusted no more" in caplog.text
