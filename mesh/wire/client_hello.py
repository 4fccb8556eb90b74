"""Reads the server name and ALPN out of a TLS ClientHello, without terminating TLS (RFC 8446 4.1.2, RFC 6066 3, RFC 7301).

A gateway's only look into a connection. Bounded: 16 KiB of handshake in at most 64 records. It must never guess: what
does not parse is refused, and so are a repeated extension and a server name that no service can have.
"""

import re
from struct import Struct

import msgspec

MAX_HELLO_BYTES = 16 * 1024
MAX_RECORDS = 64

_RECORD_HEAD = 5
_HANDSHAKE_HEAD = 4
_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_SERVER_NAME, _ALPN, _SUPPORTED_VERSIONS = 0, 16, 43
_TLS13 = 0x0304
_U16 = Struct("!H")
_NAME = re.compile(rb"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_MAX_NAME_BYTES = 253


class ClientHelloError(ValueError):
    """The peer did not send a usable ClientHello; the text says what is wrong with it."""


class ClientHello(msgspec.Struct, frozen=True):
    """What a peer says before TLS begins. `server_name` is lower-case, empty when none is sent."""

    server_name: str = ""
    alpn: tuple[bytes, ...] = ()
    tls13: bool = False


class HelloReader:
    """Incremental reader: feed what arrives until it gives the ClientHello.

    `received` holds every byte fed, to be sent on to whoever terminates TLS.
    """

    __slots__ = ("_handshake", "_hello", "_next", "_records", "received")

    def __init__(self) -> None:
        self.received = bytearray()
        self._handshake = bytearray()
        self._next = 0
        self._records = 0
        self._hello: ClientHello | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> ClientHello | None:
        """Take more bytes; None as long as more are needed.

        Raises:
            ClientHelloError: this is no ClientHello, or a larger one than is read here.
        """
        self.received += data
        while self._hello is None:
            if not self._take_record():
                return None
            self._hello = self._finish()
        return self._hello

    def _take_record(self) -> bool:
        """Move one whole record's payload to the handshake; False when it is not there yet."""
        received, start = self.received, self._next
        if len(received) > start and received[start] != _HANDSHAKE_RECORD:
            raise ClientHelloError("the connection does not start with a TLS handshake")
        if len(received) > start + 1 and received[start + 1] != 3:
            raise ClientHelloError("the TLS record has an unknown version")
        if len(received) < start + _RECORD_HEAD:
            return False
        length = _U16.unpack_from(received, start + 3)[0]
        if not length or len(self._handshake) + length > MAX_HELLO_BYTES:
            raise ClientHelloError(f"the ClientHello is empty or larger than {MAX_HELLO_BYTES} bytes")
        end = start + _RECORD_HEAD + length
        if len(received) < end:
            return False
        self._records += 1
        if self._records > MAX_RECORDS:
            raise ClientHelloError(f"the ClientHello is spread over more than {MAX_RECORDS} records")
        self._handshake += received[start + _RECORD_HEAD : end]
        self._next = end
        return True

    def _finish(self) -> ClientHello | None:
        """The ClientHello when the handshake message is whole."""
        handshake = self._handshake
        if handshake[0] != _CLIENT_HELLO:
            raise ClientHelloError("the first handshake message is no ClientHello")
        if len(handshake) < _HANDSHAKE_HEAD:
            return None
        length = int.from_bytes(handshake[1:_HANDSHAKE_HEAD], "big")
        if length > MAX_HELLO_BYTES - _HANDSHAKE_HEAD:
            raise ClientHelloError(f"the ClientHello is larger than {MAX_HELLO_BYTES} bytes")
        have = len(handshake) - _HANDSHAKE_HEAD
        if have < length:
            return None
        if have > length:
            raise ClientHelloError("bytes follow the ClientHello in its record")
        return _parse_hello(bytes(handshake[_HANDSHAKE_HEAD:]))


class _Cursor:
    """Reads length-prefixed parts off bytes."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise ClientHelloError("a length in the ClientHello points past its end")
        part = self._data[self._at : end]
        self._at = end
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, prefix: int) -> bytes:
        return self.take(self.number(prefix))

    @property
    def left(self) -> int:
        return len(self._data) - self._at


def _parse_hello(body: bytes) -> ClientHello:
    cursor = _Cursor(body)
    if cursor.number(2) >> 8 != 3:
        raise ClientHelloError("the ClientHello has an unknown version")
    cursor.take(32)
    if len(cursor.vector(1)) > 32:
        raise ClientHelloError("the session id is longer than 32 bytes")
    suites = cursor.vector(2)
    if not suites or len(suites) % 2:
        raise ClientHelloError("the cipher suites are malformed")
    if not cursor.vector(1):
        raise ClientHelloError("the compression methods are missing")
    extensions = _extensions(cursor) if cursor.left else {}
    if cursor.left:
        raise ClientHelloError("bytes follow the extensions")
    return ClientHello(
        _server_name(extensions[_SERVER_NAME]) if _SERVER_NAME in extensions else "",
        _alpn(extensions[_ALPN]) if _ALPN in extensions else (),
        _offers_tls13(extensions[_SUPPORTED_VERSIONS]) if _SUPPORTED_VERSIONS in extensions else False,
    )


def _extensions(cursor: _Cursor) -> dict[int, bytes]:
    """All extensions by type; those unknown here, GREASE among them, are only held to occur once."""
    block = _Cursor(cursor.vector(2))
    found: dict[int, bytes] = {}
    while block.left:
        kind = block.number(2)
        if kind in found:
            raise ClientHelloError(f"extension {kind} is repeated")
        found[kind] = block.vector(2)
    return found


def _server_name(data: bytes) -> str:
    outer = _Cursor(data)
    names = _Cursor(outer.vector(2))
    if outer.left or names.number(1) != 0:
        raise ClientHelloError("the server name extension is malformed")
    name = names.vector(2).lower()
    if names.left:
        raise ClientHelloError("more than one server name")
    if len(name) > _MAX_NAME_BYTES or not _NAME.fullmatch(name):
        raise ClientHelloError("the server name is no host name")
    return name.decode("ascii")


def _alpn(data: bytes) -> tuple[bytes, ...]:
    outer = _Cursor(data)
    names = _Cursor(outer.vector(2))
    if outer.left or not names.left:
        raise ClientHelloError("the ALPN extension is malformed")
    protocols = []
    while names.left:
        protocol = names.vector(1)
        if not protocol:
            raise ClientHelloError("an ALPN name is empty")
        protocols.append(protocol)
    return tuple(protocols)


def _offers_tls13(data: bytes) -> bool:
    outer = _Cursor(data)
    versions = outer.vector(1)
    if outer.left or not versions or len(versions) % 2:
        raise ClientHelloError("the supported versions are malformed")
    return any(_U16.unpack_from(versions, at)[0] == _TLS13 for at in range(0, len(versions), 2))
