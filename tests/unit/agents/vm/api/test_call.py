"""The endpoint: methods, bounds, errors, hang-ups."""

from typing import Any

import httpx2
import pytest
import trio
import trio.testing

from agents.vm.api.call import MAX_BODY_BYTES, Answer, Call, CallError, Endpoint, json_answer


async def echo(call: Call) -> Answer:
    return json_answer([call.method, call.target, call.query, call.body.decode()])


async def broken(_: Call) -> Answer:
    raise RuntimeError("secret detail")


def client(endpoint: Endpoint) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=endpoint), base_url="http://agent")


async def test_methods() -> None:
    """Others are 405 and are told which there are; OPTIONS lists them."""
    async with client(Endpoint(GET=echo)) as one:
        assert (await one.get("/x?a=1&a=2&b")).json() == ["GET", "/x?a=1&a=2&b", {"a": "1", "b": ""}, ""]
        for method in ("HEAD", "PUT"):
            answer = await one.request(method, "/x")
            assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS,GET")
        options = await one.options("/x")
        assert (options.status_code, options.headers["allow"]) == (200, "OPTIONS,GET")


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        ("/x?ns=team", b"", 400),
        ("/x?ns=default", b"", 400),
        ("/x?" + "&".join(f"p{n}=1" for n in range(65)), b"", 400),
    ],
)
async def test_bounds(target: str, body: bytes, status: int) -> None:
    """Other namespaces, too many parameters, too large a body."""
    async with client(Endpoint(PUT=echo)) as one:
        assert (await one.put(target, content=body)).status_code == status


async def test_a_surprise_is_500_without_its_detail(caplog: pytest.LogCaptureFixture) -> None:
    """The caller is not shown what broke; the log is."""
    async with client(Endpoint(GET=broken)) as one:
        answer = await one.get("/x?token=t")
    assert (answer.status_code, answer.text) == (500, "internal error: see the agent's log")
    assert "secret detail" in caplog.text
    assert "token" not in caplog.text.partition("Traceback")[0]


def scope() -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": []}


async def test_a_hang_up_cancels_the_handler(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing is left running, and nothing is sent to nobody."""
    del autojump_clock
    sent: list[object] = []
    ended = trio.Event()

    async def park(_: Call) -> Answer:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError

    calls = 0

    async def receive() -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        await trio.sleep(3)
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)
        await trio.lowlevel.checkpoint()

    await Endpoint(GET=park)(scope(), receive, send)
    assert ended.is_set()
    assert not sent


async def test_a_body_that_is_too_large_is_413() -> None:
    """It is not read to its end."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"type": "http.request", "body": b"x" * (MAX_BODY_BYTES // 2), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)
        await trio.lowlevel.checkpoint()

    await Endpoint(GET=echo)(scope(), receive, send)
    assert sent[0]["status"] == 413


async def test_a_body_that_never_ends_is_408(autojump_clock: trio.testing.MockClock) -> None:
    """A slow sender does not hold the agent."""
    del autojump_clock
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await trio.sleep(1)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)
        await trio.lowlevel.checkpoint()

    await Endpoint(GET=echo)(scope(), receive, send)
    assert sent[0]["status"] == 408


async def test_pretty_lays_json_out() -> None:
    """For people; text stays as it is."""

    async def show(_: Call) -> Answer:
        return json_answer({"a": [1]})

    async with client(Endpoint(GET=show, PUT=echo)) as one:
        assert (await one.get("/x?pretty")).text == '{\n    "a": [\n        1\n    ]\n}\n'
        assert (await one.get("/x")).text == '{"a":[1]}'
        assert (await one.put("/x?pretty", content=b"b")).status_code == 200


async def test_a_stream_starts_at_once_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    """What it wrote until then is the answer; the log says what broke."""

    async def stream(write: Any) -> None:
        await write(b"one")
        raise RuntimeError("broken")

    async def streaming(_: Call) -> Answer:
        return Answer(stream=stream)

    async with client(Endpoint(GET=streaming)) as one:
        answer = await one.get("/x")
    assert (answer.status_code, answer.text, "content-length" in answer.headers) == (200, "one", False)
    assert "a stream failed" in caplog.text


@pytest.mark.parametrize(
    ("query", "wait_s"), [({}, 300), ({"wait": "5s"}, 5), ({"wait": "2h"}, 600), ({"wait": "x"}, 0)]
)
def test_how_long_a_call_waits(query: dict[str, str], wait_s: float) -> None:
    """Five minutes unless told otherwise, ten at most."""
    call = Call("GET", "/x", query=query)
    if wait_s:
        assert call.wait_s() == wait_s
        return
    with pytest.raises(CallError, match="Invalid wait time"):
        call.wait_s()
