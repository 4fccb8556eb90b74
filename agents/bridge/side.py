"""One of the two catalogs: the calls that the bridge makes to it, and what their answers say about themselves.

Only documented paths of Consul's HTTP API. Nothing is tried again here, no token is ever part of a message, and no
answer is believed further than it says itself (index, leader, filtered by rights).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import quote

import msgspec
import trio

import catalog.client as linkspan
from agents.bridge.rules.intentions import Pair
from agents.bridge.rules.marks import Identity
from agents.bridge.rules.rows import Json

WAIT_S = 60
NOTHING: Mapping[str, str] = MappingProxyType({})
CONSISTENT: Mapping[str, str] = MappingProxyType({"consistent": ""})
"""Parameters with which the leader makes sure that it still leads."""
NO_MESH = "Connect must be enabled"


class SideError(Exception):
    """A side did not answer, or not what was asked for; the message names the side and its reason."""


class RefusedError(SideError):
    """A side refused this one call; others may succeed."""


class NotThereError(RefusedError):
    """A side has nothing under that name."""


class Reading(msgspec.Struct, frozen=True):
    """An answer. `whole` is false if the token may not see everything that there is."""

    body: Any
    index: int = 0
    whole: bool = True


class Side(Protocol):
    """What a mirror needs of a catalog. Every method raises `SideError`."""

    name: str

    async def identity(self) -> Identity: ...

    async def read(self, path: str, params: Mapping[str, str] = NOTHING, index: int = 0) -> Reading: ...

    async def write(self, path: str, body: Json) -> None: ...

    async def put_intention(self, pair: Pair, body: Json) -> None: ...

    async def remove_intention(self, pair: Pair) -> None: ...


def pair_params(pair: Pair) -> dict[str, str]:
    """What names an intention in a call."""
    return {"source": pair[0], "destination": pair[1]}


def health_path(service: str) -> str:
    """The path of a service's instances with their health."""
    return f"/v1/health/service/{quote(service, safe='')}"


class HttpSide:
    """A side over HTTP. `name` is what messages call it, e.g. "from http://127.0.0.1:8500"."""

    def __init__(self, name: str, client: linkspan.Consul) -> None:
        self.name = name
        self._client = client

    async def identity(self) -> Identity:
        """Who it is: datacenter and trust domain."""
        own = (await self.read("/v1/agent/self")).body
        try:
            roots = (await self.read("/v1/connect/ca/roots")).body
        except RefusedError as error:
            if NO_MESH not in str(error):
                raise
            roots = {}
        try:
            return Identity(str(own["Config"]["Datacenter"]), str(roots.get("TrustDomain") or ""))
        except (KeyError, TypeError, AttributeError) as error:
            raise SideError(f"{self.name}: agent/self or connect/ca/roots cannot be read: {error!r}") from error

    async def read(self, path: str, params: Mapping[str, str] = NOTHING, index: int = 0) -> Reading:
        """One read; with `index` it waits for something newer."""
        query = dict(params)
        if index:
            query |= {"index": str(index), "wait": f"{WAIT_S}s"}
        return await self._ask("GET", path, query, _reading)

    async def write(self, path: str, body: Json) -> None:
        """One write to `/v1/catalog/register` or `/v1/catalog/deregister`."""
        await self._ask("PUT", path, {}, _done, msgspec.json.encode(body))

    async def put_intention(self, pair: Pair, body: Json) -> None:
        """Write an intention."""
        await self._ask("PUT", "/v1/connect/intentions/exact", pair_params(pair), _done, msgspec.json.encode(body))

    async def remove_intention(self, pair: Pair) -> None:
        """Delete an intention; none may be there."""
        await self._ask("DELETE", "/v1/connect/intentions/exact", pair_params(pair), _done)

    async def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        parse: Callable[[Any], Reading],
        data: bytes = b"",
    ) -> Reading:
        headers = {"X-Consul-Token": self._client.token} if self._client.token else {}
        http = self._client.http
        try:
            if method == "GET":
                found = await http.get(parse, path, params, headers)
            elif method == "PUT":
                found = await http.put(parse, path, params, data, headers)
            else:
                found = await http.delete(parse, path, params, headers=headers)
        except SideError as error:
            raise type(error)(f"{self.name}: {method} {path}: {error}") from None
        except linkspan.ConsulException as error:
            raise SideError(f"{self.name}: {error or type(error).__name__}") from error
        assert isinstance(found, Reading)
        return found


def _reading(answer: Any) -> Reading:
    _check(answer)
    headers = {str(name).lower(): str(value) for name, value in answer.headers.items()}
    if headers.get("x-consul-knownleader", "true").lower() == "false":
        raise SideError("it knows no leader: what it says may be old")
    try:
        body = msgspec.json.decode(answer.content)
        index = int(headers.get("x-consul-index") or 0)
    except ValueError as error:
        raise SideError(f"the answer cannot be read: {error}") from error
    return Reading(body, index, headers.get("x-consul-results-filtered-by-acls", "").lower() != "true")


def _done(answer: Any) -> Reading:
    _check(answer)
    return Reading(None)


def _check(answer: Any) -> None:
    if answer.code != 200:
        text = str(answer.body or "").strip().splitlines()
        kind = NotThereError if answer.code == 404 else RefusedError
        raise kind(f"{answer.code} {text[0][:300] if text else ''}")


async def each(names: Iterable[str], at_once: int, work: Callable[[str], Awaitable[None]]) -> None:
    """Do `work` for every name, `at_once` side by side; the first failure ends it.

    Raises:
        SideError: the first that `work` raised.
    """
    failed: list[SideError] = []
    limit = trio.CapacityLimiter(at_once)

    async def one(name: str, scope: trio.CancelScope) -> None:
        try:
            async with limit:
                await work(name)
        except SideError as error:
            failed.append(error)
            scope.cancel()

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(one, name, nursery.cancel_scope)
    if failed:
        raise failed[0]
