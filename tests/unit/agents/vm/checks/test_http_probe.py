"""The HTTP probe's client: any bytes from the probed side give a result or its error."""

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.vm.checks import http_probe
from agents.vm.checks.http_probe import ProbeFailedError, ask, tls_context
from agents.vm.definition.values import HttpProbe

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def read(data: bytes, step: int, limit_bytes: int = 4096) -> object:
    """What the reader makes of `data` that arrives in pieces of `step` bytes."""

    async def main() -> object:
        import h11

        ours, theirs = trio.testing.memory_stream_pair()
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method=b"GET", target=b"/", headers=[("host", "x")]))
        connection.send(h11.EndOfMessage())
        for start in range(0, len(data), step):
            await theirs.send_all(data[start : start + step])
        await theirs.send_eof()
        try:
            return await http_probe.read_answer(connection, ours, limit_bytes)
        except (h11.RemoteProtocolError, ProbeFailedError):
            return None

    return trio.run(main)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.just(HEAD), st.binary(max_size=30).map(lambda junk: HEAD[:-5] + junk)))
def test_whole_equals_byte_by_byte(data: bytes) -> None:
    """Any bytes give an answer or the peer's error, however they arrive."""
    assert read(data, len(data) or 1) == read(data, 1)


def test_the_body_is_read_no_further_than_it_is_kept() -> None:
    """A large answer is cut."""
    found = read(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000, 70_000, 10)
    assert isinstance(found, tuple)
    assert found[0].body == "x" * 10


def test_verification_is_on_unless_asked_otherwise() -> None:
    """The default believes nobody without a certificate."""
    assert tls_context(skip_verify=False).check_hostname
    assert not tls_context(skip_verify=True).check_hostname


async def test_a_redirect_out_of_http_is_refused(nursery: trio.Nursery) -> None:
    """Only http and https are followed."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65536)
            await stream.send_all(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")

    nursery.start_soon(trio.serve_listeners, serve, [listener])
    with pytest.raises(ProbeFailedError, match="redirected"):
        await ask(HttpProbe(f"http://127.0.0.1:{port}/", 10, 5), 100)
