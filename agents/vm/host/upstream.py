"""The way to the catalog over the node's certificate: registrations and forwarded calls on the sync client."""

from typing import Protocol

from agents.vm.api.forward import FORWARD_TIMEOUT_S, TOKEN_HEADER, CatalogAwayError, Headers, Passed
from agents.vm.local.registrar import RegistrarError
from mesh.sync.link.errors import SyncError
from mesh.sync.link.http import HttpAnswer

_JSON: Headers = (("content-type", "application/json"),)


class Requester(Protocol):
    """The part of `mesh.sync.client.SyncClient` used here."""

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Headers = (), *, timeout_s: float = 15.0
    ) -> HttpAnswer:
        """One request; raises SyncError."""
        ...


class CatalogLink:
    """Calls of the agent itself (`agents.vm.local.registrar.CatalogCall`)."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    async def __call__(self, method: str, target: str, body: bytes = b"", token: str = "") -> tuple[int, bytes]:
        """Status and body of the catalog's answer.

        Raises:
            RegistrarError: it cannot be reached.
        """
        try:
            headers = (_JSON if body else ()) + (((TOKEN_HEADER, token),) if token else ())
            answer = await self._requester.request(method, target, body, headers)
        except SyncError as error:
            raise RegistrarError(str(error)) from error
        return answer.status, answer.body


class ForwardLink:
    """Calls of others (`agents.vm.api.forward.Upstream`), long polls among them."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    async def __call__(self, method: str, target: str, headers: Headers, body: bytes) -> Passed:
        """The catalog's answer.

        Raises:
            CatalogAwayError: it cannot be reached.
        """
        try:
            answer = await self._requester.request(method, target, body, headers, timeout_s=FORWARD_TIMEOUT_S)
        except SyncError as error:
            raise CatalogAwayError(str(error)) from error
        return Passed(answer.status, answer.headers, answer.body)
