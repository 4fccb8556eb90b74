"""The seam between the local state and the catalog, and the one implementation: Consul's catalog API.

It must never decide what to register; it carries bodies and turns answers into errors.
"""

from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

import msgspec

from agents.vm.local.forms import Json
from agents.vm.local.reconcile import Deregister, Held, Register, Step

_BUSY = {429, 502, 503, 504}
_CHECKS = msgspec.json.Decoder(list[Json] | None)
_NODE = msgspec.json.Decoder(dict[str, Json | None] | None)


class RegistrarError(Exception):
    """The catalog could not be reached or had trouble of its own: worth trying again later."""


class RefusedError(RegistrarError):
    """The catalog refuses this registration: trying again helps only after someone changed it or the access rules."""


class ForbiddenError(RefusedError):
    """The catalog's access rules refuse it (403): what is asked for is not this node's to say."""


class Registrar(Protocol):
    """Whoever carries registrations to the catalog."""

    async def apply(self, step: Step) -> None:
        """Register or deregister; raises RegistrarError."""
        ...

    async def held(self, node: str) -> Held:
        """What the catalog holds for `node`; raises RegistrarError."""
        ...


class CatalogCall(Protocol):
    """One HTTP call to the catalog as this node, over whatever connection: (status, body). Raises RegistrarError if there is none.

    `token` is what someone registered with, and goes along.
    """

    async def __call__(self, method: str, target: str, body: bytes = b"", token: str = "") -> tuple[int, bytes]: ...


class CatalogRegistrar:
    """Registers through `/v1/catalog/*`."""

    def __init__(self, call: CatalogCall) -> None:
        self.call = call

    async def apply(self, step: Step) -> None:
        """Register or deregister.

        Raises:
            ForbiddenError: this node may not say that (403).
            RefusedError: the catalog answered that it will not (Consul's API says so with 400 or 500).
            RegistrarError: it did not answer, or is busy or away.
        """
        verb = {Register: "register", Deregister: "deregister"}[type(step)]
        await self._ask("PUT", f"/v1/catalog/{verb}", msgspec.json.encode(step.body), step.token)

    async def held(self, node: str) -> Held:
        """What the catalog holds for `node`.

        Raises:
            RegistrarError: it cannot be read.
        """
        name = quote(node, safe="")
        try:
            found = _NODE.decode(await self._ask("GET", f"/v1/catalog/node/{name}")) or {}
            checks = _CHECKS.decode(await self._ask("GET", f"/v1/health/node/{name}")) or []
        except msgspec.MsgspecError as error:
            raise RegistrarError(f"the catalog's answer for node {node!r} cannot be read: {error}") from error
        services = found.get("Services") or {}
        return Held(found.get("Node"), services, {str(check.get("CheckID")): check for check in checks})

    async def _ask(self, method: str, target: str, body: bytes = b"", token: str = "") -> bytes:
        status, answer = await (self.call(method, target, body, token) if token else self.call(method, target, body))
        if status == 200:
            return answer
        text = f"{method} {target}: {status} {answer[:300].decode('utf-8', 'replace').strip()}"
        if status == 404 and method == "GET":
            return b"null"
        if status == HTTPStatus.FORBIDDEN:
            raise ForbiddenError(text)
        raise (RegistrarError if status in _BUSY else RefusedError)(text)
