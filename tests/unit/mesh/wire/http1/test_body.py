"""Bodies: where one ends, however it is cut; and writers that never pass an announced length."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.wire.fields import HeadError
from mesh.wire.head import CHUNKED, UNTIL_CLOSE
from mesh.wire.http1.body import MAX_TRAILER_BYTES, BodyError, BodyReader, BodyWriter


def read(length: int, *parts: bytes) -> tuple[bytes, bytes, BodyReader]:
    """The body, what was left over, and the reader."""
    reader = BodyReader(length)
    body, rest = bytearray(), b""
    for part in parts:
        if reader.is_done:
            rest += part
            continue
        pieces, used = reader.read(part)
        for piece in pieces:
            body += piece
        rest += part[used:]
    return bytes(body), rest, reader


def each(data: bytes) -> list[bytes]:
    """Byte by byte."""
    return [data[at : at + 1] for at in range(len(data))]


def test_a_counted_body_ends_at_its_length_and_leaves_the_rest() -> None:
    """The byte after the last is the next message's."""
    body, rest, reader = read(5, b"hel", b"loGET")
    assert (body, rest, reader.is_done) == (b"hello", b"GET", True)
    assert BodyReader(0).is_done


def test_a_body_until_close_takes_everything() -> None:
    """Only the connection's end ends it."""
    body, rest, reader = read(UNTIL_CLOSE, b"a", b"b")
    assert (body, rest, reader.is_done, reader.ends_with_connection) == (b"ab", b"", False, True)


CHUNKS = b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nx-sum: 1\r\nx-two:  b c \r\n\r\n"


@pytest.mark.parametrize("parts", [[CHUNKS + b"GET"], each(CHUNKS + b"GET")])
def test_chunks_are_joined_and_trailers_read(parts: list[bytes]) -> None:
    """Extensions are dropped, sizes are hexadecimal, trailers trimmed; the rest stays."""
    body, rest, reader = read(CHUNKED, *parts)
    assert (body, rest, reader.is_done) == (b"hello world", b"GET", True)
    assert reader.trailers == [(b"x-sum", b"1"), (b"x-two", b"b c")]


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b" 5\r\n",
        b"+5\r\n",
        b"-1\r\n",
        b"0x5\r\n",
        b"5_0\r\n",
        b"g\r\n",
        b"5\nhello\r\n",
        b"5\rhello",
        b"5;a\rb\r\n",
        b"5;a\nb\r\n",
        b"5;\0\r\n",
        b"5 x\r\n",
        b"1234567890abcdef01\r\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhelloX0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"0" * 400,
        b"0;" + b"a" * 400,
        b"0\r\nno-colon\r\n\r\n",
        b"0\r\n folded: a\r\n\r\n",
        b"0\r\nname : a\r\n\r\n",
        b"0\r\na: b\n\r\n",
        b"0\r\na: \0\r\n\r\n",
        b"0\r\ncontent-length: 5\r\n\r\n",
        b"0\r\ntransfer-encoding: chunked\r\n\r\n",
        b"0\r\nhost: a\r\n\r\n",
        b"0\r\nx-forwarded-client-cert: a\r\n\r\n",
        b"0\r\na: " + b"x" * MAX_TRAILER_BYTES,
        b"0\r\n" + b"a: b\r\n" * 2000 + b"\r\n",
    ],
)
def test_malformed_chunks_are_refused_however_they_come(data: bytes) -> None:
    """Other proxies take some of these; here each is the peer's error, whole and byte by byte."""
    for parts in ([data], each(data)):
        with pytest.raises(HeadError):
            read(CHUNKED, *parts)


chunks = st.lists(
    st.sampled_from([b"0", b"1", b"a", b"\r\n", b"\r", b"\n", b";", b"3\r\nabc\r\n", b"0\r\n", b"x: y\r\n", b" "]),
    max_size=14,
).map(b"".join)


@settings(max_examples=150)
@given(st.one_of(chunks, st.binary(max_size=40)))
def test_fuzz_whole_equals_byte_by_byte(data: bytes) -> None:
    """Any bytes give a body or the peer's error, the same however they are cut."""
    found: list[object] = []
    for parts in ([data], each(data)):
        try:
            body, rest, reader = read(CHUNKED, *parts)
        except HeadError as error:
            found.append(error.reason)
        else:
            found.append((body, rest, reader.is_done, reader.trailers if reader.is_done else None))
    assert found[0] == found[1]


@given(st.lists(st.binary(min_size=1, max_size=30)))
def test_fuzz_what_is_written_is_read(pieces: list[bytes]) -> None:
    """A chunked writer's output is a chunked reader's input."""
    writer = BodyWriter(CHUNKED)
    data = b"".join(bytes(writer.write(piece)) for piece in pieces) + writer.end([(b"x-sum", b"1")])
    body, rest, reader = read(CHUNKED, data + b"next")
    assert (body, rest, reader.trailers) == (b"".join(pieces), b"next", [(b"x-sum", b"1")])


def test_an_empty_piece_never_ends_a_chunked_body() -> None:
    """A chunk of size 0 would be the end."""
    assert BodyWriter(CHUNKED).write(b"") == b""


def test_a_writer_refuses_more_and_less_than_announced() -> None:
    """What runs past the length would be the next message; nothing of it is written."""
    writer = BodyWriter(5)
    assert writer.write(b"abc") == b"abc"
    with pytest.raises(BodyError) as short:
        writer.end()
    with pytest.raises(BodyError) as long:
        writer.write(b"def")
    assert (short.value.is_long, long.value.is_long) == (False, True)
    writer.write(b"de")
    assert writer.end([(b"x-sum", b"1")]) == b""
