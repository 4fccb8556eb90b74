"""The probes against real listeners on loopback and real processes."""

import socket
import sys

import h11
import pytest
import trio

from agents.vm.checks.probe import EdgeProber
from agents.vm.definition.values import HttpProbe, ScriptProbe, TcpProbe
from mesh.model.endpoint import Health


async def answer(nursery: trio.Nursery, response: bytes, seen: list[bytes] | None = None) -> int:
    """An HTTP server that reads a head and sends `response`; its port."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            data = bytes(await stream.receive_some(65536))
            if seen is not None:
                seen.append(data)
            if response:
                await stream.send_all(response)
            else:
                await trio.sleep_forever()

    nursery.start_soon(trio.serve_listeners, serve, [listener])
    return int(listener.socket.getsockname()[1])


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("200 OK", Health.PASSING),
        ("204 No Content", Health.PASSING),
        ("429 Too Many Requests", Health.WARNING),
        ("404 Not Found", Health.CRITICAL),
        ("500 Oops", Health.CRITICAL),
    ],
)
async def test_http_status_decides(status: str, health: Health, nursery: trio.Nursery) -> None:
    """2xx passes, 429 warns, everything else is critical."""
    port = await answer(nursery, f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
    result = await EdgeProber().run(HttpProbe(f"http://127.0.0.1:{port}/h", 10, 5), 4096)
    assert result.status is health
    assert f"HTTP GET http://127.0.0.1:{port}/h: {status}" in result.output


async def test_http_sends_what_was_asked_and_bounds_the_answer(nursery: trio.Nursery) -> None:
    """Method, headers and body go out; the output is cut."""
    seen: list[bytes] = []
    port = await answer(nursery, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000, seen)
    probe = HttpProbe(f"http://127.0.0.1:{port}/", 10, 5, method="POST", headers=(("X-Probe", "1"),), body="ping")
    result = await EdgeProber().run(probe, 200)
    assert (result.status, len(result.output)) == (Health.PASSING, 200)
    server = h11.Connection(h11.SERVER)
    server.receive_data(seen[0])
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert request.method == b"POST"
    assert (b"x-probe", b"1") in list(request.headers)


async def test_redirects_are_followed_unless_told_not_to(nursery: trio.Nursery) -> None:
    """The last answer decides; a loop is critical."""
    port = await answer(nursery, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    there = await answer(
        nursery, f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/x\r\nContent-Length: 0\r\n\r\n".encode()
    )
    url = f"http://127.0.0.1:{there}/"
    assert (await EdgeProber().run(HttpProbe(url, 10, 5), 4096)).status is Health.PASSING
    stay = await EdgeProber().run(HttpProbe(url, 10, 5, follow_redirects=False), 4096)
    assert stay.status is Health.CRITICAL
    loop = await answer(nursery, b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
    assert "redirects" in (await EdgeProber().run(HttpProbe(f"http://127.0.0.1:{loop}/", 10, 5), 4096)).output


@pytest.mark.parametrize("response", [b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
async def test_a_broken_answer_is_critical(response: bytes, nursery: trio.Nursery) -> None:
    """Rubbish is a result, not an error of ours."""
    port = await answer(nursery, response)
    assert (await EdgeProber().run(HttpProbe(f"http://127.0.0.1:{port}/", 10, 5), 99)).status is Health.CRITICAL


async def test_refusal_and_silence_are_critical_and_say_so(nursery: trio.Nursery) -> None:
    """Nobody listening; somebody who never answers."""
    prober, port = EdgeProber(), unused_port()
    for probe in (HttpProbe(f"http://127.0.0.1:{port}/", 10, 5), TcpProbe("127.0.0.1", port, 10, 5)):
        result = await prober.run(probe, 4096)
        assert result.status is Health.CRITICAL
        assert "refused" in result.output
    silent = await answer(nursery, b"")
    late = await prober.run(HttpProbe(f"http://127.0.0.1:{silent}/", 10, 0.05), 4096)
    assert (late.status, late.output) == (Health.CRITICAL, "timed out after 50ms")


async def test_tcp_connects(nursery: trio.Nursery) -> None:
    """An accepted connection passes; TLS against a plain port does not."""
    port = await answer(nursery, b"hello")
    assert (await EdgeProber().run(TcpProbe("127.0.0.1", port, 10, 5), 99)).status is Health.PASSING
    over_tls = TcpProbe("127.0.0.1", port, 10, 5, use_tls=True, tls_skip_verify=True)
    assert (await EdgeProber().run(over_tls, 99)).status is Health.CRITICAL


async def test_scripts_are_off_unless_allowed() -> None:
    """Whoever can register must not thereby run programs."""
    result = await EdgeProber().run(ScriptProbe(("/bin/true",), 10, 5), 4096)
    assert result.status is Health.CRITICAL
    assert "--enable-script-checks" in result.output


@pytest.mark.parametrize(("code", "health"), [(0, Health.PASSING), (1, Health.WARNING), (2, Health.CRITICAL)])
async def test_the_exit_code_decides(code: int, health: Health) -> None:
    """0 passes, 1 warns, the rest is critical; the output is kept, bounded."""
    prober = EdgeProber(enable_scripts=True)
    result = await prober.run(
        ScriptProbe(("/bin/sh", "-c", f"head -c 9000 /dev/zero | tr '\\0' x; exit {code}"), 10, 9), 64
    )
    assert result == type(result)(health, "x" * 64)


async def test_a_script_that_hangs_is_ended_with_its_children() -> None:
    """The time-out kills the whole group."""
    script = ScriptProbe((sys.executable, "-c", "import subprocess; subprocess.run(['sleep', '60'])"), 10, 0.2)
    with trio.fail_after(5):
        result = await EdgeProber(enable_scripts=True).run(script, 4096)
    assert (result.status, result.output) == (Health.CRITICAL, "Timed out (200ms) running check")
    missing = await EdgeProber(enable_scripts=True).run(ScriptProbe(("/no/such",), 10, 5), 4096)
    assert "cannot run '/no/such'" in missing.output
