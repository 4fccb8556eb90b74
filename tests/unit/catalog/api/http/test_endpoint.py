"""One path: methods, refusals, and what an exception prints as."""

from typing import Any

import pytest
import trio

from catalog.access.acl.settings import EVERYONE
from catalog.api.gate import IN_HANDLER, OPEN
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.call import Call
from catalog.api.http.connection import STATE_KEY, Connection
from catalog.api.http.endpoint import STRANGER_BYTES, Endpoint, Method, refusal
from catalog.api.http.errors import (
    ApiError,
    BadRequestError,
    BodyTooLargeError,
    MethodNotAllowedError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
    RequestTimeoutError,
    UnavailableError,
)
from catalog.compile.config_entries import ConfigEntryError
from catalog.state.errors import InvalidChangeError
from tests.fakes.catalog_calls import open_api


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequestError("why"), 400),
        (PermissionDeniedError("why"), 403),
        (NotFoundError("why"), 404),
        (RequestTimeoutError("why"), 408),
        (BodyTooLargeError("why"), 413),
        (RefusedError("why"), 500),
        (UnavailableError("why"), 503),
        (ConfigEntryError(400, "why"), 400),
    ],
)
def test_a_refusal_says_why(error: Exception, status: int) -> None:
    answer = refusal(error, "GET /")
    assert (answer.status, answer.body, answer.content_type) == (status, b"why", b"text/plain; charset=utf-8")


def test_a_refused_change_names_its_field() -> None:
    answer = refusal(InvalidChangeError("Service.Port", "must be 0 to 65535, not 70000"), "PUT /")
    assert (answer.status, b'"Service.Port"' in answer.body) == (400, True)


def test_what_nobody_foresaw_says_nothing_outside(caplog: pytest.LogCaptureFixture) -> None:
    answer = refusal(KeyError("a secret"), "GET /x")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert "GET /x failed" in caplog.text


def test_a_wrong_method_names_the_right_ones() -> None:
    error = MethodNotAllowedError("PATCH", ("GET", "PUT"))
    assert isinstance(error, ApiError)
    assert (error.status, str(error)) == (405, "method PATCH not allowed")
    assert error.headers == ((b"allow", b"OPTIONS,GET,PUT"),)


async def test_a_handler_gets_the_request_and_its_answer_goes_out() -> None:
    seen: list[Call] = []
    sent: list[dict[str, Any]] = []

    async def handler(call: Call) -> Answer:
        seen.append(call)
        return json_answer({"a": 1})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async with open_api() as api:
        endpoint = Endpoint(api.gate, {"PUT": Method(handler, OPEN)}, headers=((b"x-a", b"b"),))
        scope = {
            "type": "http",
            "method": "PUT",
            "path": "/x/web",
            "path_params": {"name": "web"},
            "query_string": b"tag=v1",
            "headers": [(b"x-h", b"v")],
            "client": ("192.0.2.1", 1234),
        }
        await endpoint(scope, receive, send)
    (call,) = seen
    assert (call.method, call.path["name"], call.query.tags, call.body) == ("PUT", "web", ("v1",), b"{}")
    assert (call.headers, call.peer) == ({"x-h": "v"}, "192.0.2.1")
    assert sent[0]["status"] == 200
    assert (b"x-a", b"b") in sent[0]["headers"]
    assert (b"content-length", b"7") in sent[0]["headers"]
    assert sent[1]["body"] == b'{"a":1}'


@pytest.mark.parametrize(
    ("connection", "status"),
    [(Connection(), 413), (Connection(loopback=True), 200), (Connection(certificate={"subject": ()}), 200)],
)
async def test_a_stranger_may_send_no_more_than_a_join_needs(connection: Connection, status: int) -> None:
    """Bodies are read before the caller is judged: without a certificate, thousands of them must fit into memory."""
    sent: list[dict[str, Any]] = []

    async def handler(_: Call) -> Answer:
        return json_answer(1)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * (STRANGER_BYTES + 1), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async with open_api(acl=EVERYONE) as api:
        endpoint = Endpoint(api.gate, {"POST": Method(handler, OPEN, 1024 * 1024)})
        scope = {"type": "http", "method": "POST", "path": "/x", "headers": [], "state": {STATE_KEY: connection}}
        await endpoint(scope, receive, send)
    assert sent[0]["status"] == status


class Sink:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str, str, int]] = []

    def note(self, *, who: str, accessor: str, peer: str, method: str, path: str, status: int) -> None:
        self.noted.append((who, method, path, status))


async def ask_of(endpoint: Endpoint, method: str) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        await trio.lowlevel.checkpoint()

    scope: dict[str, Any] = {"type": "http", "method": method, "path": "/x", "query_string": b"token=s3cret"}
    await endpoint(scope | {"headers": [], "state": {STATE_KEY: Connection(loopback=True)}}, receive, send)


async def test_writes_are_noted_whatever_becomes_of_them(autojump_clock: trio.testing.MockClock) -> None:
    """Answered, refused, or not waited for; reads, and what the endpoint says is no news, are not."""

    async def answers(_: Call) -> Answer:
        return json_answer({})

    async def refuses(_: Call) -> Answer:
        raise BadRequestError("why")

    async def hangs(_: Call) -> Answer:
        await trio.sleep_forever()
        raise AssertionError

    async with open_api(acl=EVERYONE) as api:
        api.gate.audit = sink = Sink()
        methods = {
            "GET": Method(answers, IN_HANDLER),
            "PUT": Method(answers, IN_HANDLER),
            "POST": Method(refuses, IN_HANDLER),
            "DELETE": Method(hangs, IN_HANDLER),
            "PATCH": Method(answers, IN_HANDLER, audited=False),
        }
        for method in methods:
            with trio.move_on_after(1):
                await ask_of(Endpoint(api.gate, methods), method)
    assert sink.noted == [
        ("operator", "PUT", "/x", 200),
        ("operator", "POST", "/x", 400),
        ("operator", "DELETE", "/x", 499),
    ]
