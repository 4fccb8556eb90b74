"""The probes that speak HTTP/2: a ping, and one question to gRPC's health service. Bytes in and out by `h2`.

Each run has a fresh connection, bounds what it reads, and ends with it. It must never follow what a server asks for
beyond the protocol's own frames.
Sources: RFC 9113 (6.7 ping), gRPC's health checking protocol and its HTTP/2 mapping.
"""

import struct

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import trio

from agents.vm.checks.http_probe import ProbeFailedError, tls_context
from agents.vm.definition.values import GrpcProbe, H2PingProbe

SERVING = 1
STATES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_HEALTH_PATH = "/grpc.health.v1.Health/Check"
_READ_BYTES = 16 * 1024
_MAX_MESSAGE_BYTES = 16 * 1024
_PING = b"linkspan"
_GRPC_OK = "0"


async def ping(probe: H2PingProbe) -> None:
    """Connect, ping, and wait for the answer.

    Raises:
        ProbeFailedError: the other side does not speak HTTP/2 or went away.
        OSError, trio.BrokenResourceError: the connection could not be made or broke.
    """
    session = await _Session.open(probe)
    try:
        session.h2.ping(_PING)
        while not any(
            isinstance(event, h2.events.PingAckReceived) and event.ping_data == _PING
            for event in await session.exchange()
        ):
            pass
    finally:
        await session.close()


async def health(probe: GrpcProbe) -> int:
    """What the health service says of the probe's service, as a number of `STATES`.

    Raises:
        ProbeFailedError: no answer of the health service; the text says how.
        OSError, trio.BrokenResourceError: the connection could not be made or broke.
    """
    session = await _Session.open(probe)
    try:
        stream_id = session.h2.get_next_available_stream_id()
        session.h2.send_headers(
            stream_id,
            [
                (":method", "POST"),
                (":scheme", "https" if probe.use_tls else "http"),
                (":path", _HEALTH_PATH),
                (":authority", f"{probe.host}:{probe.port}"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("user-agent", "Linkspan Health Check"),
            ],
        )
        session.h2.send_data(stream_id, request_message(probe.service), end_stream=True)
        return await _health_answer(session, stream_id)
    finally:
        await session.close()


async def _health_answer(session: "_Session", stream_id: int) -> int:
    message = bytearray()
    fields: dict[str, str] = {}
    while True:
        for event in await session.exchange():
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                fields |= {_text(name): _text(value) for name, value in event.headers or ()}
            elif isinstance(event, h2.events.DataReceived):
                message += event.data or b""
                session.h2.acknowledge_received_data(event.flow_controlled_length or 0, stream_id)
                if len(message) > _MAX_MESSAGE_BYTES:
                    raise ProbeFailedError("the answer is too long for one of the health service")
            elif isinstance(event, h2.events.StreamReset):
                raise ProbeFailedError(f"the stream was reset (code {event.error_code})")
            elif isinstance(event, h2.events.StreamEnded):
                return _verdict(fields, bytes(message))


def _verdict(fields: dict[str, str], message: bytes) -> int:
    if fields.get(":status") != "200":
        raise ProbeFailedError(f"answered with HTTP status {fields.get(':status', 'none')}")
    code = fields.get("grpc-status", "")
    if code != _GRPC_OK:
        said = fields.get("grpc-message", "")[:200]
        raise ProbeFailedError(f"rpc error: code {code or 'missing'}{f': {said}' if said else ''}")
    return response_state(message)


def request_message(service: str) -> bytes:
    """A framed `HealthCheckRequest`: field 1 is the service's name."""
    name = service.encode()
    body = b"\x0a" + _varint(len(name)) + name if name else b""
    return struct.pack(">BI", 0, len(body)) + body


def response_state(message: bytes) -> int:
    """The state in a framed `HealthCheckResponse`: field 1, which is left out when it is 0.

    Raises:
        ProbeFailedError: it is none.
    """
    if len(message) < 5 or message[0] != 0 or struct.unpack(">I", message[1:5])[0] != len(message) - 5:
        raise ProbeFailedError("the answer is no uncompressed gRPC message")
    body = message[5:]
    if not body:
        return 0
    if body[0] != 0x08 or len(body) != 2 or body[1] > max(STATES):
        raise ProbeFailedError("the answer is none of the health service")
    return body[1]


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


class _Session:
    """One connection that speaks HTTP/2."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))

    @classmethod
    async def open(cls, probe: GrpcProbe | H2PingProbe) -> "_Session":
        """Connect, with TLS and `h2` by ALPN if the probe asks for it, and say hello."""
        stream: trio.abc.Stream = await trio.open_tcp_stream(probe.host, probe.port)
        try:
            if probe.use_tls:
                context = tls_context(skip_verify=probe.tls_skip_verify)
                context.set_alpn_protocols(["h2"])
                name = probe.tls_server_name or probe.host
                stream = trio.SSLStream(stream, context, server_hostname=name, https_compatible=True)
                await stream.do_handshake()
            session = cls(stream)
            session.h2.initiate_connection()
            return session
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise

    async def exchange(self) -> list[h2.events.Event]:
        """Send what is to be sent, and the events of what comes next.

        Raises:
            ProbeFailedError: the other side hung up, or does not speak HTTP/2.
        """
        await self._stream.send_all(self.h2.data_to_send())
        data = await self._stream.receive_some(_READ_BYTES)
        if not data:
            raise ProbeFailedError("the connection was closed without an answer")
        try:
            events = self.h2.receive_data(bytes(data))
        except (h2.exceptions.ProtocolError, ValueError) as error:
            raise ProbeFailedError(f"no valid HTTP/2: {error}") from error
        if any(isinstance(event, h2.events.ConnectionTerminated) for event in events):
            raise ProbeFailedError("the server ended the connection")
        return events

    async def close(self) -> None:
        """Hang up."""
        await trio.aclose_forcefully(self._stream)
