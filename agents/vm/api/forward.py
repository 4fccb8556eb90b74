"""Everything under `/v1` that is not the agent's: passed on to the catalog with the caller's own token.

The connection to the catalog carries the node's certificate, and with it the node's rights. They must never be lent: the
endpoints for hosts and proxies are not forwarded, and a write needs a token of the caller's own.
"""

from collections.abc import Mapping
from posixpath import normpath
from typing import Protocol
from urllib.parse import unquote

import msgspec

from agents.vm.api.call import Answer, Call, CallError

FORWARD_TIMEOUT_S = 700.0
"""Longer than the longest blocking query (10 min and its jitter)."""
OWN_PREFIX = "/v1/linkspan/"
_READS = {"GET", "HEAD", "OPTIONS"}
TOKEN_HEADER = "x-consul-token"  # noqa: S105 - a header's name
_PASSED_ON = {"content-type", "accept", "cache-control"}
_PASSED_BACK = {
    "content-type",
    "age",
    "cache-control",
    "allow",
    "retry-after",
    "x-cache",
    "vary",
    "content-security-policy",
    "x-content-type-options",
    "location",
}

Headers = tuple[tuple[str, str], ...]


class Passed(msgspec.Struct, frozen=True):
    """The catalog's answer."""

    status: int
    headers: Headers
    body: bytes


class CatalogAwayError(Exception):
    """The catalog cannot be reached; the text says why."""


class Upstream(Protocol):
    """One request to the catalog over the node's connection; raises CatalogAwayError."""

    async def __call__(self, method: str, target: str, headers: Headers, body: bytes) -> Passed: ...


class Forward:
    """The handler of all other paths."""

    def __init__(self, upstream: Upstream, tokens: Mapping[str, str] | None = None) -> None:
        self._upstream = upstream
        self._tokens = tokens if tokens is not None else {}

    async def __call__(self, call: Call) -> Answer:
        """Pass the call on; the caller's hang-up cancels it. Who has no token has the agent's default one, if it was set."""
        token = find_token(call) or self._tokens.get("default", "")
        refuse_lending(call, token)
        headers = tuple((name, value) for name, value in call.headers if name in _PASSED_ON)
        if token:
            headers = (*headers, (TOKEN_HEADER, token))
        try:
            passed = await self._upstream(call.method, call.target, headers, call.body)
        except CatalogAwayError as error:
            raise CallError(503, f"the catalog cannot be reached: {error}") from error
        back = tuple(
            (name, value)
            for name, value in passed.headers
            if (name in _PASSED_BACK or name.startswith("x-consul-")) and name != "content-type"
        )
        content_type = next((value for name, value in passed.headers if name == "content-type"), "text/plain")
        return Answer(passed.status, passed.body, content_type, back)


def refuse_lending(call: Call, token: str) -> None:
    """Refuse what would use the node's own rights: `token` is the one that goes along.

    Raises:
        CallError: it is an endpoint for hosts and proxies, or a write without a token.
    """
    path = unquote(call.target.partition("?")[0], "latin-1")
    if f"{normpath(path)}/".lower().startswith(OWN_PREFIX):
        raise CallError(
            403, "Permission denied: this endpoint is for hosts and proxies, not for callers of the agent's API"
        )
    if not path.startswith("/v1/") or {".", ".."} & set(path.split("/")):
        raise CallError(404, "there is no such path here: the API is under /v1/")
    if call.method not in _READS and not token:
        raise CallError(403, "Permission denied: a write through the agent needs a token (X-Consul-Token)")


def find_token(call: Call) -> str:
    """The caller's token, found just as the catalog finds it: what it would not take for a token must not pass for one here.

    `?token` wins, then the first `X-Consul-Token`, then `Authorization: Bearer` (Consul's order).
    """
    first: dict[str, str] = {}
    for name, value in call.headers:
        first.setdefault(name, value.strip())
    if token := call.query.get("token") or first.get(TOKEN_HEADER):
        return token
    scheme, _, token = first.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
