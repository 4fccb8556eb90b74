"""Kinds that set defaults: service-defaults, proxy-defaults and mesh."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from catalog.compile.entries.reader import ConfigEntryError, EntryHead, EntryValue

L7_PROTOCOLS = frozenset({"http", "http2", "grpc"})
PROTOCOLS = L7_PROTOCOLS | {"tcp"}

_MODES: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "Mode": ("direct",),
        "MutualTLSMode": ("strict",),
        "Partition": ("default",),
        "Namespace": ("default",),
        "MeshGateway": ({"Mode": "none"}, {"mode": "none"}),
    }
)


class ServiceDefaults(EntryHead, frozen=True, tag_field="Kind", tag="service-defaults"):
    """What holds for one service: the protocol that it speaks (`""`: the proxy-defaults' one, else tcp)."""

    protocol: str = ""

    unsupported: ClassVar[tuple[str, ...]] = (
        "Namespace",
        "Partition",
        "Mode",
        "TransparentProxy",
        "MutualTLSMode",
        "MeshGateway",
        "Expose",
        "ExternalSNI",
        "UpstreamConfig",
        "Destination",
        "MaxInboundConnections",
        "LocalConnectTimeoutMs",
        "LocalRequestTimeoutMs",
        "BalanceInboundConnections",
        "RateLimits",
        "EnvoyExtensions",
    )
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _MODES


class ProxyDefaults(EntryHead, frozen=True, tag_field="Kind", tag="proxy-defaults"):
    """What holds for every proxy. `config` is open as in Consul; only its `protocol` is read."""

    config: dict[str, Any] = msgspec.field(default_factory=dict)

    unsupported: ClassVar[tuple[str, ...]] = (
        "Namespace",
        "Partition",
        "Mode",
        "TransparentProxy",
        "MutualTLSMode",
        "MeshGateway",
        "Expose",
        "AccessLogs",
        "EnvoyExtensions",
        "FailoverPolicy",
        "PrioritizeByLocality",
    )
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _MODES

    @property
    def protocol(self) -> str:
        """The default protocol, empty if none is set."""
        return str(self.config.get("protocol", ""))


class MeshHttp(EntryValue, frozen=True):
    """How proxies treat HTTP. Client certificates' details from outside are removed unless this says `false`."""

    sanitize_x_forwarded_client_cert: bool | msgspec.UnsetType = msgspec.UNSET

    unsupported: ClassVar[tuple[str, ...]] = ("Incoming",)


class Mesh(EntryHead, frozen=True, tag_field="Kind", tag="mesh"):
    """Settings of the whole mesh. TLS 1.3 and strict mutual TLS are not open to choice."""

    http: MeshHttp | None = msgspec.field(name="HTTP", default=None)

    unsupported: ClassVar[tuple[str, ...]] = (
        "Namespace",
        "Partition",
        "TransparentProxy",
        "AllowEnablingPermissiveMutualTLS",
        "TLS",
        "Peering",
        "ValidateClusters",
    )
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _MODES


def check_service_defaults(entry: ServiceDefaults) -> ServiceDefaults:
    """Check the protocol and bring it into lower case."""
    return msgspec.structs.replace(entry, protocol=_protocol(entry.protocol, "Protocol"))


def check_proxy_defaults(entry: ProxyDefaults) -> ProxyDefaults:
    """Check the protocol inside `Config`."""
    protocol = entry.config.get("protocol", "")
    if not isinstance(protocol, str):
        raise ConfigEntryError(400, "Config entry: Config.protocol must be a string")
    if not protocol:
        return entry
    return msgspec.structs.replace(entry, config={**entry.config, "protocol": _protocol(protocol, "Config.protocol")})


def check_mesh(entry: Mesh) -> Mesh:
    """Nothing in it depends on anything else."""
    return entry


def _protocol(protocol: str, field: str) -> str:
    lowered = protocol.lower()
    if lowered and lowered not in PROTOCOLS:
        raise ConfigEntryError(
            400, f"Config entry: {field} {protocol[:40]!r} is not supported: use tcp, http, http2 or grpc"
        )
    return lowered
