"""What only Linkspan serves, as one more family of the client: `c.linkspan`, in python-consul2's style.

Exact intentions are here too: python-consul2 is older than Consul's `/connect/intentions/exact`.
"""

import json
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from consul.base import CB

from catalog.client.http import Transport


class Owner(Protocol):
    """The client a family belongs to."""

    http: Any
    token: str | None


class Linkspan:
    """Join tokens, exact intentions and config entries with compare-and-set. Every method is awaited by its caller."""

    def __init__(self, client: Owner) -> None:
        self._client = client

    @property
    def _http(self) -> Transport:
        transport = self._client.http
        assert isinstance(transport, Transport)
        return transport

    def _headers(self, token: str | None) -> dict[str, str]:
        token = token or self._client.token
        return {"X-Consul-Token": token} if token else {}

    def create_token(
        self,
        node: str,
        *,
        services: Sequence[str] = (),
        gateway: bool = False,
        network: str = "",
        ttl: str = "1h",
        token: str | None = None,
    ) -> Awaitable[dict[str, Any]]:
        """A one-time join token for `node`, shown once: `{"Token", "CaPin", "ExpiresAt", ...}`."""
        body = {"Node": node, "Services": list(services), "Gateway": gateway, "Network": network, "TTL": ttl}
        return self._http.post(
            CB.json(allow_404=False), "/v1/linkspan/token", data=json.dumps(body), headers=self._headers(token)
        )

    def revoke(self, serial: str, token: str | None = None) -> Awaitable[bool]:
        """Revoke the certificate with that serial number (hexadecimal)."""
        path = f"/v1/linkspan/revoke/{quote(serial, safe='')}"
        return self._http.put(CB.json(allow_404=False), path, headers=self._headers(token))

    def withdraw(self, node: str, token: str | None = None) -> Awaitable[dict[str, Any]]:
        """Withdraw what a node was granted and its unused join tokens; `NotFound` if it has neither."""
        path = f"/v1/linkspan/grant/{quote(node, safe='')}"
        return self._http.delete(CB.json(allow_404=False), path, headers=self._headers(token))

    def put_intention(
        self, source: str, destination: str, body: Mapping[str, Any], token: str | None = None
    ) -> Awaitable[bool]:
        """Write the intention source -> destination; `body` has Action or Permissions, Description."""
        return self._http.put(
            CB.json(allow_404=False),
            "/v1/connect/intentions/exact",
            params=_pair(source, destination),
            data=json.dumps(body),
            headers=self._headers(token),
        )

    def get_intention(self, source: str, destination: str, token: str | None = None) -> Awaitable[dict[str, Any]]:
        """The intention source -> destination; `NotFound` if there is none."""
        return self._http.get(
            CB.json(allow_404=False),
            "/v1/connect/intentions/exact",
            params=_pair(source, destination),
            headers=self._headers(token),
        )

    def delete_intention(self, source: str, destination: str, token: str | None = None) -> Awaitable[bool]:
        """Delete the intention source -> destination; True also if there was none."""
        return self._http.delete(
            CB.bool(), "/v1/connect/intentions/exact", params=_pair(source, destination), headers=self._headers(token)
        )

    def put_config(self, entry: Any, *, cas: int | None = None, token: str | None = None) -> Awaitable[bool]:
        """Write a config entry, with `cas` only over the one at that index (0: only if there is none). Whether it was."""
        return self._http.put(
            CB.json(allow_404=False),
            "/v1/config",
            params=[] if cas is None else [("cas", str(cas))],
            data=json.dumps(entry),
            headers=self._headers(token),
        )

    def delete_config(
        self, kind: str, name: str, *, cas: int | None = None, token: str | None = None
    ) -> Awaitable[bool]:
        """Delete a config entry, with `cas` only if it stands at that index."""
        return self._http.delete(
            CB.json(allow_404=False),
            f"/v1/config/{kind}/{name}",
            params=[] if cas is None else [("cas", str(cas))],
            headers=self._headers(token),
        )


def _pair(source: str, destination: str) -> list[tuple[str, str]]:
    return [("source", source), ("destination", destination)]
