"""One path of the API as an ASGI app: its methods, the caller's right to them, and how refusals are printed.

Every method must be declared with the right it needs: one without cannot be served. Whatever a handler raises
becomes Consul's text/plain; only what nobody foresaw is logged with its traceback, and says nothing outside.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from catalog.access.authorizer import Access, Resource
from catalog.access.callers import Caller, CallerKind
from catalog.api.gate import Gate, Right
from catalog.api.http.answer import JSON, Answer, text_answer
from catalog.api.http.call import Call, find_token, read_body, read_headers
from catalog.api.http.connection import connection_of
from catalog.api.http.disconnect import Receive, Scope, Send
from catalog.api.http.errors import ApiError, MethodNotAllowedError
from catalog.api.http.query import Query, parse_query
from catalog.compile.entries.reader import ConfigEntryError
from catalog.state.errors import InvalidChangeError

logger = logging.getLogger(__name__)

REGISTRATION_BYTES = 512 * 1024
"""The bound of a body unless an endpoint says otherwise (Consul's bound for values and transactions)."""

STRANGER_BYTES = 64 * 1024
"""The bound of a body from a connection without a certificate: a join fits, and thousands of them fit into memory."""

WRITES = frozenset({"PUT", "POST", "DELETE", "PATCH"})
HUNG_UP = 499
"""The status in the audit log for a write whose caller did not wait for the answer."""

OWN_NODE = "_agent"
"""What stands in `?near=` for the node that asks."""

Handler = Callable[[Call], Awaitable[Answer]]


class Method(msgspec.Struct, frozen=True):
    """What one method of a path does, and the right it asks of its caller. `body`: the type it is read into, if it is one.

    `audited` False: a POST or PUT that changes nothing of note, and comes every few seconds from everybody.
    """

    handler: Handler
    right: Right
    body_limit_bytes: int = REGISTRATION_BYTES
    body: Any = None
    audited: bool = True


class Endpoint:
    """One path. `headers` go with every answer; `tenants_ignored` and `peers_listed` as in `parse_query`."""

    def __init__(
        self,
        gate: Gate,
        methods: Mapping[str, Method],
        *,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        tenants_ignored: bool = False,
        peers_listed: bool = False,
    ) -> None:
        self.methods = methods
        self._gate = gate
        self._headers = headers
        self._tenants_ignored = tenants_ignored
        self._peers_listed = peers_listed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        heard: list[Caller | None] = []
        try:
            answer = await self._answer(scope, receive, heard)
        except Exception as error:  # noqa: BLE001 - the request's root: survives any handler, logs what is not foreseen
            answer = refusal(error, f"{scope['method']} {scope['path']}")
        except BaseException:  # its caller hung up: what it asked for may happen all the same
            self._note(scope, heard, HUNG_UP)
            raise
        self._note(scope, heard, answer.status)
        await send_answer(answer, self._headers, send)

    def _note(self, scope: Scope, heard: list[Caller | None], status: int) -> None:
        """A line for the audit log, if this was a write."""
        audit, method = self._gate.audit, self.methods.get(scope["method"])
        if audit is None or scope["method"] not in WRITES or method is None or not method.audited:
            return
        caller = heard[0] if heard else None
        client = scope.get("client")
        audit.note(
            who="nobody" if caller is None else str(caller.kind) if caller.kind is CallerKind.TOKEN else str(caller),
            accessor=caller.name if caller is not None and caller.kind is CallerKind.TOKEN else "",
            peer=client[0] if client else "",
            method=scope["method"],
            path=scope["path"],
            status=status,
        )

    async def _answer(self, scope: Scope, receive: Receive, heard: list[Caller | None]) -> Answer:
        name = scope["method"]
        if name == "OPTIONS":
            return Answer(200, b"", JSON, ((b"allow", ",".join(("OPTIONS", *self.methods)).encode()),))
        method = self.methods.get(name)
        if method is None:
            raise MethodNotAllowedError(name, tuple(self.methods))
        headers = read_headers(scope)
        # The body first: the watcher for hang-ups looks past it only when it has been read.
        limit_bytes = method.body_limit_bytes
        if connection_of(scope).is_strangers:
            limit_bytes = min(limit_bytes, STRANGER_BYTES)
        elif limit_bytes > REGISTRATION_BYTES and not self._may_send_much(scope, headers):
            limit_bytes = REGISTRATION_BYTES  # who is refused anyway shall not fill the memory first
        body = await read_body(receive, headers, limit_bytes)
        query = self._query(scope)
        caller = self._gate.caller(scope, find_token(headers, query.first("token")))
        heard.append(caller)
        caller = self._gate.admit(caller, method.right)
        if query.near == OWN_NODE:  # an agent asks with its node's certificate
            own = caller.name if caller.kind is CallerKind.NODE else self._gate.node
            query = msgspec.structs.replace(query, near=own)
        client = scope.get("client")
        call = Call(
            method=name,
            path=scope.get("path_params", {}),
            query=query,
            headers=headers,
            body=body,
            caller=caller,
            peer=client[0] if client else "",
            authorizer=self._gate.authorizer(caller, scope),
            target=scope["path"],
            connection=connection_of(scope),
        )
        return await method.handler(call)

    def _query(self, scope: Scope) -> Query:
        return parse_query(
            scope.get("query_string", b""),
            datacenter=self._gate.datacenter,
            tenants_ignored=self._tenants_ignored,
            peers_listed=self._peers_listed,
        )

    def _may_send_much(self, scope: Scope, headers: Mapping[str, str]) -> bool:
        """Whether the caller manages tokens, and so may send a body beyond the usual bound: a snapshot."""
        try:
            caller = self._gate.caller(scope, find_token(headers, self._query(scope).first("token")))
        except ApiError:  # said again when the body has been read
            return False
        return caller is not None and self._gate.authorizer(caller, scope).allows(Resource.ACL, "", Access.WRITE)


def refusal(error: Exception, what: str) -> Answer:
    """The answer that an exception means."""
    match error:
        case ApiError():
            return text_answer(str(error), error.status, tuple(error.headers))
        case ConfigEntryError():
            return text_answer(str(error), error.status)
        case InvalidChangeError():
            return text_answer(f'field "{error.field}": {error}', 400)
        case _:
            logger.error("%s failed", what, exc_info=error)
            return text_answer("internal error: see the catalog's log", 500)


async def send_answer(answer: Answer, headers: tuple[tuple[bytes, bytes], ...], send: Send) -> None:
    """Write an answer out (ASGI)."""
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [
                (b"content-type", answer.content_type),
                (b"content-length", b"%d" % len(answer.body)),
                (b"vary", b"Accept-Encoding"),
                *headers,
                *answer.headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": answer.body})
