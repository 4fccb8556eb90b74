"""The server: nothing leaks when clients hang up, bounds hold, certificates are replaced, a stop is graceful."""

import gc
import logging
import os
import socket
from typing import Any

import pytest
import trio

from catalog.api.http.serve import (
    DEFAULT_LIMITS,
    Limits,
    Listener,
    NotLoopbackError,
    Server,
    listen,
    listen_plain,
    split_bind,
)
from mesh.model.identity import Kind
from mesh.wire.http1.host import HostRule
from tests.fakes.catalog_site import Site, open_site

BLOCKING = b"GET /v1/health/service/web?index=%d&wait=600s HTTP/1.1\r\nHost: localhost\r\n\r\n"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, no paths


async def connect(site: Site) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", site.port)


async def until(condition: Any, seconds: float = 5.0) -> None:
    """Wait for what another task does; there is no event for it, since the code under test must not know the test."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - see above
            await trio.sleep(0.002)


async def test_hung_up_long_polls_leave_nothing() -> None:
    """50 clients go in the middle of their wait: no task, no descriptor, no connection, no waiter stays."""
    async with open_site(everyone_operates=True) as site:
        await site.register("n1", Service={"Service": "web"})
        index = await site.index_of("/v1/health/service/web")
        await site.client.aclose()
        await until(lambda: site.server.connections == 0)
        gc.collect()
        tasks, open_before = trio.lowlevel.current_statistics().tasks_living, descriptors()
        for _ in range(2):
            streams = [await connect(site) for _ in range(50)]
            for stream in streams:
                await stream.send_all(BLOCKING % index)
            await until(lambda: len(site.api.parking) == 50)
            assert site.engine.waiting == 50
            for stream in streams:
                await stream.aclose()
            await until(lambda: site.server.connections == 0)
            assert len(site.api.parking) == 0
            assert site.engine.waiting == 0
            assert descriptors() <= open_before
            assert trio.lowlevel.current_statistics().tasks_living <= tasks


async def test_an_abrupt_end_leaves_nothing_either() -> None:
    """A reset instead of a close."""
    async with open_site(everyone_operates=True) as site:
        await site.register("n1", Service={"Service": "web"})
        index = await site.index_of("/v1/health/service/web")
        stream = await connect(site)
        await stream.send_all(BLOCKING % index)
        await until(lambda: len(site.api.parking) == 1)
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)
        await stream.aclose()
        await until(lambda: len(site.api.parking) == 0)


async def test_a_hang_up_behind_a_second_request_is_seen_too() -> None:
    """A client that pipelines a request behind its long poll and goes: nobody reads its end, so it is looked for."""
    async with open_site(everyone_operates=True, limits=Limits(sweep_s=0.05)) as site:
        await site.register("n1", Service={"Service": "web"})
        index = await site.index_of("/v1/health/service/web")
        stays, goes = await connect(site), await connect(site)
        for stream in (stays, goes):
            await stream.send_all(BLOCKING % index * 3)
        await until(lambda: len(site.api.parking) == 2)
        await goes.aclose()
        await until(lambda: len(site.api.parking) == 1)
        await trio.sleep(0.2)
        assert len(site.api.parking) == 1
        await stays.aclose()


@pytest.mark.parametrize(
    ("host", "status"), [("localhost:8500", 200), ("consul:8500", 200), ("evil.example", 403), ("", 403)]
)
async def test_a_page_of_another_name_reaches_nothing(host: str, status: int) -> None:
    """DNS rebinding: the plain port answers to loopback's names and those that were allowed; the refusal says how."""
    async with open_site(everyone_operates=True, allowed_hosts=("consul",)) as site:
        answer = await site.get("/v1/status/leader", headers={"Host": host})
        assert answer.status_code == status
        assert ("not a name that this port answers to" in answer.text) == (status == 403)


async def test_other_doors_answer_to_any_name() -> None:
    """The mesh port asks for a certificate, and a Unix socket is out of a browser's reach."""
    async with open_site() as site, site.member(await site.leaf(Kind.NODE, "vm1")) as client:
        assert (await client.get("/v1/catalog/nodes", headers={"Host": "other"})).status_code == 200
    with socket.socket(socket.AF_UNIX) as local, socket.socket() as tcp:
        assert Listener(local).plain_connection.hosts is None
        assert Listener(tcp).plain_connection.hosts == HostRule()


