"""One HTTP client connection."""

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from mesh.sync.link.errors import BadAnswerError, UnusableRequestError
from mesh.sync.link.http import ConnectionBrokenError, HttpAnswer, HttpConnection
from tests.fakes.http_peer import Asked, serve_http


async def answer_to(
    content: bytes, *, piece: int = 10**9, max_body_bytes: int = 1000, method: str = "GET"
) -> HttpAnswer:
    """What a client makes of `content` as the whole answer, sent in pieces."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def speak() -> None:
        async with theirs:
            await theirs.receive_some()
            for start in range(0, len(content), piece):
                await theirs.send_all(content[start : start + piece])

    outcome: HttpAnswer | Exception
    async with trio.open_nursery() as nursery:
        nursery.start_soon(speak)
        connection = HttpConnection(ours, "x")
        try:
            outcome = await connection.exchange(method, "/", max_body_bytes=max_body_bytes)
        except (BadAnswerError, ConnectionBrokenError) as error:
            outcome = error
        await connection.aclose()
        nursery.cancel_scope.cancel()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def test_requests_follow_each_other_on_one_connection():
    """The connection is kept, and method, target, headers and body arrive."""
    ours, theirs = trio.testing.memory_stream_pair()
    asked: list[Asked] = []

    async def handler(request: Asked) -> tuple[int, bytes]:
        asked.append(request)
        await trio.lowlevel.checkpoint()
        return 200, request.body.upper()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, theirs, handler)
        connection = HttpConnection(ours, "catalog")
        for body in (b"one", b""):
            answer = await connection.exchange("POST", "/v1/x?y=1", [("x-a", "b")], body, max_body_bytes=100)
            assert (answer.status, answer.body) == (200, body.upper())
            assert connection.is_reusable
        await connection.aclose()
    assert [(request.method, request.target, request.body) for request in asked] == [
        ("POST", "/v1/x?y=1", b"one"),
        ("POST", "/v1/x?y=1", b""),
    ]
    assert asked[0].headers["host"] == "catalog"
    assert asked[0].headers["x-a"] == "b"


@pytest.mark.parametrize("piece", [1, 7, 10**9])
async def test_pieces_do_not_matter(piece: int):
    """An answer is the same however its bytes are cut, interim answers skipped."""
    content = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\nX-Consul-Index: 7\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno \r\n4\r\nway\n\r\n0\r\n\r\n"
    answer = await answer_to(content, piece=piece)
    assert answer == HttpAnswer(403, (("x-consul-index", "7"), ("transfer-encoding", "chunked")), b"no way\n")
    assert answer.header("x-consul-index") == "7"
    assert answer.header("absent") == ""
    assert answer.first_line == "no way"


async def test_an_answer_beyond_the_bound_is_refused():
    """The body is bounded whatever its length header says."""
    with pytest.raises(BadAnswerError, match="larger than 4 bytes"):
        await answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789", max_body_bytes=4)


@pytest.mark.parametrize(
    ("content", "answered"),
    [(b"", False), (b"HTTP/1.1 200", False), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123", True)],
)
async def test_an_early_end_is_broken(content: bytes, *, answered: bool):
    """A connection that ends early says whether an answer had begun."""
    with pytest.raises(ConnectionBrokenError) as caught:
        await answer_to(content)
    assert caught.value.answered is answered


@pytest.mark.parametrize("content", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
async def test_other_protocols_are_bad_answers(content: bytes):
    """What is not HTTP is named as that."""
    with pytest.raises(BadAnswerError, match="not valid HTTP"):
        await answer_to(content)


@pytest.mark.parametrize(
    ("method", "target", "value"),
    [("GET", "/a\r\nX: y", "z"), ("G T", "/", "z"), ("GET", "/", "a\nb"), ("GET", "/ü", "z")],
)
async def test_nothing_can_be_smuggled_into_a_request(method: str, target: str, value: str):
    """Line breaks and the like are the caller's fault and never sent."""
    ours, _theirs = trio.testing.memory_stream_pair()
    with pytest.raises(UnusableRequestError):
        await HttpConnection(ours, "x").exchange(method, target, [("a", value)], max_body_bytes=1)


@given(content=st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail))
def test_any_bytes_are_an_answer_or_the_peers_fault(content: bytes):
    """Whole and byte by byte give the same answer or the same kind of error."""

    def outcome(piece: int) -> object:
        try:
            return trio.run(lambda: answer_to(content, piece=piece))
        except (BadAnswerError, ConnectionBrokenError) as error:
            return type(error)

    assert outcome(1) == outcome(10**9)
