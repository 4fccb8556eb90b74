"""What a check runs, from its shape: exactly one kind, an address that can be one, sane times. Pure.

Bounds follow Consul: interval at least 1 s, time-out 10 s (scripts 30 s).
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from agents.vm.definition.duration import InvalidDurationError, parse_duration
from agents.vm.definition.keys import DefinitionError
from agents.vm.definition.shapes import CheckShape, Duration
from agents.vm.definition.values import (
    AliasProbe,
    GrpcProbe,
    H2PingProbe,
    HttpProbe,
    OsServiceProbe,
    Probe,
    ScriptProbe,
    TcpProbe,
    TtlProbe,
    UdpProbe,
)

MIN_INTERVAL_S = 1.0
TIMEOUT_S = 10.0
SCRIPT_TIMEOUT_S = 30.0
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_MAX_UNIT = 255


def probe_of(shape: CheckShape, node: str) -> Probe:
    """What `shape` says is to be run; `node` is the agent's own node name, which `alias_node` may name.

    Raises:
        DefinitionError: no kind or two, one that this agent does not run, a bad address or time.
    """
    if shape.docker_container_id or shape.shell:
        raise DefinitionError(
            "docker checks are not run by this agent: write it as args: [docker, exec, CONTAINER, PROGRAM, ...]",
            ("docker_container_id",),
        )
    if shape.script:
        raise DefinitionError("was removed from Consul: write it as args: [program, argument, ...]", ("script",))
    kinds: dict[str, tuple[object, Callable[[], Probe]]] = {
        "http": (shape.http, lambda: _http(shape)),
        "tcp": (shape.tcp, lambda: _tcp(shape)),
        "udp": (shape.udp, lambda: _udp(shape)),
        "grpc": (shape.grpc, lambda: _grpc(shape)),
        "h2ping": (shape.h2ping, lambda: _h2ping(shape)),
        "os_service": (shape.os_service, lambda: _os_service(shape)),
        "ttl": (shape.ttl, lambda: _ttl(shape)),
        "args": (shape.args or shape.script_args, lambda: _script(shape)),
        "alias_service": (shape.alias_service or shape.alias_node, lambda: _alias(shape, node)),
    }
    given = [kind for kind, (value, _) in kinds.items() if value]
    if len(given) != 1:
        found = f"it has {' and '.join(given)}" if given else "it has none"
        raise DefinitionError(f"a check needs exactly one of {', '.join(kinds)}: {found}")
    return kinds[given[0]][1]()


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


def _address(text: str, field: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    usable = colon and host and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536
    if not usable or _has_control(text) or " " in text:
        raise DefinitionError(f"{text[:120]!r} is no address: write host:port", (field,))
    return host, int(port)


def _tcp(shape: CheckShape) -> TcpProbe:
    host, port = _address(shape.tcp, "tcp")
    return TcpProbe(
        host=host,
        port=port,
        interval_s=_interval_s(shape),
        timeout_s=_timeout_s(shape, TIMEOUT_S),
        use_tls=shape.tcp_use_tls,
        tls_server_name=shape.tls_server_name,
        tls_skip_verify=shape.tls_skip_verify,
    )


def _udp(shape: CheckShape) -> UdpProbe:
    host, port = _address(shape.udp, "udp")
    return UdpProbe(host, port, _interval_s(shape), _timeout_s(shape, TIMEOUT_S))


def _grpc(shape: CheckShape) -> GrpcProbe:
    where, _, service = shape.grpc.partition("/")
    host, port = _address(where, "grpc")
    return GrpcProbe(
        host=host,
        port=port,
        interval_s=_interval_s(shape),
        timeout_s=_timeout_s(shape, TIMEOUT_S),
        service=service,
        use_tls=shape.grpc_use_tls,
        tls_server_name=shape.tls_server_name,
        tls_skip_verify=shape.tls_skip_verify,
    )


def _h2ping(shape: CheckShape) -> H2PingProbe:
    host, port = _address(shape.h2ping, "h2ping")
    return H2PingProbe(
        host=host,
        port=port,
        interval_s=_interval_s(shape),
        timeout_s=_timeout_s(shape, TIMEOUT_S),
        use_tls=shape.h2ping_use_tls,
        tls_server_name=shape.tls_server_name,
        tls_skip_verify=shape.tls_skip_verify,
    )


def _os_service(shape: CheckShape) -> OsServiceProbe:
    unit = shape.os_service
    if len(unit) > _MAX_UNIT or unit.startswith("-") or _has_control(unit) or " " in unit:
        raise DefinitionError("must be the name of a systemd unit", ("os_service",))
    return OsServiceProbe(unit, _interval_s(shape), _timeout_s(shape, TIMEOUT_S))


def _ttl(shape: CheckShape) -> TtlProbe:
    if shape.interval:
        raise DefinitionError("a ttl check is not run, so it has no interval", ("interval",))
    ttl_s = seconds(shape.ttl, "ttl")
    if ttl_s <= 0:
        raise DefinitionError("must be longer than 0", ("ttl",))
    return TtlProbe(ttl_s)


def _script(shape: CheckShape) -> ScriptProbe:
    args = shape.args or shape.script_args
    if any("\0" in arg for arg in args) or not args[0]:
        raise DefinitionError("must be a program and its arguments, without NUL", ("args",))
    return ScriptProbe(tuple(args), _interval_s(shape), _timeout_s(shape, SCRIPT_TIMEOUT_S))


def _alias(shape: CheckShape, node: str) -> AliasProbe:
    """An interval may be given and means nothing: an alias follows at once."""
    return AliasProbe(shape.alias_service, "" if shape.alias_node == node else shape.alias_node)


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
