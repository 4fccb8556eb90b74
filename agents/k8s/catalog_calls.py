"""The calls that a node agent makes to the catalog, over the mesh port, under the node's identity.

Every failure becomes a CatalogUnavailableError with its reason; nothing is tried again here: the agent does that.
"""

from typing import Any
from urllib.parse import quote

import msgspec

from agents.k8s.node_agent import CatalogUnavailableError
from agents.k8s.reflector import Json
from mesh.sync.client import SyncClient
from mesh.sync.link.errors import SyncError

POD_META = "k8s-uid"
CALL_WITHIN_S = 15.0
RENEW_WITHIN_S = 3.0
"""A lease lives 12 s: a renewal that hangs must leave time for two more."""


class CatalogCalls:
    """`agents.k8s.node_agent.Catalog` on a sync client."""

    def __init__(self, client: SyncClient) -> None:
        self._client = client

    async def register(self, body: Json) -> None:
        """Put one registration into the catalog."""
        await self._put("/v1/catalog/register", body)

    async def deregister(self, body: Json) -> None:
        """Take one out."""
        await self._put("/v1/catalog/deregister", body)

    async def renew_lease(self, node: str) -> None:
        """Keep the node's registrations alive for another lease; a call that hangs is given up while it still lives."""
        path = f"/v1/linkspan/lease/{quote(node, safe='')}"
        await self._ask("PUT", path, b"", timeout_s=RENEW_WITHIN_S)

    async def pod_services(self, node: str) -> set[str]:
        """IDs of the node's services that came from pods; none while the catalog does not know the node."""
        found = await self._ask("GET", f"/v1/catalog/node/{quote(node, safe='')}", b"")
        services = (found or {}).get("Services") or {}
        return {service_id for service_id, one in services.items() if POD_META in (one.get("Meta") or {})}

    async def _put(self, path: str, body: Json) -> None:
        await self._ask("PUT", path, msgspec.json.encode(body))

    async def _ask(self, method: str, path: str, body: bytes, timeout_s: float = CALL_WITHIN_S) -> Any:
        headers = (("content-type", "application/json"),) if body else ()
        try:
            answer = await self._client.request(method, path, body, headers, timeout_s=timeout_s)
        except SyncError as error:
            raise CatalogUnavailableError(str(error)) from error
        if answer.status != 200:
            raise CatalogUnavailableError(f"{method} {path}: {answer.status} {answer.first_line}")
        try:
            return msgspec.json.decode(answer.body)
        except msgspec.DecodeError as error:
            raise CatalogUnavailableError(f"{method} {path}: the answer is no JSON: {error}") from error
