"""The health of another node or of a service on it, for alias checks: long polls of the catalog.

The worst of its checks counts, and those of its node count with it, as they do in discovery.
"""

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

import msgspec

from agents.vm.api.forward import TOKEN_HEADER, CatalogAwayError, Upstream
from agents.vm.checks.result import Result
from agents.vm.definition.values import AliasProbe
from mesh.model.endpoint import Health

WAIT = "60s"
_ORDER = {Health.PASSING: 0, Health.WARNING: 1, Health.CRITICAL: 2}


class RemoteAwayError(Exception):
    """The catalog cannot say; the text says why."""


class RemoteHealth(Protocol):
    """The seam of the runner."""

    async def look(self, probe: AliasProbe, token: str, index: int) -> tuple[int, Result]:
        """What the catalog knows now, or with an index, what it knows when that has passed; raises RemoteAwayError."""
        ...


class NoRemote:
    """What an agent without a catalog has."""

    async def look(self, probe: AliasProbe, token: str, index: int) -> tuple[int, Result]:  # noqa: ARG002 - the protocol's
        raise RemoteAwayError("this agent has no catalog to ask")


class RemoteCheck(msgspec.Struct, frozen=True, rename="pascal"):
    """The part of a catalog's check that counts."""

    name: str = ""
    status: Health = Health.CRITICAL
    output: str = ""
    service_id: str = msgspec.field(default="", name="ServiceID")


class RemoteWatch:
    """Looks through `/v1/health/node/:node`."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def look(self, probe: AliasProbe, token: str, index: int) -> tuple[int, Result]:
        target = f"/v1/health/node/{quote(probe.node, safe='')}" + (f"?index={index}&wait={WAIT}" if index else "")
        headers = ((TOKEN_HEADER, token),) if token else ()
        try:
            passed = await self._upstream("GET", target, headers, b"")
            if passed.status != 200:
                raise RemoteAwayError(f"{passed.status} {passed.body[:200].decode('utf-8', 'replace')}")
            checks = msgspec.json.decode(passed.body, type=list[RemoteCheck] | None) or []
        except (CatalogAwayError, msgspec.MsgspecError) as error:
            raise RemoteAwayError(str(error)) from error
        now = next((value for name, value in passed.headers if name.lower() == "x-consul-index"), "")
        return (int(now) if now.isdigit() else 0), worst_of(probe, checks)


def worst_of(probe: AliasProbe, checks: Sequence[RemoteCheck]) -> Result:
    """The state that an alias of `probe` shows. Pure."""
    counted = [check for check in checks if check.service_id in {"", probe.service_id}]
    if not counted:
        return Result(Health.PASSING, "No checks found.")
    worst = max(counted, key=lambda check: _ORDER[check.status])
    if worst.status is Health.PASSING:
        return Result(Health.PASSING, "All checks passing.")
    return Result(worst.status, f"Aliased check {worst.name!r} {worst.status}: {worst.output}"[:4096])
