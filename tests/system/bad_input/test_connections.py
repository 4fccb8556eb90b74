"""Connections without measure: many of one address, slow ones, endless ones, ones that never read."""

import resource
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest

from tests.system.bad_input.target import Target, read_reply

pytestmark = pytest.mark.slow

MANY = 20_000
PER_ADDRESS = 2000
AT_ONCE = 200


@contextmanager
def descriptors(count: int) -> Iterator[int]:
    """So many descriptors for us, or as many as the system lets us have; how many connections fit into them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fitting = min(count + 500, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, fitting), hard))
    try:
        yield fitting - 500
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_twenty_thousand_connections_of_one_address(target: Target) -> None:
    """2,000 are held, the rest gets 429 and its end; other addresses are served meanwhile, and all is as before after."""
    with target.keeps_its_own(growth_kb=160 * 1024), descriptors(PER_ADDRESS + AT_ONCE), ExitStack() as opened:
        held: list[socket.socket] = []
        refused = 0
        for begun in range(0, MANY, AT_ONCE):
            fresh = [opened.enter_context(target.line()) for _ in range(AT_ONCE)]
            if begun < PER_ADDRESS:
                held += fresh
                continue
            for line in fresh:
                assert read_reply(line, 0).status == 429
                line.close()
                refused += 1
            if begun % 4000 == 0:
                served = target.ask("GET", "/v1/kv/nothing", source="127.0.0.2")
                assert (served.status, served.seconds < 5) == (404, True), served
        assert (len(held), refused) == (PER_ADDRESS, MANY - PER_ADDRESS)
        assert target.facts.descriptors < PER_ADDRESS + 100
        assert not select.select(held[:500], [], [], 0)[0]  # nobody was thrown out for another
        held[0].sendall(
            b"GET /v1/kv/nothing HTTP/1.1\r\nHost: localhost\r\nX-Consul-Token: %s\r\n\r\n" % _token(target)
        )
        assert read_reply(held[0], 0).status in {404, 403}


def _token(target: Target) -> bytes:
    return target.place.token.encode()


def test_slow_heads_and_slow_bodies_hold_up_nobody(target: Target) -> None:
    """1,000 heads and 500 bodies that come byte by byte: a call beside them is answered, and nothing of them stays."""
    with target.keeps_its_own(growth_kb=160 * 1024), ExitStack() as opened:
        heads = [opened.enter_context(target.line()) for _ in range(1000)]
        bodies = [opened.enter_context(target.line()) for _ in range(500)]
        for line in bodies:
            line.sendall(b"PUT /v1/kv/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n")
        for letter in b"GET /v":
            for line in (*heads, *bodies):
                line.sendall(bytes([letter]))
        assert target.ask("GET", "/v1/status/leader").seconds < 5
    assert target.ask("GET", "/v1/kv/slow").status == 404


def test_a_body_that_does_not_come_is_not_waited_for(target: Target) -> None:
    """408 after half a minute; the agent's own paths wait for half of that."""
    paths = ["/v1/kv/late"] if target.place.token else ["/v1/kv/late", "/v1/agent/service/register"]
    with ExitStack() as opened:
        lines = [opened.enter_context(target.line(45)) for _ in paths]
        for line, path in zip(lines, paths, strict=True):
            line.sendall(f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc".encode())
        begun_s = time.monotonic()
        for line in reversed(lines):
            reply = read_reply(line, begun_s)
            assert reply.status == 408, reply
            assert reply.seconds < 35
    assert target.ask("GET", "/v1/kv/late").status == 404


@pytest.mark.parametrize("extension", [b"", b";" + b"e" * 1000])
def test_chunks_without_end_are_refused(target: Target, extension: bytes) -> None:
    """413 once the bound is passed, and the connection's end soon after it; memory stays."""
    with target.keeps_its_own(), target.line() as line:
        line.sendall(b"PUT /v1/kv/endless HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with suppress(OSError):
            while sent < 200_000_000:
                line.sendall(b"10000" + extension + b"\r\n" + b"x" * 65536 + b"\r\n")
                sent += 65536
        assert sent < 64 * 1024 * 1024
        assert read_reply(line, 0).status in {413, 0}
    assert target.ask("GET", "/v1/kv/endless").status == 404


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 100_000,
        b"\r\n" * 100_000,
        b"GET /v1/kv/a HTTP/1.1\r\n\r\n",
        b"GET /v1/kv/a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nX : b\r\n\r\n",
        b"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET http://localhost/v1/linkspan/../kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"PUT /v1/kv/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_nonsense_is_refused_or_dropped(target: Target, raw: bytes) -> None:
    """No handler does anything about it, and the process is as before."""
    with target.keeps_its_own():
        reply = target.say(raw, timeout_s=2)
        assert reply.status == 0 or 400 <= reply.status < 506, reply
    assert target.ask("GET", "/v1/kv/a").status == 404


def test_requests_one_behind_the_other_are_answered_in_order(target: Target) -> None:
    """2,000 at once on one connection."""
    count = 2000
    with target.keeps_its_own(), target.line(60) as line:
        raw = b"".join(b"GET /v1/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number for number in range(count))
        sender = threading.Thread(target=line.sendall, args=(raw,))
        sender.start()
        data = b""
        while data.count(b"HTTP/1.1 404") < count:
            chunk = line.recv(65536)
            assert chunk
            data += chunk
        sender.join()


def test_answers_that_nobody_reads_cost_no_more_than_themselves(open_target: Target) -> None:
    """Who asks on and on without reading is not read from either; with the connection all of it goes."""
    for number in range(4):
        assert open_target.ask("PUT", f"/v1/kv/unread/{number}", b"x" * 500_000).status == 200
    with open_target.keeps_its_own(growth_kb=96 * 1024), ExitStack() as opened:
        raw = b"GET /v1/kv/unread?recurse HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500
        lines = [opened.enter_context(open_target.line()) for _ in range(10)]
        for line in lines:
            line.setblocking(False)  # noqa: FBT003 - its only argument
            with suppress(BlockingIOError):
                line.send(raw)
        assert open_target.ask("GET", "/v1/status/leader").seconds < 5


def test_resets_in_the_middle_of_everything_are_survived(target: Target) -> None:
    """After the connect, within the head, within the body, before the answer."""
    parts = (b"", b"GET /v1/k", b"PUT /v1/kv/r HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab")
    asked = b"GET /v1/kv/r?index=999999&wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with target.keeps_its_own():
        for raw in (*parts, asked) * 100:
            with closing(socket.create_connection(target.address)) as line:
                line.sendall(raw)
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
