"""HTTP/2 ping and gRPC's health service against small real servers on loopback, plain and over TLS."""

import ssl
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from agents.vm.checks.h2_probe import STATES, request_message, response_state
from agents.vm.checks.http_probe import ProbeFailedError
from agents.vm.checks.probe import EdgeProber
from agents.vm.definition.values import GrpcProbe, H2PingProbe
from mesh.model.endpoint import Health
from tests.fakes.certificate_pair import make_pair

GOOD = [(":status", "200"), ("content-type", "application/grpc")]


class HealthServer:
    """gRPC's health service: states by service name; what it does not know is NOT_FOUND."""

    def __init__(self, states: dict[str, int], **changes: Any) -> None:
        self.states = states
        self.headers: list[tuple[str, str]] = changes.get("headers", GOOD)
        self.message: bytes | None = changes.get("message")
        self.tls: ssl.SSLContext | None = changes.get("tls")
        self.asked: list[bytes] = []

    async def start(self, nursery: trio.Nursery) -> int:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, self.serve, [listener])
        return int(listener.socket.getsockname()[1])

    async def serve(self, raw: trio.SocketStream) -> None:
        stream: trio.abc.Stream = raw
        if self.tls is not None:
            stream = trio.SSLStream(raw, self.tls, server_side=True, https_compatible=True)
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        try:
            await stream.send_all(connection.data_to_send())
            while data := await stream.receive_some(65536):
                for event in connection.receive_data(bytes(data)):
                    self.react(connection, event)
                await stream.send_all(connection.data_to_send())
        except trio.BrokenResourceError:
            return
        finally:
            await trio.aclose_forcefully(stream)

    def react(self, connection: h2.connection.H2Connection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            self.asked.append(event.data or b"")
        if not isinstance(event, h2.events.StreamEnded):
            return
        name = self.asked[-1][7:].decode()
        state, code = self.states.get(name), "0" if name in self.states else "5"
        connection.send_headers(event.stream_id, self.headers)
        if self.message is not None or state is not None:
            message = struct.pack(">BIBB", 0, 2, 8, state or 0) if self.message is None else self.message
            for first in range(0, len(message), 16_000):
                connection.send_data(event.stream_id, message[first : first + 16_000])
        connection.send_headers(event.stream_id, [("grpc-status", code)], end_stream=True)


async def run(probe: GrpcProbe | H2PingProbe) -> tuple[Health, str]:
    result = await EdgeProber().run(probe, 4096)
    return result.status, result.output


@pytest.mark.parametrize(
    ("service", "health", "text"),
    [
        ("", Health.PASSING, "success"),
        ("svc.Web", Health.PASSING, "success"),
        ("down", Health.CRITICAL, "serving status: NOT_SERVING"),
        ("nope", Health.CRITICAL, "rpc error: code 5"),
    ],
)
async def test_grpc_health(service: str, health: Health, text: str, nursery: trio.Nursery) -> None:
    """Serving passes; what is not serving or not known is critical and says so."""
    port = await HealthServer({"": 1, "svc.Web": 1, "down": 2}).start(nursery)
    status, output = await run(GrpcProbe("127.0.0.1", port, 10, 5, service))
    assert status is health
    assert text in output
    assert f"127.0.0.1:{port}" in output


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"headers": [(":status", "404")]}, "HTTP status 404"),
        ({"message": b"\x01\0\0\0\x02\x08\x01"}, "no uncompressed gRPC message"),
        ({"message": b"\0\0\0\0\x02\x10\x01"}, "none of the health service"),
        ({"message": b"x" * 20_000}, "too long"),
    ],
)
async def test_odd_answers_are_critical(changes: dict[str, Any], text: str, nursery: trio.Nursery) -> None:
    """What is no answer of a health service never passes."""
    port = await HealthServer({"": 1}, **changes).start(nursery)
    status, output = await run(GrpcProbe("127.0.0.1", port, 10, 5))
    assert (status, text in output) == (Health.CRITICAL, True), output


async def test_over_tls(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Unknown certificates are refused unless verifying is off; `h2` is agreed on by ALPN."""
    pem = tmp_path / "server.pem"
    pem.write_text("".join(make_pair().values()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.set_alpn_protocols(["h2"])
    port = await HealthServer({"": 1}, tls=context).start(nursery)
    grpc = partial(GrpcProbe, "127.0.0.1", port, 10, 5, use_tls=True)
    ping = partial(H2PingProbe, "127.0.0.1", port, 10, 5)
    makers: list[Callable[..., GrpcProbe | H2PingProbe]] = [grpc, ping]
    for make in makers:
        status, output = await run(make())
        assert (status, "certificate" in output.lower()) == (Health.CRITICAL, True), output
        assert (await run(make(tls_skip_verify=True)))[0] is Health.PASSING


async def test_ping(nursery: trio.Nursery) -> None:
    """Any HTTP/2 server answers one."""
    port = await HealthServer({}).start(nursery)
    assert await run(H2PingProbe("127.0.0.1", port, 10, 5, use_tls=False)) == (
        Health.PASSING,
        "HTTP2 ping was successful",
    )


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", b""])
async def test_who_does_not_speak_http2_is_critical(said: bytes, nursery: trio.Nursery) -> None:
    """HTTP/1, or nothing at all."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65536)
            if said:
                await stream.send_all(said)

    nursery.start_soon(trio.serve_listeners, serve, [listener])
    port = int(listener.socket.getsockname()[1])
    for probe in (GrpcProbe("127.0.0.1", port, 10, 5), H2PingProbe("127.0.0.1", port, 10, 5, use_tls=False)):
        status, output = await run(probe)
        assert (status, "HTTP/2" in output or "closed" in output) == (Health.CRITICAL, True), output


@given(st.text(max_size=300))
def test_a_question_is_framed(service: str) -> None:
    """Length first, then field 1; an empty name is left out, as proto3 does."""
    framed = request_message(service)
    assert struct.unpack(">BI", framed[:5]) == (0, len(framed) - 5)
    assert framed.endswith(service.encode())
    assert bool(framed[5:]) is bool(service)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_state_or_a_failure(message: bytes) -> None:
    """Nothing a server sends gets through as anything else."""
    try:
        assert response_state(message) in STATES
    except ProbeFailedError as error:
        assert "answer" in str(error)


def test_a_state_of_zero_is_left_out() -> None:
    """proto3 sends no field for 0, which is UNKNOWN."""
    assert response_state(b"\0\0\0\0\0") == 0
