"""The values of the local state: entries, changes, and the errors a caller of the agent can cause. Values only."""

import enum

import msgspec

from agents.vm.definition.values import CheckDefinition, ServiceDefinition
from agents.vm.thresholds import Tally
from mesh.model.endpoint import Health

SERF_CHECK = "serfHealth"
NODE_MAINTENANCE = "_node_maintenance"
SERVICE_MAINTENANCE = "_service_maintenance:"


class Origin(enum.StrEnum):
    """Who asked for an entry: a file (which may take it away again) or a caller of the API."""

    FILE = "file"
    API = "api"


class ServiceEntry(msgspec.Struct, frozen=True):
    """A registered service. `parent` is the ID of the service that this one is the sidecar of."""

    definition: ServiceDefinition
    origin: Origin = Origin.API
    parent: str = ""


class CheckEntry(msgspec.Struct, frozen=True):
    """A check and its live state. Times are the agent's monotonic clock."""

    definition: CheckDefinition
    tally: Tally
    output: str = ""
    origin: Origin = Origin.API
    critical_since_s: float | None = None
    beat_s: float = 0.0

    @property
    def status(self) -> Health:
        """The state that is shown and registered."""
        return self.tally.status


class Topic(enum.StrEnum):
    """What a change is about."""

    SERVICE = "service"
    CHECK = "check"


class Change(msgspec.Struct, frozen=True):
    """One entry came, changed or went. `output_only`: a check's text changed and nothing else."""

    topic: Topic
    id: str
    output_only: bool = False


class LocalError(ValueError):
    """The caller asked for something the local state cannot do; `status` is the HTTP answer it deserves."""

    status = 400


class UnknownEntryError(LocalError):
    """There is no service or check with the ID the caller gave."""

    status = 404


def unknown_service(service_id: str) -> UnknownEntryError:
    """The error for a service ID that is not registered here, in Consul's words."""
    return UnknownEntryError(
        f"Unknown service ID {_quoted(service_id)}. Ensure that the service ID is passed, not the service name."
    )


def unknown_check(check_id: str) -> UnknownEntryError:
    """The error for a check ID that is not registered here, in Consul's words."""
    return UnknownEntryError(
        f"Unknown check ID {_quoted(check_id)}. Ensure that the check ID is passed, not the check name."
    )


def _quoted(text: str) -> str:
    return '"' + text[:255].replace('"', "'") + '"'
