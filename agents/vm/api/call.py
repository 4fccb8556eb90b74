"""One request and its answer, and the ASGI endpoint that connects them: methods, bounded body, errors as text, hang-ups.

An answer is whole, or a stream that lasts until its caller hangs up.

It must never leave a handler running whose caller is gone, nor show a traceback.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import trio

from agents.vm.definition.document import DocumentError, load_json
from agents.vm.definition.duration import InvalidDurationError, parse_duration
from agents.vm.definition.keys import DefinitionError, UnknownFieldError
from agents.vm.local.entries import LocalError

log = logging.getLogger("linkspan.agent.api")

MAX_BODY_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 15.0
MAX_PARAMETERS = 64
DEFAULT_WAIT_S = 300.0
MAX_WAIT_S = 600.0
JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class CallError(Exception):
    """The caller must change something; `status` and the text are its answer."""

    def __init__(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class Call(msgspec.Struct, frozen=True):
    """One request, its body read whole. `target` is path and query as they came; header names are lower case."""

    method: str
    target: str
    path: dict[str, str] = {}
    query: dict[str, str] = {}
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def flag(self, name: str) -> bool:
        """Whether a parameter is given and does not say no."""
        return name in self.query and self.query[name].lower() not in {"false", "0"}

    def truth(self, name: str) -> bool:
        """A parameter that must say yes or no.

        Raises:
            CallError: it is missing or says neither.
        """
        value = self.query.get(name, "")
        if not value:
            raise CallError(400, f"Missing value for {name}")
        known = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
        if value.lower() not in known:
            raise CallError(400, f"Invalid value for {name}: {value[:40]!r}")
        return known[value.lower()]

    def wait_s(self) -> float:
        """How many seconds the call may wait for news (`?wait=`), at most ten minutes.

        Raises:
            CallError: it is no duration.
        """
        text = self.query.get("wait", "")
        try:
            return min(parse_duration(text), MAX_WAIT_S) if text else DEFAULT_WAIT_S
        except InvalidDurationError as error:
            raise CallError(400, f"Invalid wait time: {error}") from error

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            CallError: it is none.
        """
        try:
            return load_json(self.body.decode("utf-8"))
        except (UnicodeDecodeError, DocumentError) as error:
            raise CallError(400, f"Request decode failed: {error}") from error


Write = Callable[[bytes], Awaitable[None]]


class Answer(msgspec.Struct, frozen=True):
    """What goes back. `stream` is called to write more after `body`, until it returns or the caller is gone."""

    status: int = 200
    body: bytes = b""
    content_type: str = TEXT_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    stream: Callable[[Write], Awaitable[None]] | None = None


Handler = Callable[[Call], Awaitable[Answer]]


def json_answer(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """A JSON answer."""
    return Answer(status, msgspec.json.encode(value), JSON_TYPE, headers)


def text_answer(text: str, status: int = 200) -> Answer:
    """A plain text answer, as Consul gives errors."""
    return Answer(status, text.encode())


class Endpoint:
    """One path as an ASGI app. `any_method` takes what `methods` does not name."""

    def __init__(self, *, any_method: Handler | None = None, **methods: Handler) -> None:
        self._methods = methods
        self._any_method = any_method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its handler is cancelled when the caller hangs up."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        answer: Answer | None = None
        try:
            handler = self._handler(scope["method"])
            call = _call(scope, await _read_body(receive))
            if handler is not self._any_method:
                _refuse_tenants(call)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_on_hang_up, receive, nursery.cancel_scope)
                answer = _pretty(call, await _guarded(handler, call))
                if answer.stream is not None:
                    streamed, answer = answer, None
                    await _send_stream(streamed, send)
                nursery.cancel_scope.cancel()
        except CallError as error:
            answer = Answer(error.status, str(error).encode(), TEXT_TYPE, error.headers)
        if answer is not None:
            await _send(answer, send)

    def _handler(self, method: str) -> Handler:
        handler = self._methods.get(method) or self._any_method
        if handler is not None:
            return handler
        allowed = (("allow", ",".join(("OPTIONS", *self._methods))),)
        if method == "OPTIONS":

            async def options(_: Call) -> Answer:
                return Answer(200, b"", JSON_TYPE, allowed)

            return options
        raise CallError(405, f"method {method[:20]} not allowed", allowed)


