"""The local state: every service and check this host stands for, changed by few verbs, each telling its listeners.

Pure: time is an argument, listeners are plain callbacks called at once. Nothing here talks to the catalog or runs a check.
"""

from collections.abc import Callable

import msgspec

from agents.vm.definition.services import with_sidecar_port
from agents.vm.definition.values import AliasProbe, CheckDefinition, MaintenanceProbe, ServiceDefinition, TtlProbe
from agents.vm.local.entries import (
    NODE_MAINTENANCE,
    SERF_CHECK,
    SERVICE_MAINTENANCE,
    Change,
    CheckEntry,
    LocalError,
    Origin,
    ServiceEntry,
    Topic,
    unknown_check,
    unknown_service,
)
from agents.vm.thresholds import Tally, observe
from mesh.model.endpoint import Health

MAX_SERVICES = 2048
MAX_CHECKS = 8192
SIDECAR_PORTS = range(21000, 21256)
_ORDER = {Health.PASSING: 0, Health.WARNING: 1, Health.CRITICAL: 2}
_NO_REASON = "Maintenance mode is enabled for this {}, but no reason was provided. This is a default message."


class LocalState:
    """Services and checks of one node, by ID."""

    def __init__(self) -> None:
        self.services: dict[str, ServiceEntry] = {}
        self.checks: dict[str, CheckEntry] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._left_tokens: dict[tuple[Topic, str], str] = {}

    def subscribe(self, listener: Callable[[Change], None]) -> None:
        """Call `listener` with every change from now on, synchronously; it must not change the state itself."""
        self._listeners.append(listener)

    def put_service(
        self, definition: ServiceDefinition, origin: Origin, now_s: float, *, replace_checks: bool = False
    ) -> None:
        """Register a service, its checks and its sidecar, or replace what is there under its ID.

        Raises:
            LocalError: no sidecar port is free, or the host is full.
        """
        if definition.id not in self.services and len(self.services) + 2 > MAX_SERVICES:
            raise LocalError(f"this host holds {MAX_SERVICES} services already: deregister some first")
        sidecar = self._sidecar_of(definition)
        self._put_one(ServiceEntry(definition, origin), now_s, replace_checks=replace_checks)
        old_sidecar = [key for key, entry in self.services.items() if entry.parent == definition.id]
        for key in old_sidecar:
            if sidecar is None or key != sidecar.id:
                self._drop_service(key, now_s)
        if sidecar is not None:
            self._put_one(ServiceEntry(sidecar, origin, parent=definition.id), now_s, replace_checks=replace_checks)

    def drop_service(self, service_id: str, now_s: float) -> None:
        """Deregister a service with its checks and its sidecar.

        Raises:
            UnknownEntryError: it is not registered here.
        """
        if service_id not in self.services:
            raise unknown_service(service_id)
        for key in [key for key, entry in self.services.items() if entry.parent == service_id]:
            self._drop_service(key, now_s)
        self._drop_service(service_id, now_s)

    def put_check(self, definition: CheckDefinition, origin: Origin, now_s: float) -> None:
        """Register a check; a known one keeps its state.

        Raises:
            UnknownEntryError: it names a service that is not registered here.
            LocalError: its ID belongs to the agent itself, or the host is full.
        """
        if definition.service_id and definition.service_id not in self.services:
            raise unknown_service(definition.service_id)
        if definition.check_id == SERF_CHECK:
            raise LocalError(f"check ID {SERF_CHECK!r} belongs to the agent itself: choose another")
        if definition.check_id not in self.checks and len(self.checks) >= MAX_CHECKS:
            raise LocalError(f"this host holds {MAX_CHECKS} checks already: deregister some first")
        self._put_check(definition, origin, now_s)

    def drop_check(self, check_id: str, now_s: float) -> None:
        """Deregister a check.

        Raises:
            UnknownEntryError: it is not registered here.
        """
        if check_id not in self.checks:
            raise unknown_check(check_id)
        self._drop_check(check_id, now_s)

    def observe(self, check_id: str, result: Health, output: str, now_s: float) -> None:
        """Take one result of a probe through the check's thresholds; a check that is gone by now is no error."""
        entry = self.checks.get(check_id)
        if entry is not None:
            self._set(entry, observe(entry.tally, entry.definition.thresholds, result), output, now_s)

    def beat(self, check_id: str, status: Health, output: str, now_s: float) -> None:
        """Take a beat of the workload itself for its TTL check.

        Raises:
            UnknownEntryError: there is no such check.
            LocalError: it is not a TTL check.
        """
        entry = self.checks.get(check_id)
        if entry is None:
            raise unknown_check(check_id)
        if not isinstance(entry.definition.probe, TtlProbe):
            raise LocalError(f"CheckID {check_id!r} does not have associated TTL")
        limit = entry.definition.output_max_bytes
        fresh = msgspec.structs.replace(entry, beat_s=now_s)
        self.checks[check_id] = fresh
        self._set(fresh, Tally(status), bounded(output, limit), now_s)

    def recall(self, check_id: str, status: Health, output: str, now_s: float) -> None:
        """Show what a check showed before a restart, until it is run again; one that is gone or follows others is left alone."""
        entry = self.checks.get(check_id)
        if entry is not None and not isinstance(entry.definition.probe, AliasProbe | MaintenanceProbe):
            fresh = msgspec.structs.replace(entry, beat_s=now_s)
            self.checks[check_id] = fresh
            self._set(fresh, Tally(status), output, now_s)

    def maintain(self, service_id: str, reason: str, now_s: float, *, enable: bool) -> None:
        """Put a service (or, with an empty ID, the whole node) into maintenance: a critical check; or end it.

        Raises:
            UnknownEntryError: the service is not registered here.
        """
        if service_id and service_id not in self.services:
            raise unknown_service(service_id)
        check_id = SERVICE_MAINTENANCE + service_id if service_id else NODE_MAINTENANCE
        if not enable:
            if check_id in self.checks:
                self._drop_check(check_id, now_s)
            return
        what = "service" if service_id else "node"
        definition = CheckDefinition(
            check_id=check_id,
            name=f"{what.capitalize()} Maintenance Mode",
            probe=MaintenanceProbe(),
            service_id=service_id,
            notes=reason[:512] or _NO_REASON.format(what),
        )
        self._put_check(definition, Origin.API, now_s)

    def token_of(self, *, service_id: str = "", check_id: str = "") -> str:
        """The token that a service or a check was registered with, or was when it went; a check has its service's."""
        if service_id:
            entry = self.services.get(service_id)
            return entry.definition.token if entry else self._left_tokens.get((Topic.SERVICE, service_id), "")
        check = self.checks.get(check_id)
        if check is None:
            return self._left_tokens.get((Topic.CHECK, check_id), "")
        service_id = check.definition.service_id
        return check.definition.token or (self.token_of(service_id=service_id) if service_id else "")

    def checks_of(self, service_id: str) -> list[CheckEntry]:
        """The checks of a service, or with an empty ID those of the node, in order of registration."""
        return [entry for entry in self.checks.values() if entry.definition.service_id == service_id]

    def _sidecar_of(self, definition: ServiceDefinition) -> ServiceDefinition | None:
        sidecar = definition.sidecar
        if sidecar is None:
            return None
        port = sidecar.port or self._sidecar_port(sidecar.id)
        return with_sidecar_port(sidecar, port)

    def _sidecar_port(self, sidecar_id: str) -> int:
        known = self.services.get(sidecar_id)
        if known is not None and known.definition.port in SIDECAR_PORTS:
            return known.definition.port
        taken = {entry.definition.port for entry in self.services.values()}
        port = next((port for port in SIDECAR_PORTS if port not in taken), 0)
        if not port:
            raise LocalError(
                f"no sidecar port is free in {SIDECAR_PORTS[0]}-{SIDECAR_PORTS[-1]}: give the sidecar a port"
            )
        return port

    def _put_one(self, entry: ServiceEntry, now_s: float, *, replace_checks: bool) -> None:
        definition = entry.definition
        known = self.services.get(definition.id)
        self.services[definition.id] = entry
        if known is None or known.definition != definition:
            self._tell(Change(Topic.SERVICE, definition.id))
        wanted = {check.check_id for check in definition.checks}
        if replace_checks:
            for check in self.checks_of(definition.id):
                if check.definition.check_id not in wanted and not isinstance(check.definition.probe, MaintenanceProbe):
                    self._drop_check(check.definition.check_id, now_s)
        for definition_of_check in definition.checks:
            self._put_check(definition_of_check, entry.origin, now_s)
        self._follow_aliases(definition.id, now_s)

    def _put_check(self, definition: CheckDefinition, origin: Origin, now_s: float) -> None:
        known = self.checks.get(definition.check_id)
        if known is not None and known.definition == definition:
            self._put_again(msgspec.structs.replace(known, origin=origin), now_s)
            return
        if known is not None and known.definition.service_id == definition.service_id:
            entry = msgspec.structs.replace(known, definition=definition, origin=origin, beat_s=now_s)
        else:
            since_s = now_s if definition.initial is Health.CRITICAL else None
            entry = CheckEntry(definition, Tally(definition.initial), "", origin, since_s, beat_s=now_s)
        if isinstance(definition.probe, AliasProbe) and not definition.probe.node:
            status, output = self._alias_result(definition.probe.service_id)
            since_s = now_s if status is Health.CRITICAL else None
            entry = msgspec.structs.replace(entry, tally=Tally(status), output=output, critical_since_s=since_s)
        self.checks[definition.check_id] = entry
        self._tell(Change(Topic.CHECK, definition.check_id))
        self._follow_aliases(definition.service_id, now_s)

    def _put_again(self, entry: CheckEntry, now_s: float) -> None:
        """An identical registration changes nothing, but of a TTL check that starts well it is a beat: its workload is back."""
        self.checks[entry.definition.check_id] = entry
        if isinstance(entry.definition.probe, TtlProbe) and entry.definition.initial is not Health.CRITICAL:
            self.beat(entry.definition.check_id, entry.definition.initial, "", now_s)

    def _set(self, entry: CheckEntry, tally: Tally, output: str, now_s: float) -> None:
        since_s = None if tally.status is not Health.CRITICAL else entry.critical_since_s
        if tally.status is Health.CRITICAL and since_s is None:
            since_s = now_s
        check_id = entry.definition.check_id
        self.checks[check_id] = msgspec.structs.replace(entry, tally=tally, output=output, critical_since_s=since_s)
        if tally.status is not entry.status:
            self._tell(Change(Topic.CHECK, check_id))
            self._follow_aliases(entry.definition.service_id, now_s)
        elif output != entry.output:
            self._tell(Change(Topic.CHECK, check_id, output_only=True))

    def _drop_service(self, service_id: str, now_s: float) -> None:
        self._leave_token(Topic.SERVICE, service_id, self.token_of(service_id=service_id))
        del self.services[service_id]
        for entry in self.checks_of(service_id):
            self._drop_check(entry.definition.check_id, now_s)
        self._tell(Change(Topic.SERVICE, service_id))
        self._follow_aliases(service_id, now_s)

    def _drop_check(self, check_id: str, now_s: float) -> None:
        self._leave_token(Topic.CHECK, check_id, self.token_of(check_id=check_id))
        entry = self.checks.pop(check_id)
        self._tell(Change(Topic.CHECK, check_id))
        self._follow_aliases(entry.definition.service_id, now_s)

    def _follow_aliases(self, service_id: str, now_s: float) -> None:
        """Bring every alias of a service up to date; it ends because only a changed status goes on to further aliases."""
        for entry in list(self.checks.values()):
            probe = entry.definition.probe
            if isinstance(probe, AliasProbe) and not probe.node and probe.service_id == service_id:
                status, output = self._alias_result(service_id)
                self._set(self.checks[entry.definition.check_id], Tally(status), output, now_s)

    def _alias_result(self, service_id: str) -> tuple[Health, str]:
        if service_id and service_id not in self.services:
            return Health.CRITICAL, f"Service {service_id} could not be found on this node."
        worst, output = Health.PASSING, "No checks found."
        for entry in self.checks_of(service_id):
            if entry.definition.probe == AliasProbe(service_id):
                continue
            if _ORDER[entry.status] > _ORDER[worst]:
                worst = entry.status
                output = f"Aliased check {entry.definition.name!r} {entry.status}: {entry.output}"[:4096]
            elif worst is Health.PASSING:
                output = "All checks passing."
        return worst, output

    def _leave_token(self, topic: Topic, key: str, token: str) -> None:
        """Remember by which token something is to be deregistered; the oldest of many is forgotten."""
        self._left_tokens.pop((topic, key), None)
        if token:
            self._left_tokens[topic, key] = token
        while len(self._left_tokens) > MAX_CHECKS:
            del self._left_tokens[next(iter(self._left_tokens))]

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)


def bounded(output: str, limit_bytes: int) -> str:
    """At most `limit_bytes` of a check's output, cut between characters."""
    data = output.encode("utf-8", "replace")
    return output if len(data) <= limit_bytes else data[:limit_bytes].decode("utf-8", "ignore")
