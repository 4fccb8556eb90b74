"""The client itself: python-consul2's `base.Consul` on our transport.

What a caller passes wins over the environment (python-consul2 has it the other way round, which would let a stray
`CONSUL_HTTP_ADDR` send an agent's registrations elsewhere); what is not passed is read from it.
"""

import os
import ssl
import warnings
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from consul import base

from catalog.client.address import Address, parse_address
from catalog.client.http import DEFAULT_CONNECTIONS, DEFAULT_TIMEOUT_S, Transport
from catalog.client.linkspan import Linkspan
from catalog.client.snapshot import Snapshot

ADDRESS_VARIABLES = ("LINKSPAN_HTTP_ADDR", "CONSUL_HTTP_ADDR")
TOKEN_VARIABLES = ("LINKSPAN_TOKEN", "CONSUL_HTTP_TOKEN")


class Options(TypedDict, total=False):
    """What a client may be told beside where and by which token; the first five are python-consul2's."""

    scheme: str | None
    consistency: str
    dc: str | None
    verify: bool | str
    cert: str | tuple[str, str] | None
    tls: ssl.SSLContext | None
    server_name: str
    timeout_s: float
    connections: int


class Consul(base.Consul):  # type: ignore[misc]  # python-consul2 has no types
    """A catalog's client: `async with Consul() as c: await c.health.service("web")`.

    `host` may be a whole address ("https://catalog:8501", "unix:///run/linkspan/agent.sock"). TLS is set by `tls`
    (a context) or by `verify` (a CA file, or False for tests) and `cert` (a file or a (certificate, key) pair);
    `server_name` is sent and checked in place of the host. Raises `InvalidAddressError` for an unreadable address.
    """

    def __init__(
        self, host: str | None = None, port: int | None = None, token: str | None = None, **options: Unpack[Options]
    ) -> None:
        if unknown := options.keys() - Options.__annotations__.keys():
            raise TypeError(f"unknown arguments {sorted(unknown)}: a client takes {', '.join(Options.__annotations__)}")
        address = _address(host, port, options.get("scheme"))
        tls = options.get("tls")
        if tls is None and address.scheme == "https":
            tls = tls_context(options.get("verify", True), options.get("cert"))
        self._transport = Transport(
            address,
            tls=tls,
            server_name=options.get("server_name", ""),
            timeout_s=options.get("timeout_s", DEFAULT_TIMEOUT_S),
            connections=options.get("connections", DEFAULT_CONNECTIONS),
        )
        with warnings.catch_warnings():
            # python-consul2 warns of its discovery chain family whenever a client is made.
            warnings.simplefilter("ignore", DeprecationWarning)
            super().__init__(consistency=options.get("consistency", "default"), dc=options.get("dc"))
        self.scheme = address.scheme
        self.token = token if token is not None else _first_set(TOKEN_VARIABLES) or None
        self.snapshot = Snapshot(self)
        self.linkspan = Linkspan(self)

    def http_connect(self, *_args: Any, **_kwargs: Any) -> Transport:
        """python-consul2's hook for a front end; its arguments are the environment's, ours were read before."""
        return self._transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


def tls_context(verify: bool | str, cert: str | tuple[str, str] | None) -> ssl.SSLContext:
    """A client context from python-consul2's `verify` (True, False, or a CA file) and `cert`."""
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        files = (cert,) if isinstance(cert, str) else cert
        context.load_cert_chain(*files)
    return context


def _address(host: str | None, port: int | None, scheme: str | None) -> Address:
    given = host if host is not None else (_first_set(ADDRESS_VARIABLES) if port is None else "")
    address = parse_address(given) if given else Address()
    if os.environ.get("CONSUL_HTTP_SSL") == "true" and host is None and "://" not in given:
        scheme = scheme or "https"
    return Address(address.host, port or address.port, scheme or address.scheme, address.socket_path)


def _first_set(names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := os.environ.get(name))), "")
