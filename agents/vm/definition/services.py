"""From a service's shape to its value: identity, addresses, checks, proxy and sidecar. Pure.

Refusals follow Consul's agent (reference: trap 12): weights, reserved meta, kinds, port ranges.
"""

import re
from typing import Any

import msgspec

from agents.vm.definition.checks import check_definition, is_empty, pascal
from agents.vm.definition.keys import DefinitionError
from agents.vm.definition.shapes import CheckShape, ProxyShape, ServiceShape
from agents.vm.definition.values import AliasProbe, CheckDefinition, ServiceDefinition, TaggedAddress, TcpProbe

KINDS = ("", "connect-proxy", "mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway")
SIDECAR_SUFFIX = "-sidecar-proxy"
MAX_META = 64
_META_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MAX_META_VALUE = 512
_MAX_NAME = 255
_SIDECAR_INTERVAL_S = 10.0
_SIDECAR_TIMEOUT_S = 10.0


def service_definition(shape: ServiceShape, *, node: str = "", is_sidecar: bool = False) -> ServiceDefinition:
    """The service that `shape` asks for, with its sidecar inside if it has one.

    Raises:
        DefinitionError: a missing name, a kind without what it needs, a bad port, weight, meta or check.
    """
    _check_plain(shape)
    service_id = shape.id or shape.name
    weights = shape.weights
    if weights is not None and (
        weights.passing < 1 or weights.warning < 0 or max(weights.passing, weights.warning) > 65535
    ):
        raise DefinitionError("passing must be 1 to 65535 and warning 0 to 65535", ("weights",))
    proxy = _proxy(shape)
    connect = shape.connect
    sidecar = None
    if connect is not None and connect.sidecar_service is not None:
        if connect.native or is_sidecar or shape.kind:
            raise DefinitionError("only a plain service can have a sidecar", ("connect", "sidecar_service"))
        sidecar = _sidecar(connect.sidecar_service, shape, service_id, node)
    return ServiceDefinition(
        id=service_id,
        name=shape.name,
        kind=shape.kind,
        tags=tuple(shape.tags),
        meta=dict(shape.meta),
        address=shape.address,
        port=shape.port,
        socket_path=shape.socket_path,
        tagged_addresses={
            tag: TaggedAddress(address.address, _port(address.port, "tagged_addresses", tag, "port"))
            for tag, address in shape.tagged_addresses.items()
        },
        enable_tag_override=shape.enable_tag_override,
        weight_passing=weights.passing if weights else 1,
        weight_warning=weights.warning if weights else 1,
        proxy=proxy,
        native=bool(connect and connect.native),
        checks=_checks(shape, service_id, node),
        sidecar=sidecar,
        locality={"Region": shape.locality.region, "Zone": shape.locality.zone} if shape.locality else {},
        token=shape.token,
    )


def _check_plain(shape: ServiceShape) -> None:
    if not shape.name:
        raise DefinitionError("Missing service name")
    if len(shape.name) > _MAX_NAME or len(shape.id) > _MAX_NAME:
        raise DefinitionError(f"a service needs a name of at most {_MAX_NAME} characters", ("name",))
    for field in ("name", "id"):
        if any(ord(letter) < 33 or ord(letter) == 127 for letter in getattr(shape, field)):
            raise DefinitionError("must not hold spaces or control characters", (field,))
    if shape.kind not in KINDS:
        raise DefinitionError(
            f"{shape.kind[:40]!r} is no kind: leave it out, or one of {', '.join(KINDS[1:])}", ("kind",)
        )
    for field in ("namespace", "partition"):
        if getattr(shape, field) not in {"", "default"}:
            raise DefinitionError("there is only the default one here", (field,))
    _port(shape.port, "port")
    if shape.port and shape.socket_path:
        raise DefinitionError("give a port or a socket_path, not both", ("socket_path",))
    _check_meta(shape.meta)


def _check_meta(meta: dict[str, str]) -> None:
    if len(meta) > MAX_META:
        raise DefinitionError(f"holds {len(meta)} pairs, at most {MAX_META} are allowed", ("meta",))
    for key, value in meta.items():
        if key.startswith("consul-"):
            raise DefinitionError("keys that start with consul- are reserved", ("meta", key))
        if not _META_KEY.fullmatch(key) or len(value) > _MAX_META_VALUE:
            raise DefinitionError(
                "keys are 1 to 128 letters, digits, - and _; values at most 512 characters", ("meta", key[:80])
            )


def _port(port: int, *path: str) -> int:
    if not 0 <= port <= 65535:
        raise DefinitionError(f"{port} must be between 0 and 65535", path)
    return port


