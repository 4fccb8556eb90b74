"""The gateway's entry in the catalog: made through the host's agent, with a check that the gateway keeps alive.

In Kubernetes the node agent registers gateways by their pods (`agents.k8s`), and nothing here is used.

The entry is how callers find the gateway, so it is renewed for ever and taken out before the gateway drains. It survives an
agent or catalog that is away or has forgotten it.
"""

import logging
import random
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from mesh.sync.client import SyncClient
from mesh.sync.link.address import HostPort
from mesh.sync.link.backoff import Backoff
from mesh.sync.link.errors import RefusedError, SyncError

SERVICE = "mesh-gateway"
TTL_S = 15.0
RENEW_S = 5.0
_JSON = (("content-type", "application/json"),)

_log = logging.getLogger("linkspan.gateway")


class Registration(msgspec.Struct, frozen=True):
    """What is registered. `lan` and `wan` are addresses that others can dial."""

    network: str
    lan: HostPort
    wan: HostPort | None = None
    id: str = SERVICE

    @property
    def check_id(self) -> str:
        """The check that the gateway keeps alive."""
        return f"service:{self.id}"


def agent_body(registration: Registration) -> dict[str, Any]:
    """The body of `PUT /v1/agent/service/register` (Consul's agent API)."""
    tagged = {"lan": _address(registration.lan)}
    if registration.wan is not None:
        tagged["wan"] = _address(registration.wan)
    return {
        "ID": registration.id,
        "Name": SERVICE,
        "Kind": SERVICE,
        "Address": registration.lan.host,
        "Port": registration.lan.port,
        "TaggedAddresses": tagged,
        "Meta": {"linkspan-network": registration.network},
        "Check": {
            "CheckID": registration.check_id,
            "Name": "the gateway serves",
            "TTL": f"{TTL_S:.0f}s",
            "Status": "passing",
        },
    }


def _address(address: HostPort) -> dict[str, Any]:
    return {"Address": address.host, "Port": address.port}


class Registrar:
    """Keeps one registration alive (`run`) and takes it out (`withdraw`)."""

    def __init__(
        self, client: SyncClient, registration: Registration, uniform: Callable[[], float] = random.random
    ) -> None:
        self._client = client
        self._registration = registration
        self._backoff = Backoff(uniform, last_s=RENEW_S)
        self._is_registered = False
        self._is_withdrawn = False

    async def run(self) -> None:
        """Register, and renew every `RENEW_S`, until cancelled or withdrawn."""
        while not self._is_withdrawn:
            try:
                await self._renew()
            except SyncError as error:
                if self._is_registered:
                    _log.warning("the gateway's registration is not renewed: %s", error)
                self._is_registered = False
                await trio.sleep(self._backoff.next_s())
            else:
                self._backoff.reset()
                await trio.sleep(RENEW_S)

    async def withdraw(self) -> None:
        """Take the registration out; failures are logged, for the check lapses anyway."""
        self._is_withdrawn = True
        try:
            await self._put(f"/v1/agent/service/deregister/{self._registration.id}")
        except SyncError as error:
            _log.warning("the gateway's registration is not taken out, it will lapse: %s", error)

    async def _renew(self) -> None:
        registration = self._registration
        if self._is_registered:
            await self._put(f"/v1/agent/check/pass/{registration.check_id}")
        else:
            await self._put("/v1/agent/service/register", agent_body(registration))
        if not self._is_registered:
            _log.info("registered as %s of the network %s", registration.id, registration.network)
        self._is_registered = True

    async def _put(self, path: str, body: dict[str, Any] | None = None) -> None:
        answer = await self._client.request("PUT", path, msgspec.json.encode(body) if body else b"", _JSON)
        if answer.status != 200:
            raise RefusedError(answer.status, answer.first_line)
