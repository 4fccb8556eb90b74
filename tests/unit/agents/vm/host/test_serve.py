"""Listening: loopback only, a private Unix socket, and a clean end."""

import errno
import socket
import stat
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import trio
import trio.testing

from agents.vm.api.call import Answer, Call, Endpoint, text_answer
from agents.vm.host.serve import ListenError, accept_one, listen_loopback, listen_names, listen_unix, only_for, serve
from mesh.wire.http1.host import host_rule


@pytest.mark.parametrize("address", ["0.0.0.0:0", "10.0.0.1:80", "[::]:0", "example.org:80", "nonsense", ""])
def test_only_loopback_is_listened_on(address: str) -> None:
    """Whoever wants more runs a proxy."""
    with pytest.raises(ListenError):
        listen_loopback(address)


def test_a_taken_port_is_said() -> None:
    """With what to look for."""
    with listen_loopback("localhost:0") as first:
        port = first.getsockname()[1]
        with pytest.raises(ListenError, match="another agent"):
            listen_loopback(f"127.0.0.1:{port}")


def test_what_dns_cannot_be_served_on_is_said() -> None:
    """A taken port with the flag to change it; what is no address with how one is written."""
    with listen_names("127.0.0.1:0") as first, pytest.raises(ListenError, match="choose another --dns"):
        listen_names(first.address)
    with pytest.raises(ListenError, match="ADDRESS:PORT"):
        listen_names("8600")


def test_the_unix_socket_is_for_its_group_alone(tmp_path: Path) -> None:
    """0660; a stale socket is replaced, a live one and anything else are not."""
    path = tmp_path / "agent.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    with listen_unix(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(ListenError, match="another agent"):
            listen_unix(path)
    plain = tmp_path / "file"
    plain.touch()
    with pytest.raises(ListenError, match="no socket"):
        listen_unix(plain)
    with pytest.raises(ListenError, match="no group"):
        listen_unix(tmp_path / "other.sock", "no-such-group")
    with pytest.raises(ListenError, match="cannot listen"):
        listen_unix(tmp_path / "nowhere" / "agent.sock")


async def test_it_serves_until_told_to_stop(nursery: trio.Nursery) -> None:
    """Real HTTP over TCP; afterwards the port is closed."""
    stop = trio.Event()
    with listen_loopback("127.0.0.1:0") as sock:
        port = sock.getsockname()[1]
        await nursery.start(serve, Endpoint(GET=hello), sock, stop.wait)
        async with httpx2.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/a?b")).text == "hello /a?b"
        stop.set()
    with trio.fail_after(5):
        while await is_open(port):
            await trio.lowlevel.checkpoint()


async def hello(call: Call) -> Answer:
    return text_answer(f"hello {call.target}")


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8500", 200), ("consul", 200), ("evil.example", 403), ("127.0.0.1.evil.example", 403)],
)
async def test_a_page_of_another_name_reaches_nothing(host: str, status: int, nursery: trio.Nursery) -> None:
    """DNS rebinding: the browser calls a port of loopback by the name of the page. The refusal says how to allow a name."""
    stop = trio.Event()
    with listen_loopback("127.0.0.1:0") as sock:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/a"
        await nursery.start(serve, only_for(host_rule(["consul"]), Endpoint(GET=hello)), sock, stop.wait)
        async with httpx2.AsyncClient() as client:
            answer = await client.get(url, headers={"Host": host})
        stop.set()
    assert answer.status_code == status
    assert (f"--allowed-host {host}" in answer.text) == (status == 403)


async def test_too_many_connections_are_closed_and_the_others_served(nursery: trio.Nursery) -> None:
    """Any user of the host may connect: none of them can take the agent's descriptors."""
    stop = trio.Event()
    with listen_loopback("127.0.0.1:0") as sock:
        port = sock.getsockname()[1]
        await nursery.start(partial(serve, max_connections=2), Endpoint(GET=hello), sock, stop.wait)
        first, second, third = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(3)]
        with trio.fail_after(5):
            assert not await third.receive_some()
            await second.send_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await second.receive_some()).startswith(b"HTTP/1.1 200")
        await first.aclose()
        with trio.fail_after(5):
            while not await answers(port):
                await trio.lowlevel.checkpoint()
        for stream in (second, third):
            await stream.aclose()
        stop.set()


async def test_no_descriptor_left_is_waited_out(autojump_clock: trio.testing.MockClock) -> None:
    """Neither does the agent end nor does it spin; a peer that went before it was taken is passed over."""
    began_s = autojump_clock.current_time()
    starved = anyio.BrokenResourceError()
    starved.__cause__ = OSError(errno.EMFILE, "Too many open files")
    results: list[Any] = [starved, OSError(errno.EMFILE, "x"), OSError(errno.ECONNABORTED, "gone"), "the stream"]

    async def accept() -> Any:
        await trio.lowlevel.checkpoint()
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    taken: Any = await accept_one(accept)
    assert taken == "the stream"
    assert autojump_clock.current_time() - began_s == 1.0


async def test_a_peer_that_does_not_read_holds_up_no_end(nursery: trio.Nursery) -> None:
    """The server would wait for it without end: its connection is closed."""

    async def huge(_: Call) -> Answer:
        return Answer(200, b"x" * 50_000_000)

    stop, ended = trio.Event(), trio.Event()
    with listen_loopback("127.0.0.1:0") as sock:

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            await serve(Endpoint(GET=huge), sock, stop.wait, task_status=task_status)
            ended.set()

        await nursery.start(run)
        lazy = await trio.open_tcp_stream("127.0.0.1", sock.getsockname()[1])
        await lazy.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await lazy.receive_some(1)
        stop.set()
        with trio.fail_after(10):
            await ended.wait()
        await trio.aclose_forcefully(lazy)


async def answers(port: int) -> bool:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        try:
            await stream.send_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            return (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        except trio.BrokenResourceError:
            return False


async def is_open(port: int) -> bool:
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return False
    await stream.aclose()
    return True