def _checks(shape: ServiceShape, service_id: str, node: str) -> tuple[CheckDefinition, ...]:
    given: list[tuple[tuple[str | int, ...], CheckShape]] = [
        (("checks", n), check) for n, check in enumerate(shape.checks)
    ]
    if shape.check is not None:
        given.append((("check",), shape.check))
    given = [(path, check) for path, check in given if not is_empty(check)]
    made: dict[str, CheckDefinition] = {}
    for number, (path, check) in enumerate(given, 1):
        default_id = f"service:{service_id}" if len(given) == 1 else f"service:{service_id}:{number}"
        try:
            one = check_definition(
                check, check_id=default_id, name=f"Service '{shape.name}' check", service_id=service_id, node=node
            )
        except DefinitionError as error:
            raise error.under(*path) from error
        if one.check_id in made:
            raise DefinitionError(f"two checks have the ID {one.check_id!r}", path)
        made[one.check_id] = one
    return tuple(made.values())


def _proxy(shape: ServiceShape) -> dict[str, Any] | None:
    proxy = shape.proxy
    if shape.kind != "connect-proxy":
        if proxy is not None and not shape.kind:
            raise DefinitionError(
                "belongs to a service of kind connect-proxy, or into connect.sidecar_service", ("proxy",)
            )
        return pascal(proxy) if proxy is not None else None
    if proxy is None or not proxy.destination_service_name:
        raise DefinitionError("a connect-proxy must name the service it fronts", ("proxy", "destination_service_name"))
    if not shape.port and not shape.socket_path:
        raise DefinitionError("a connect-proxy needs a port", ("port",))
    return _proxy_json(proxy)


def _proxy_json(proxy: ProxyShape) -> dict[str, Any]:
    _port(proxy.local_service_port, "proxy", "local_service_port")
    taken: set[tuple[str, int]] = set()
    for number, upstream in enumerate(proxy.upstreams):
        here = ("proxy", "upstreams", number)
        if not upstream.destination_name:
            raise DefinitionError("names no service", (*here, "destination_name"))
        if not 0 <= upstream.local_bind_port <= 65535 or not (
            upstream.local_bind_port or upstream.local_bind_socket_path
        ):
            raise DefinitionError(
                "needs a port between 1 and 65535, or local_bind_socket_path", (*here, "local_bind_port")
            )
        bind = (upstream.local_bind_address or "127.0.0.1", upstream.local_bind_port)
        if upstream.local_bind_port and bind in taken:
            raise DefinitionError(f"{bind[0]}:{bind[1]} is taken by another upstream", (*here, "local_bind_port"))
        taken.add(bind)
    made: dict[str, Any] = pascal(proxy)
    if "Upstreams" in made:
        for upstream_json in made["Upstreams"]:
            upstream_json.setdefault("DestinationType", "service")
    return made


def _sidecar(shape: ServiceShape, parent: ServiceShape, parent_id: str, node: str) -> ServiceDefinition:
    """The second registration, with Consul's defaults; its port may still be 0 (see `with_sidecar_port`)."""
    path = ("connect", "sidecar_service")
    if shape.id:
        raise DefinitionError(f"is always {parent_id + SIDECAR_SUFFIX!r}: leave it out", (*path, "id"))
    proxy = shape.proxy or ProxyShape()
    proxy.destination_service_name = parent.name
    proxy.destination_service_id = parent_id
    if not proxy.local_service_socket_path:
        proxy.local_service_address = proxy.local_service_address or "127.0.0.1"
        proxy.local_service_port = proxy.local_service_port or parent.port
    try:
        plain = service_definition(
            ServiceShape(
                name=shape.name or parent.name + SIDECAR_SUFFIX,
                id=parent_id + SIDECAR_SUFFIX,
                tags=shape.tags or parent.tags,
                meta=shape.meta or parent.meta,
                address=shape.address or parent.address,
                port=shape.port,
                tagged_addresses=shape.tagged_addresses or parent.tagged_addresses,
                weights=shape.weights or parent.weights,
                check=shape.check,
                checks=shape.checks,
                enable_tag_override=shape.enable_tag_override,
                connect=shape.connect,
                locality=shape.locality or parent.locality,
                token=shape.token or parent.token,
            ),
            node=node,
            is_sidecar=True,
        )
        proxy_json = _proxy_json(proxy)
    except DefinitionError as error:
        raise error.under(*path) from error
    return msgspec.structs.replace(plain, kind="connect-proxy", proxy=proxy_json)


def with_sidecar_port(sidecar: ServiceDefinition, port: int) -> ServiceDefinition:
    """The sidecar at `port`; if it has no checks of its own, it gets Consul's two: is it listening, and its service's state."""
    checks = sidecar.checks
    if not checks:
        assert sidecar.proxy is not None
        parent_id = sidecar.proxy["DestinationServiceID"]
        host = sidecar.address or "127.0.0.1"
        listening = CheckDefinition(
            check_id=f"service:{sidecar.id}:1",
            name="Connect Sidecar Listening",
            probe=TcpProbe(host, port, _SIDECAR_INTERVAL_S, _SIDECAR_TIMEOUT_S),
            service_id=sidecar.id,
        )
        alias = CheckDefinition(
            check_id=f"service:{sidecar.id}:2",
            name=f"Connect Sidecar Aliasing {parent_id}",
            probe=AliasProbe(parent_id),
            service_id=sidecar.id,
        )
        checks = (listening, alias)
    return msgspec.structs.replace(sidecar, port=port, checks=checks)