async def test_one_address_holds_so_many_connections() -> None:
    """The next one gets 429 and a text; when one goes, there is room again."""
    limits = Limits(connections_per_address=3)
    async with open_site(everyone_operates=True, limits=limits) as site:
        streams = [await connect(site) for _ in range(3)]
        await until(lambda: site.server.connections == 3)
        extra = await connect(site)
        answer = await extra.receive_some(4096)
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"Too many connections" in answer
        assert await extra.receive_some(1) == b""
        await extra.aclose()
        await streams[0].aclose()
        await until(lambda: site.server.connections == 2)
        assert (await site.get("/v1/status/leader")).status_code == 200
        assert site.server.refused == 1
        for stream in streams:
            await stream.aclose()


async def test_a_head_that_does_not_come_is_not_waited_for() -> None:
    """A connection that is opened, or that sends its head byte by byte, is closed after `idle_s`."""
    async with open_site(everyone_operates=True, limits=Limits(idle_s=0.1)) as site:
        silent, slow = await connect(site), await connect(site)
        await slow.send_all(b"GET /v1/status")
        with trio.fail_after(2):
            assert await silent.receive_some(1) == b""
            assert await slow.receive_some(1) == b""
        await silent.aclose()
        await slow.aclose()


async def test_a_handshake_that_does_not_come_is_not_waited_for() -> None:
    async with open_site(limits=Limits(handshake_s=0.1)) as site:
        port = int(site.mesh_address.rpartition(":")[2])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        with trio.fail_after(2):
            assert await stream.receive_some(1) == b""
        await stream.aclose()


async def test_a_probe_of_the_mesh_port_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """A kubelet connects and goes, every few seconds for ever; who says something and fails is logged."""
    async with open_site() as site:
        port = int(site.mesh_address.rpartition(":")[2])
        with caplog.at_level("DEBUG", "catalog.api.http.serve"):
            for said, linger in ((b"", 0), (b"", 1), (b"\x16\x03\x01", 0)):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                if said:
                    await stream.send_all(said)
                if linger:  # a reset instead of a close
                    stream.socket.setsockopt(
                        trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
                    )
                await stream.aclose()
            await until(lambda: len(caplog.records) == 3 and site.server.connections == 0)
    assert sorted(record.levelname for record in caplog.records) == ["DEBUG", "DEBUG", "INFO"]


async def test_nonsense_on_the_mesh_port_hurts_nobody() -> None:
    async with open_site() as site:
        port = int(site.mesh_address.rpartition(":")[2])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(2):
            while await stream.receive_some(100):
                pass
        await stream.aclose()
        async with site.member(await site.leaf(Kind.NODE, "vm1")) as client:
            assert (await client.get("/v1/catalog/nodes")).status_code == 200


async def serial(site: Site) -> str:
    """The serial number of the certificate that the mesh port shows now."""
    host, _, port = site.mesh_address.rpartition(":")
    stream = await trio.open_ssl_over_tcp_stream(host, int(port), ssl_context=site.mesh_context(None))
    async with stream:
        await stream.do_handshake()
        return str(stream.getpeercert()["serialNumber"])


async def test_the_certificate_is_replaced_while_it_serves() -> None:
    """The next handshake shows the new one; connections that stand are not disturbed."""
    async with open_site() as site, site.member(await site.leaf(Kind.NODE, "vm1")) as client:
        assert (await client.get("/v1/catalog/nodes")).status_code == 200
        before = await serial(site)
        assert await serial(site) == before
        site.certificate.renew()
        after = await serial(site)
        assert after != before
        assert after == site.certificate.leaf.serial
        assert (await client.get("/v1/catalog/nodes")).status_code == 200


async def test_a_stop_accepts_no_more_and_ends_what_runs() -> None:
    """New connections are refused, idle ones closed; what does not end is cut after `graceful_s`."""
    async with open_site(everyone_operates=True, limits=Limits(graceful_s=0.2)) as site:
        idle = await connect(site)
        half = await connect(site)
        await half.send_all(b"PUT /v1/catalog/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        await until(lambda: site.server.connections == 2)
        site.stop.set()
        with trio.fail_after(3):
            assert await idle.receive_some(1) == b""
            while await half.receive_some(100):
                pass
        with pytest.raises(OSError, match="connect"):
            await connect(site)
        await idle.aclose()
        await half.aclose()


async def test_a_peer_that_does_not_read_holds_up_no_stop() -> None:
    """The server below would wait for it without end, and a stop would end in SIGKILL."""

    async def huge(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 50_000_000})

    listener, stop, ended = listen_plain("127.0.0.1:0"), trio.Event(), trio.Event()
    server = Server(huge, [listener], Limits(graceful_s=0.2))

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        await server.run(stop, task_status=task_status)
        ended.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        lazy = await trio.open_tcp_stream("127.0.0.1", int(listener.address.rpartition(":")[2]))
        await lazy.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await lazy.receive_some(1)
        stop.set()
        with trio.fail_after(5):
            await ended.wait()
        await trio.aclose_forcefully(lazy)


