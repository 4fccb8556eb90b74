"""From a check's shape to its value: what is run, thresholds, what its states lead to. Pure.

Bounds follow Consul: deregistration at least a minute after.
"""

from typing import Any

import msgspec

from agents.vm.definition.keys import DefinitionError, fold
from agents.vm.definition.probes import probe_of, seconds
from agents.vm.definition.shapes import CheckShape
from agents.vm.definition.values import CheckDefinition
from agents.vm.thresholds import Thresholds
from mesh.model.endpoint import Health

MIN_DEREGISTER_S = 60.0
OUTPUT_MAX_BYTES = 4096
_MAX_ID = 256


def check_definition(
    shape: CheckShape, *, check_id: str, name: str, service_id: str = "", node: str = ""
) -> CheckDefinition:
    """The check that `shape` asks for; `check_id` and `name` are used where it gives none.

    `node` is the agent's own node name, which `alias_node` may name.

    Raises:
        DefinitionError: no probe or two, a kind that this agent does not run, a bad time, address or threshold.
    """
    given_id = shape.check_id or shape.id or check_id
    if len(given_id) > _MAX_ID:
        raise DefinitionError(f"must be at most {_MAX_ID} characters", ("id",))
    return CheckDefinition(
        check_id=given_id,
        name=shape.name or name,
        probe=probe_of(shape, node),
        service_id=service_id or shape.service_id,
        notes=shape.notes,
        initial=_status(shape.status),
        thresholds=_thresholds(shape),
        deregister_after_s=_deregister_after_s(shape),
        output_max_bytes=_output_max_bytes(shape),
        token=shape.token,
    )


def _deregister_after_s(shape: CheckShape) -> float:
    after_s = seconds(shape.deregister_critical_service_after, "deregister_critical_service_after")
    return max(MIN_DEREGISTER_S, after_s) if after_s else 0.0


def _status(text: str) -> Health:
    if text not in {"", *Health}:
        raise DefinitionError(f"{text[:40]!r} must be passing, warning or critical", ("status",))
    return Health(text or "critical")


def _thresholds(shape: CheckShape) -> Thresholds:
    critical = shape.failures_before_critical
    warning = critical if shape.failures_before_warning is None else shape.failures_before_warning
    if shape.ttl:  # a workload's own beat is taken at its word
        return Thresholds()
    for field, value in (
        ("success_before_passing", shape.success_before_passing),
        ("failures_before_warning", warning),
        ("failures_before_critical", critical),
    ):
        if not 0 <= value <= 1000:
            raise DefinitionError("must be between 0 and 1000", (field,))
    if warning > critical:
        raise DefinitionError("must not be higher than failures_before_critical", ("failures_before_warning",))
    return Thresholds(shape.success_before_passing, warning, critical)


def _output_max_bytes(shape: CheckShape) -> int:
    if shape.output_max_size is None:
        return OUTPUT_MAX_BYTES
    if not 1 <= shape.output_max_size <= OUTPUT_MAX_BYTES:
        raise DefinitionError(f"must be between 1 and {OUTPUT_MAX_BYTES} bytes", ("output_max_size",))
    return shape.output_max_size


def is_empty(shape: CheckShape) -> bool:
    """Whether nothing at all was given (some clients send `"check": {}`)."""
    return shape == CheckShape()


def pascal(value: Any) -> Any:
    """A shape as Consul prints it: CamelCase keys, only what was given."""
    if isinstance(value, msgspec.Struct):
        return {
            _pascal_key(field.name): pascal(getattr(value, field.name))
            for field in msgspec.structs.fields(value)
            if getattr(value, field.name) not in (field.default, "", 0, [], {}, None)
        }
    return [pascal(item) for item in value] if isinstance(value, list) else value


def _pascal_key(name: str) -> str:
    special = {"destination_service_id": "DestinationServiceID", "json_format": "JSONFormat"}
    assert fold(name) == name.replace("_", "")
    return special.get(name) or "".join(part.capitalize() for part in name.split("_"))
