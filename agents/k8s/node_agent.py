"""The node agent: keeps this node's workloads registered in the catalog, all under one lease.

Desired state comes from two reflectors (this node's pods, all annotated Services); `reconcile` says what to do; the catalog is
asked. The whole desired state is sent again every `RESYNC_S`, so that what was lost elsewhere comes back.

It must never deregister because the API server is away: the reflectors keep their last copy, and the lease lapses only with the agent itself.
"""

from collections.abc import Callable, Collection
from typing import Protocol

import msgspec
import trio

from agents.k8s.gateways import desired_gateways
from agents.k8s.reflector import Change, Json, Reflector
from agents.k8s.workloads import NETWORK_META, Deregister, Refused, Register, Workload, desired, reconcile
from mesh.model.snapshot import Local
from mesh.sync.follow import MESH, ROOTS, Held

RESYNC_S = 60.0
QUIET_S = 0.02
RETRY_S = 1.0
RENEW_S = 4.0
"""A third of the lease (12 s): two renewals may be lost."""


class CatalogUnavailableError(Exception):
    """The catalog did not take a change: it is away, or it refused; the text says which."""


class Catalog(Protocol):
    """The calls that the agent makes, as a node. They raise CatalogUnavailableError and nothing else."""

    async def register(self, body: Json) -> None: ...

    async def deregister(self, body: Json) -> None: ...

    async def renew_lease(self, node: str) -> None: ...

    async def pod_services(self, node: str) -> set[str]:
        """IDs of what stands in the catalog under the node and came from a pod (its meta has `k8s-uid`)."""
        ...


class NodeSettings(msgspec.Struct, frozen=True):
    """Which node this is. `gateway_account` is the `namespace/name` that mesh gateways run as, empty: none is registered."""

    node: str
    address: str
    network: str
    gateway_account: str = ""


class NodePlan(msgspec.Struct, frozen=True):
    """What a node agent follows over sync: only what its own identity needs."""

    network: str

    @property
    def local(self) -> Local:
        return Local("", self.network, "", "")

    def wants(self, held: Held) -> tuple[str, ...]:  # noqa: ARG002 - the same, whatever is held
        """The trust bundle and the mesh's settings."""
        return ROOTS, MESH


class NodeAgent:
    """One per Kubernetes node. `pods` and `services` are fed by reflectors that the caller runs."""

    def __init__(self, settings: NodeSettings, catalog: Catalog, log: Callable[[str], None]) -> None:
        self._settings = settings
        self._catalog = catalog
        self._log = log
        self._registered: dict[str, Workload] = {}
        self._refused: set[Refused] = set()
        self._synced: set[str] = set()
        self._changed = trio.Event()
        self.pods: Reflector | None = None
        self.services: Reflector | None = None

    def on_change(self, change: Change) -> None:  # noqa: ARG002 - every change means: look again
        """Hear of a changed pod or Service."""
        self._changed.set()

    def on_synced(self, what: str) -> None:
        """Hear that a reflector holds a full list."""
        self._synced.add(what)
        self._changed.set()

    def node_body(self) -> Json:
        """The part of a registration that describes this node."""
        meta = {NETWORK_META: self._settings.network, "linkspan-deregister-after-s": "0", "linkspan-agent": "k8s"}
        return {"Node": self._settings.node, "Address": self._settings.address, "NodeMeta": meta}

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Register until cancelled. Started once the first full state has been sent."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._keep_registered)
            nursery.start_soon(self._keep_lease)
            task_status.started()

    async def _keep_lease(self) -> None:
        while True:
            try:
                await self._catalog.renew_lease(self._settings.node)
            except CatalogUnavailableError as error:
                self._log(f"the lease could not be renewed: {error}")
            await trio.sleep(RENEW_S)

    async def _keep_registered(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        while not self._synced >= {"pods", "services"}:
            await self._wait_changed(RESYNC_S)
        next_full_s = 0.0
        while True:
            if trio.current_time() >= next_full_s:
                full = True
                next_full_s = trio.current_time() + RESYNC_S
            try:
                await self._bring_up_to_date(full=full)
            except CatalogUnavailableError as error:
                self._log(f"the catalog took not every registration, trying again: {error}")
                await trio.sleep(RETRY_S)
                continue
            full = False
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            await self._wait_changed(next_full_s - trio.current_time())

    async def _wait_changed(self, at_most_s: float) -> None:
        with trio.move_on_after(max(at_most_s, 0)):
            await self._changed.wait()
            await trio.sleep(QUIET_S)  # a rollout comes as a burst
        self._changed = trio.Event()

    async def _bring_up_to_date(self, *, full: bool) -> None:
        assert self.pods is not None
        assert self.services is not None
        wanted, refused = self._desired(self.services.objects.values(), self.pods.objects.values())
        for one in set(refused) - self._refused:
            self._log(f"{one.what} is not registered: {one.reason}")
        self._refused = set(refused)
        actions = reconcile({} if full else self._registered, wanted)
        if full:
            await self._catalog.register(self.node_body())
            actions = [*await self._leftovers(wanted), *actions]
        for action in actions:
            if isinstance(action, Deregister):
                for service_id in action.service_ids:
                    await self._catalog.deregister({"Node": self._settings.node, "ServiceID": service_id})
            else:
                await self._register(action)
        self._registered = wanted

    def _desired(self, services: Collection[Json], pods: Collection[Json]) -> tuple[dict[str, Workload], list[Refused]]:
        settings = self._settings
        wanted, refused = desired(services, pods, settings.network)
        gateways, refused_gateways = desired_gateways(pods, settings.network, settings.gateway_account)
        return wanted | gateways, refused + refused_gateways

    async def _leftovers(self, wanted: dict[str, Workload]) -> list[Register | Deregister]:
        """What an agent before this one registered, or a lost call left behind."""
        kept = {service_id for one in wanted.values() for service_id in one.service_ids}
        gone = await self._catalog.pod_services(self._settings.node) - kept
        return [Deregister(tuple(sorted(gone, reverse=True)))] if gone else []

    async def _register(self, action: Register) -> None:
        body = {**self.node_body(), "SkipNodeUpdate": True}
        for service, check in zip(action.workload.services, action.workload.checks, strict=True):
            await self._catalog.register({**body, "Service": service, "Check": check})