async def _guarded(handler: Handler, call: Call) -> Answer:
    """The handler's answer, or the one its error deserves; survives whatever a handler raises, so that the agent lives."""
    try:
        return await handler(call)
    except CallError as error:
        return Answer(error.status, str(error).encode(), TEXT_TYPE, error.headers)
    except LocalError as error:
        return text_answer(str(error), error.status)
    except UnknownFieldError as error:
        return text_answer(f'Request decode failed: json: unknown field "{error.field}": {error}', 400)
    except DefinitionError as error:
        return text_answer(str(error) if not error.path else f"Invalid definition: {error}", 400)
    except Exception:  # the request's root: one that fails unforeseen is logged and answered 500, the agent lives
        log.exception("%s %s failed", call.method, call.target.partition("?")[0])
        return text_answer("internal error: see the agent's log", 500)


def _call(scope: Scope, body: bytes) -> Call:
    raw_path = scope.get("raw_path") or scope["path"].encode()
    raw_query: bytes = scope.get("query_string", b"")
    target = raw_path.partition(b"?")[0].decode("latin-1") + (f"?{raw_query.decode('latin-1')}" if raw_query else "")
    try:
        pairs = parse_qsl(raw_query.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError as error:
        raise CallError(400, f"Invalid query: at most {MAX_PARAMETERS} parameters, percent-encoded") from error
    query: dict[str, str] = {}
    for name, value in pairs:
        query.setdefault(name, value)
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
    return Call(scope["method"], target, dict(scope.get("path_params", {})), query, headers, body)


def _refuse_tenants(call: Call) -> None:
    for name in ("ns", "partition"):
        if call.query.get(name):
            raise CallError(400, f'Invalid query parameter: "{name}": there is only the default one here, leave it out')


def _pretty(call: Call, answer: Answer) -> Answer:
    """With `?pretty`, JSON is laid out for people."""
    if "pretty" not in call.query or answer.content_type != JSON_TYPE or not answer.body:
        return answer
    return msgspec.structs.replace(answer, body=msgspec.json.format(answer.body, indent=4) + b"\n")


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    with trio.move_on_after(BODY_TIMEOUT_S) as scope:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise CallError(400, "the caller hung up")
            body += message.get("body", b"")
            if len(body) > MAX_BODY_BYTES:
                raise CallError(413, f"the body is too large: at most {MAX_BODY_BYTES} bytes are read", _CLOSE)
            if not message.get("more_body", False):
                return bytes(body)
    assert scope.cancelled_caught
    raise CallError(408, f"the body did not come within {BODY_TIMEOUT_S:g} s", _CLOSE)


_CLOSE = (("connection", "close"),)


async def _cancel_on_hang_up(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _send_stream(answer: Answer, send: Send) -> None:
    """Start the answer at once, then pass on what the stream writes; survives whatever it raises, so that the agent lives."""
    headers = [("content-type", answer.content_type), *answer.headers]
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})

    async def write(data: bytes) -> None:
        await send({"type": "http.response.body", "body": data, "more_body": True})

    assert answer.stream is not None
    try:
        await answer.stream(write)
    except Exception:  # the request's root: a stream that fails unforeseen is logged and ended, the agent lives
        log.exception("a stream failed")
    await send({"type": "http.response.body", "body": b""})


async def _send(answer: Answer, send: Send) -> None:
    headers = [("content-type", answer.content_type), ("content-length", str(len(answer.body))), *answer.headers]
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": answer.body})
