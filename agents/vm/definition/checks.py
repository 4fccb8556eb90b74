"""From a check's shape to its value: one probe, sane times, thresholds. Pure.

Bounds follow Consul: interval at least 1 s, time-out 10 s (scripts 30 s), deregistration at least a minute after.
"""

from typing import Any
from urllib.parse import urlsplit

import msgspec

from agents.vm.definition.duration import InvalidDurationError, parse_duration
from agents.vm.definition.keys import DefinitionError, fold
from agents.vm.definition.shapes import CheckShape, Duration
from agents.vm.definition.values import AliasProbe, CheckDefinition, HttpProbe, Probe, ScriptProbe, TcpProbe, TtlProbe
from agents.vm.thresholds import Thresholds
from mesh.model.endpoint import Health

MIN_INTERVAL_S = 1.0
TIMEOUT_S = 10.0
SCRIPT_TIMEOUT_S = 30.0
MIN_DEREGISTER_S = 60.0
OUTPUT_MAX_BYTES = 4096
_UNSUPPORTED = ("docker_container_id", "udp", "grpc", "h2ping", "os_service")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_MAX_ID = 256


def check_definition(
    shape: CheckShape, *, check_id: str, name: str, service_id: str = "", node: str = ""
) -> CheckDefinition:
    """The check that `shape` asks for; `check_id` and `name` are used where it gives none.

    `node` is the agent's own node name, which `alias_node` may name.

    Raises:
        DefinitionError: no probe or two, a kind that this agent does not run, a bad time, address or threshold.
    """
    for field in _UNSUPPORTED:
        if getattr(shape, field):
            raise DefinitionError(
                "this kind of check is not run by this agent: use http, tcp, ttl, args or alias_service", (field,)
            )
    if shape.script:
        raise DefinitionError("was removed from Consul: write it as args: [program, argument, ...]", ("script",))
    given_id = shape.check_id or shape.id or check_id
    if len(given_id) > _MAX_ID:
        raise DefinitionError(f"must be at most {_MAX_ID} characters", ("id",))
    return CheckDefinition(
        check_id=given_id,
        name=shape.name or name,
        probe=_probe(shape, node),
        service_id=service_id or shape.service_id,
        notes=shape.notes,
        initial=_status(shape.status),
        thresholds=_thresholds(shape),
        deregister_after_s=_deregister_after_s(shape),
        output_max_bytes=_output_max_bytes(shape),
    )


def _probe(shape: CheckShape, node: str) -> Probe:
    kinds = [
        kind
        for kind, given in (
            ("http", shape.http),
            ("tcp", shape.tcp),
            ("ttl", shape.ttl),
            ("args", shape.args),
            ("alias_service", shape.alias_service or shape.alias_node),
        )
        if given
    ]
    if len(kinds) != 1:
        found = f"it has {' and '.join(kinds)}" if kinds else "it has none"
        raise DefinitionError(f"a check needs exactly one of http, tcp, ttl, args, alias_service: {found}")
    match kinds[0]:
        case "http":
            return _http(shape)
        case "tcp":
            return _tcp(shape)
        case "ttl":
            return _ttl(shape)
        case "args":
            return _script(shape)
        case _:
            return _alias(shape, node)


def _http(shape: CheckShape) -> HttpProbe:
    try:
        url = urlsplit(shape.http)
        usable = url.scheme in {"http", "https"} and url.hostname and (url.port is None or url.port > 0)
    except ValueError:
        usable = False
    if not usable or _has_control(shape.http):
        raise DefinitionError(f"{shape.http[:120]!r} is no URL: write http://host:port/path", ("http",))
    method = (shape.method or "GET").upper()
    if method not in _METHODS:
        raise DefinitionError(f"{shape.method[:20]!r} is not a method this agent sends", ("method",))
    headers = tuple((name, value) for name, values in shape.header.items() for value in values)
    for name, value in headers:
        if not name or _has_control(name + value) or not (name + value).isascii():
            raise DefinitionError("header names and values must be printable ASCII", ("header", name[:80]))
    return HttpProbe(
        url=shape.http,
        interval_s=_interval_s(shape),
        timeout_s=_timeout_s(shape, TIMEOUT_S),
        method=method,
        headers=headers,
        body=shape.body,
        follow_redirects=not shape.disable_redirects,
        tls_server_name=shape.tls_server_name,
        tls_skip_verify=shape.tls_skip_verify,
    )


def _has_control(text: str) -> bool:
    return any(ord(letter) < 32 or ord(letter) == 127 for letter in text)


def _tcp(shape: CheckShape) -> TcpProbe:
    host, colon, port = shape.tcp.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise DefinitionError(f"{shape.tcp[:120]!r} is no address: write host:port", ("tcp",))
    return TcpProbe(
        host=host,
        port=int(port),
        interval_s=_interval_s(shape),
        timeout_s=_timeout_s(shape, TIMEOUT_S),
        use_tls=shape.tcp_use_tls,
        tls_server_name=shape.tls_server_name,
        tls_skip_verify=shape.tls_skip_verify,
    )


def _ttl(shape: CheckShape) -> TtlProbe:
    if shape.interval:
        raise DefinitionError("a ttl check is not run, so it has no interval", ("interval",))
    ttl_s = seconds(shape.ttl, "ttl")
    if ttl_s <= 0:
        raise DefinitionError("must be longer than 0", ("ttl",))
    return TtlProbe(ttl_s)


def _script(shape: CheckShape) -> ScriptProbe:
    if any("\0" in arg for arg in shape.args) or not shape.args[0]:
        raise DefinitionError("must be a program and its arguments, without NUL", ("args",))
    return ScriptProbe(tuple(shape.args), _interval_s(shape), _timeout_s(shape, SCRIPT_TIMEOUT_S))


def _alias(shape: CheckShape, node: str) -> AliasProbe:
    if shape.alias_node and shape.alias_node != node:
        raise DefinitionError(
            "an alias of another node's service is not supported: leave alias_node out", ("alias_node",)
        )
    if not shape.alias_service:
        raise DefinitionError("an alias check needs alias_service", ("alias_service",))
    return AliasProbe(shape.alias_service)


def seconds(value: Duration, field: str) -> float:
    """The duration in `field`, 0 if it was not given.

    Raises:
        DefinitionError: it is no duration.
    """
    if value in {"", 0}:
        return 0.0
    try:
        return parse_duration(value)
    except InvalidDurationError as error:
        raise DefinitionError(str(error), (field,)) from error


def _interval_s(shape: CheckShape) -> float:
    if not shape.interval:
        raise DefinitionError("is missing: say how often the check is run, such as 10s", ("interval",))
    return max(MIN_INTERVAL_S, seconds(shape.interval, "interval"))


def _timeout_s(shape: CheckShape, default_s: float) -> float:
    return seconds(shape.timeout, "timeout") or default_s


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
    special = {"destination_service_id": "DestinationServiceID"}
    assert fold(name) == name.replace("_", "")
    return special.get(name) or "".join(part.capitalize() for part in name.split("_"))