async def test_http_2_is_not_offered() -> None:
    """One request a connection at a time: a hung-up stream is a hung-up connection."""
    async with open_site() as site:
        host, _, port = site.mesh_address.rpartition(":")
        context = site.mesh_context(None)
        context.set_alpn_protocols(["h2", "http/1.1"])
        stream = await trio.open_ssl_over_tcp_stream(host, int(port), ssl_context=context)
        async with stream:
            await stream.do_handshake()
            assert stream.selected_alpn_protocol() == "http/1.1"


async def test_http_2_unasked_reaches_no_handler() -> None:
    """Neither by an upgrade: hundreds of requests on one connection would escape the bounds on connections."""
    upgrade = (
        b"GET /v1/status/leader HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    )
    async with open_site(everyone_operates=True) as site:
        stream = await connect(site)
        await stream.send_all(upgrade)
        await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        got = b""
        with trio.move_on_after(1):
            while b"505" not in got and (part := await stream.receive_some(4096)):
                got += part
        assert b"8300" not in got
        await stream.aclose()


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "192.0.2.1:8500", "[::]:0", "example.org:8500", ":8500"])
def test_the_plain_port_stays_on_loopback(bind: str) -> None:
    with pytest.raises(NotLoopbackError, match="loopback only"):
        listen_plain(bind)


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "localhost:0", "127.9.9.9:0"])
def test_loopback_addresses_are_listened_on(bind: str) -> None:
    listener = listen_plain(bind)
    assert listener.address.startswith("127.")
    listener.socket.close()


@pytest.mark.parametrize("text", ["127.0.0.1", "host:port", "host:70000", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address to listen on"):
        split_bind(text)


def test_addresses_of_version_6_are_split() -> None:
    assert split_bind("[::1]:8500") == ("::1", 8500)


def test_a_taken_port_is_told() -> None:
    first = listen("127.0.0.1:0")
    with pytest.raises(OSError, match="in use"):
        listen(Listener(first).address)
    first.close()


async def test_one_failing_handler_is_logged_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An error that nobody foresaw: 500 without its text; the log has it; the next request is served."""
    async with open_site(everyone_operates=True) as site:
        site.api.leader = object()  # type: ignore[assignment]  # cannot be printed as JSON
        answer = await site.get("/v1/status/leader")
        assert (answer.status_code, answer.text) == (500, "internal error: see the catalog's log")
        assert "GET /v1/status/leader failed" in caplog.text
        assert (await site.get("/v1/catalog/nodes")).status_code == 200


async def test_many_requests_share_one_connection() -> None:
    """Kept alive, in order."""
    async with open_site(everyone_operates=True) as site:
        for _ in range(20):
            assert (await site.get("/v1/status/leader")).status_code == 200
        assert site.server.connections == 1


async def test_a_rejected_request_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    """A token may stand in it, however malformed it is; who sent it, and with what status it ended, is said."""
    caplog.set_level(logging.DEBUG)
    async with open_site(everyone_operates=True) as site:
        stream = await connect(site)
        await stream.send_all(b"GET /v1/kv/a?token=5ec7e7\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 400 " in await stream.receive_some()
        await stream.aclose()
    assert "5ec7e7" not in caplog.text
    assert "127.0.0.1" in caplog.text
    assert "(400)" in caplog.text


async def test_an_answer_that_nobody_takes_is_given_up() -> None:
    """It is memory: a peer that reads nothing of it for a while is a peer that is gone."""

    async def huge(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 50_000_000})

    listener, stop = listen_plain("127.0.0.1:0"), trio.Event()
    server = Server(huge, [listener], Limits(silent_s=0.5))
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run, stop)
        lazy = await trio.open_tcp_stream("127.0.0.1", int(listener.address.rpartition(":")[2]))
        await lazy.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: server.connections == 1)
        await until(lambda: server.connections == 0)
        stop.set()
        await trio.aclose_forcefully(lazy)


def test_the_bounds_are_what_the_design_says() -> None:
    """Heads of 60 KiB; 2,000 connections an address."""
    assert (DEFAULT_LIMITS.head_bytes, DEFAULT_LIMITS.connections_per_address) == (60 * 1024, 2000)
