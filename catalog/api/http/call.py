"""One request, parsed as far as every endpoint needs it: path, query, headers, body, caller.

It must never hold more of a body than the endpoint's bound, nor wait for it without limit.
"""

from collections.abc import Mapping

import msgspec
import trio

from catalog.access.authorizer import NOTHING, Access, Authorizer, Resource, refusal_text
from catalog.access.callers import Caller
from catalog.api.http.connection import UNKNOWN, Connection
from catalog.api.http.disconnect import Receive, Scope
from catalog.api.http.errors import BodyTooLargeError, PermissionDeniedError, RequestTimeoutError
from catalog.api.http.query import Query

BODY_TIMEOUT_S = 30.0
DRAIN_BYTES = 16 * 1024 * 1024
"""How much of a body that is too large is read and thrown away, so that its sender gets to read the answer."""


class Call(msgspec.Struct, frozen=True):
    """What a handler gets. `path` holds the path's parameters, `headers` the first of each name, in lower case; `target` is the whole path."""

    method: str
    path: Mapping[str, str]
    query: Query
    headers: Mapping[str, str]
    body: bytes
    caller: Caller
    peer: str = ""
    authorizer: Authorizer = NOTHING
    target: str = ""
    connection: Connection = UNKNOWN

    def require(self, resource: Resource, name: str, access: Access) -> None:
        """Go on only if the caller may.

        Raises:
            PermissionDeniedError: it may not.
        """
        if not self.authorizer.allows(resource, name, access):
            raise PermissionDeniedError(refusal_text(self.authorizer, resource, name, access))

    def require_all(self, resource: Resource, prefix: str, access: Access) -> None:
        """Go on only if the caller may for every name that begins with `prefix`.

        Raises:
            PermissionDeniedError: it may not.
        """
        if not self.authorizer.allows_all(resource, prefix, access):
            raise PermissionDeniedError(refusal_text(self.authorizer, resource, prefix, access))


def read_headers(scope: Scope) -> dict[str, str]:
    """The request's headers by lower-case name; of a repeated one the first counts."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return headers


def find_token(headers: Mapping[str, str], query_token: str) -> str:
    """The caller's token: `?token` wins, then `X-Consul-Token`, then `Authorization: Bearer` (Consul's order)."""
    if query_token:
        return query_token
    if token := headers.get("x-consul-token", ""):
        return token
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def read_body(receive: Receive, headers: Mapping[str, str], limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        BodyTooLargeError: it has more than `limit_bytes`.
        RequestTimeoutError: it did not come within `BODY_TIMEOUT_S`.
    """
    parts: list[bytes] = []
    size, more = 0, True
    with trio.move_on_after(BODY_TIMEOUT_S) as clock:
        while more:
            message = await receive()
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size <= limit_bytes:
                parts.append(part)
            elif size > limit_bytes + DRAIN_BYTES:
                break
    if size > limit_bytes:
        raise BodyTooLargeError(f"Request body is too large: at most {limit_bytes} bytes are read here")
    if clock.cancelled_caught:
        stated = headers.get("content-length", "?")
        raise RequestTimeoutError(f"Request body: {size} of {stated} bytes came within {BODY_TIMEOUT_S:g} s")
    return b"".join(parts)
