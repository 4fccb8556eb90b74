"""ClientHellos: real ones by OpenSSL, cut anywhere, and hostile ones."""

import contextlib
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.wire.client_hello import MAX_HELLO_BYTES, ClientHello, ClientHelloError, HelloReader

SNI = "api.default.dc1.internal.a1.consul"


def real_hello(
    server_name: str | None = SNI,
    alpn: tuple[str, ...] = ("linkspan-trunk/1", "h2"),
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = maximum
    if alpn:
        context.set_alpn_protocols(list(alpn))
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


REAL = real_hello()


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(2, data)


def name_extension(*names: bytes) -> bytes:
    return extension(0, vector(2, b"".join(b"\0" + vector(2, name) for name in names)))


def body(
    *extensions: bytes,
    session: bytes = b"",
    suites: bytes = b"\x13\x01",
    compression: bytes = b"\0",
    version: bytes = b"\x03\x03",
) -> bytes:
    head = version + bytes(32) + vector(1, session) + vector(2, suites) + vector(1, compression)
    return head + (vector(2, b"".join(extensions)) if extensions else b"")


def hello(*extensions: bytes, **parts: bytes) -> bytes:
    return record(b"\x01" + vector(3, body(*extensions, **parts)))


def record(payload: bytes) -> bytes:
    return b"\x16\x03\x01" + vector(2, payload)


def read(data: bytes) -> ClientHello | None:
    return HelloReader().feed(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (REAL, ClientHello(SNI, (b"linkspan-trunk/1", b"h2"), tls13=True)),
        (real_hello(None, ()), ClientHello("", (), tls13=True)),
        (real_hello("Api.Example", (), ssl.TLSVersion.TLSv1_2), ClientHello("api.example", (), tls13=False)),
    ],
)
def test_real_hellos(data: bytes, expected: ClientHello) -> None:
    """What Python's OpenSSL sends is read."""
    assert expected == read(data)


def test_whole_equals_byte_by_byte() -> None:
    """More is asked for until the last byte; then the value, and every byte is kept to be sent on."""
    reader = HelloReader()
    for at in range(len(REAL) - 1):
        assert reader.feed(REAL[at : at + 1]) is None
    assert read(REAL) == reader.feed(REAL[-1:])
    assert reader.received == REAL


def test_fragmented_records() -> None:
    """A ClientHello may be spread over records, here of 40 bytes."""
    handshake = REAL[5:]
    data = b"".join(record(handshake[at : at + 40]) for at in range(0, len(handshake), 40))
    assert read(REAL) == read(data)


def test_bytes_after_the_hello_are_kept() -> None:
    """Early data follows in records of its own; it is none of our business."""
    reader = HelloReader()
    assert reader.feed(REAL + b"\x17\x03\x03early") is not None
    assert reader.feed(b"more") is not None
    assert reader.received == REAL + b"\x17\x03\x03earlymore"


def test_grease_and_unknown_extensions_are_passed_over() -> None:
    """RFC 8701 values and unknown types mean nothing here."""
    data = hello(
        extension(0x0A0A, b"\0"),
        name_extension(b"api.x"),
        extension(0xFAFA, b""),
        extension(43, vector(1, b"\x1a\x1a\x03\x04")),
    )
    assert ClientHello("api.x", (), tls13=True) == read(data)
    assert ClientHello() == read(hello())


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x02",
        b"\x16\x03\x01\x00\x00",
        record(b"\x02" + vector(3, body())),
        record(b"\x01" + vector(3, body()) + b"x"),
        record(b"\x01\xff\xff\xff"),
        b"\x16\x03\x01\xff\xff",
        hello(version=b"\x02\x00"),
        hello(session=bytes(33)),
        hello(suites=b""),
        hello(suites=b"\x13"),
        hello(compression=b""),
        record(b"\x01" + vector(3, body() + b"\x00\x05ab")),
        record(b"\x01" + vector(3, body() + vector(2, b"") + b"x")),
        record(b"\x01" + vector(3, b"\x03\x03")),
        hello(name_extension(b"a"), name_extension(b"a")),
        hello(extension(0x0A0A, b""), extension(0x0A0A, b"")),
        hello(name_extension(b"a", b"b")),
        hello(name_extension()),
        hello(name_extension(b"")),
        hello(name_extension(b"a\0b")),
        hello(name_extension(b"a.")),
        hello(name_extension(b"a..b")),
        hello(name_extension(b"a/b")),
        hello(name_extension("é".encode())),
        hello(name_extension(b"a" * 64)),
        hello(name_extension(b".".join([b"a" * 60] * 5))),
        hello(extension(0, b"\x00\x04\x01\x00\x01a")),
        hello(extension(0, vector(2, b"\0" + vector(2, b"a")) + b"x")),
        hello(extension(16, vector(2, b""))),
        hello(extension(16, vector(2, b"\0"))),
        hello(extension(16, vector(2, b"\x05ab"))),
        hello(extension(43, vector(1, b""))),
        hello(extension(43, vector(1, b"\x03"))),
    ],
)
def test_what_is_malformed_is_refused(data: bytes) -> None:
    """Nothing is guessed: bad lengths, repeated extensions, names that are none, other protocols."""
    with pytest.raises(ClientHelloError, match=r"^[^\n]+$"):
        read(data)


def test_refused_at_the_first_byte() -> None:
    """Plain text is told from TLS without waiting for more."""
    with pytest.raises(ClientHelloError):
        read(b"G")


def test_size_and_records_are_bounded() -> None:
    """16 KiB and 64 records; a drip of tiny records ends."""
    big = record(b"\x01" + (MAX_HELLO_BYTES).to_bytes(3, "big"))
    with pytest.raises(ClientHelloError, match="larger"):
        read(big)
    with pytest.raises(ClientHelloError, match="64 records"):
        read(b"".join(record(REAL[at : at + 1]) for at in range(5, 5 + 65)))


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda data: record(b"\x01" + vector(3, data))))
def test_any_bytes_whole_equals_byte_by_byte(data: bytes) -> None:
    """Any bytes give a value, more wanted, or the peer's error, however they are cut."""

    def outcome(parts: list[bytes]) -> ClientHello | str | None:
        reader, value = HelloReader(), None
        try:
            for part in parts:
                value = reader.feed(part)
        except ClientHelloError as error:
            return str(error)
        return value

    assert outcome([data]) == outcome([data[at : at + 1] for at in range(len(data))])


@settings(max_examples=300)
@given(st.integers(0, len(REAL) - 1), st.integers(0, 255))
def test_a_flipped_byte_never_crashes(at: int, byte: int) -> None:
    """A real hello with one wrong byte is read, refused or waited on."""
    data = bytearray(REAL)
    data[at] = byte
    with contextlib.suppress(ClientHelloError):
        assert isinstance(read(data), ClientHello | None)
