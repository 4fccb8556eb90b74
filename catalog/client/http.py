"""The HTTP side of the client: python-consul2's `HTTPClient` over httpx2 on trio.

One connection a concurrent call, bounded; a time-out that outlasts every blocking query; python-consul2's exceptions.
It must never log or repeat a token, nor retry a write.
"""

import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import httpx2
from consul import base

from catalog.client.address import Address

Params = Iterable[tuple[str, Any]] | Mapping[str, Any] | None
Callback = Callable[[base.Response], Any]

CONNECT_TIMEOUT_S = 5.0
DEFAULT_TIMEOUT_S = 30.0
DEFAULT_WAIT_S = 300.0
SLACK_S = 5.0
DEFAULT_CONNECTIONS = 64

_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class UnreachableError(base.ConsulException):  # type: ignore[misc]  # python-consul2 has no types
    """The catalog cannot be reached at all; the message says where it was looked for."""


class Transport(base.HTTPClient):  # type: ignore[misc]  # python-consul2 has no types
    """What every family of the client calls: `get`, `put`, `post`, `delete`, awaited by the family's caller."""

    def __init__(
        self,
        address: Address,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        connections: int = DEFAULT_CONNECTIONS,
    ) -> None:
        host = f"[{address.host}]" if ":" in address.host else address.host
        super().__init__(host, address.port, address.scheme)
        self._where = f"unix://{address.socket_path}" if address.socket_path else self.base_uri
        self._timeout_s = timeout_s
        self._extensions = {"sni_hostname": server_name} if server_name else {}
        verify: ssl.SSLContext | bool = False  # plain HTTP: nothing is verified, and no CA store is loaded
        if address.scheme == "https":
            verify = tls or ssl.create_default_context()
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(
                verify=verify,
                trust_env=False,
                uds=address.socket_path or None,
                limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            ),
            trust_env=False,
            follow_redirects=False,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    def get(self, callback: Callback, path: str, params: Params = None, headers: Any = None) -> Awaitable[Any]:
        return self._call(callback, "GET", path, params, headers)

    def put(
        self, callback: Callback, path: str, params: Params = None, data: str | bytes = "", headers: Any = None
    ) -> Awaitable[Any]:
        return self._call(callback, "PUT", path, params, headers, data)

    def post(
        self, callback: Callback, path: str, params: Params = None, data: str | bytes = "", headers: Any = None
    ) -> Awaitable[Any]:
        return self._call(callback, "POST", path, params, headers, data)

    def delete(
        self, callback: Callback, path: str, params: Params = None, data: str | bytes = "", headers: Any = None
    ) -> Awaitable[Any]:
        return self._call(callback, "DELETE", path, params, headers, data)

    async def _call(  # noqa: PLR0917 - python-consul2's order of arguments
        self,
        callback: Callback,
        method: str,
        path: str,
        params: Params,
        headers: Mapping[str, str] | None,
        data: str | bytes = b"",
    ) -> Any:
        path = path if path.startswith("/v1/") else f"/v1{path}"  # python-consul2 forgets it for leaf certificates
        pairs = list(params.items() if isinstance(params, Mapping) else params or ())
        read_s = read_timeout_s(pairs, self._timeout_s)
        try:
            answer = await self._client.request(
                method,
                self.uri(path, pairs),
                headers=headers,
                content=data or None,
                # No bound on the wait for a free connection: a full pool is back-pressure, not a fault.
                timeout=httpx2.Timeout(read_s, connect=CONNECT_TIMEOUT_S, pool=None),
                extensions=self._extensions,
            )
        except httpx2.ConnectTimeout as error:
            raise UnreachableError(f"no catalog answers at {self._where} within {CONNECT_TIMEOUT_S:g} s") from error
        except httpx2.TimeoutException as error:
            raise base.Timeout(f"{method} {path}: no answer from {self._where} within {read_s:g} s") from error
        except httpx2.TransportError as error:
            raise UnreachableError(f"{method} {path}: {self._where}: {error or type(error).__name__}") from error
        return callback(base.Response(answer.status_code, answer.headers, answer.text, answer.content))


def read_timeout_s(params: Iterable[tuple[str, Any]], default_s: float) -> float:
    """How long an answer may take: for a blocking query its wait and the sixteenth that the server may add, with slack."""
    values = dict(params)
    if not values.get("index"):
        return default_s
    wait_s = _wait_s(str(values.get("wait") or ""))
    return max(default_s, wait_s + wait_s / 16 + SLACK_S)


def _wait_s(text: str) -> float:
    """Seconds of a wait like "30s"; what cannot be read counts as the server's default: it will refuse it anyway."""
    for unit, size_s in _UNITS_S.items():
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdecimal():
            return float(number) * size_s
    return DEFAULT_WAIT_S
