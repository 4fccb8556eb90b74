"""Listening: loopback only, a private Unix socket, and a clean end."""

import socket
import stat
from pathlib import Path

import httpx2
import pytest
import trio

from agents.vm.api.call import Answer, Call, Endpoint, text_answer
from agents.vm.host.serve import ListenError, listen_loopback, listen_unix, serve


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

    async def hello(call: Call) -> Answer:
        return text_answer(f"hello {call.target}")

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


async def is_open(port: int) -> bool:
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return False
    await stream.aclose()
    return True
