"""The health of another node or of a service on it, for alias checks: long polls of the catalog.

The worst of its checks counts, and those of its node count with it, as they do in discovery. What is not in the catalog
is critical.
"""

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

import msgspec

from agents.vm.api.forward import TOKEN_HEADER, CatalogAwayError, Passed, Upstream
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


class RemoteNode(msgspec.Struct, frozen=True, rename="pascal"):
    """The part of a catalog's node that counts."""

    services: dict[str, msgspec.Raw] = {}


class RemoteWatch:
    """Looks through `/v1/health/node/:node`."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def look(self, probe: AliasProbe, token: str, index: int) -> tuple[int, Result]:
        name = quote(probe.node, safe="")
        try:
            passed = await self._ask(
                f"/v1/health/node/{name}" + (f"?index={index}&wait={WAIT}" if index else ""), token
            )
            checks = msgspec.json.decode(passed.body, type=list[RemoteCheck] | None) or []
            is_there = any(check.service_id == probe.service_id for check in checks)
            if not is_there:
                node = await self._ask(f"/v1/catalog/node/{name}", token)
                is_there = is_registered(probe, msgspec.json.decode(node.body, type=RemoteNode | None))
        except (CatalogAwayError, msgspec.MsgspecError) as error:
            raise RemoteAwayError(str(error)) from error
        now = next((value for name, value in passed.headers if name.lower() == "x-consul-index"), "")
        missing = f"Node {probe.node} is not in the catalog."
        if probe.service_id:
            missing = f"Service {probe.service_id} could not be found on node {probe.node}."
        return (int(now) if now.isdigit() else 0), (
            worst_of(probe, checks) if is_there else Result(Health.CRITICAL, missing)
        )

    async def _ask(self, target: str, token: str) -> Passed:
        passed = await self._upstream("GET", target, ((TOKEN_HEADER, token),) if token else (), b"")
        if passed.status == 404:
            return Passed(200, passed.headers, b"null")
        if passed.status != 200:
            raise RemoteAwayError(f"{passed.status} {passed.body[:200].decode('utf-8', 'replace')}")
        return passed


def is_registered(probe: AliasProbe, node: RemoteNode | None) -> bool:
    """Whether what an alias follows is in the catalog at all. Pure."""
    return node is not None and (not probe.service_id or probe.service_id in node.services)


def worst_of(probe: AliasProbe, checks: Sequence[RemoteCheck]) -> Result:
    """The state that an alias of `probe` shows. Pure."""
    counted = [check for check in checks if check.service_id in {"", probe.service_id}]
    if not counted:
        return Result(Health.PASSING, "No checks found.")
    worst = max(counted, key=lambda check: _ORDER[check.status])
    if worst.status is Health.PASSING:
        return Result(Health.PASSING, "All checks passing.")
    return Result(worst.status, f"Aliased check {worst.name!r} {worst.status}: {worst.output}"[:4096])
