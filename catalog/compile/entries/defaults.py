"""Kinds that set defaults: service-defaults, proxy-defaults and mesh."""

import ipaddress
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from catalog.compile.entries.connection import (
    BALANCES,
    MESH_GATEWAY_MODES,
    MODES,
    MUTUAL_TLS_MODES,
    AccessLogs,
    Destination,
    EnvoyExtension,
    Expose,
    MeshGatewayMode,
    TransparentProxy,
    UpstreamConfig,
    check_access_logs,
    check_choice,
    check_expose,
    check_not_negative,
    check_port,
    check_upstreams,
    refuse,
)
from catalog.compile.entries.reader import EntryHead, EntryValue

L7_PROTOCOLS = frozenset({"http", "http2", "grpc"})
PROTOCOLS = L7_PROTOCOLS | {"tcp"}

_SCOPE: Mapping[str, tuple[object, ...]] = MappingProxyType({"Partition": ("default",), "Namespace": ("default",)})
_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_TLS_VERSIONS = ("TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3")


class ServiceDefaults(EntryHead, frozen=True, tag_field="Kind", tag="service-defaults"):
    """What holds for one service: the protocol that it speaks (`""`: the proxy-defaults' one, else tcp)."""

    protocol: str = ""
    mode: str = ""
    transparent_proxy: TransparentProxy | None = None
    mutual_tls_mode: str = msgspec.field(name="MutualTLSMode", default="")
    mesh_gateway: MeshGatewayMode | None = None
    expose: Expose | None = None
    external_sni: str = msgspec.field(name="ExternalSNI", default="")
    upstream_config: UpstreamConfig | None = None
    destination: Destination | None = None
    max_inbound_connections: int = 0
    local_connect_timeout_ms: int = 0
    local_request_timeout_ms: int = 0
    balance_inbound_connections: str = ""
    envoy_extensions: tuple[EnvoyExtension, ...] = ()

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition", "RateLimits")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE
    idle: ClassVar[tuple[str, ...]] = (
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
        "EnvoyExtensions",
    )


class DefaultFailoverPolicy(EntryValue, frozen=True):
    """In which order fail-over targets are tried: `sequential`."""

    mode: str = ""

    unsupported: ClassVar[tuple[str, ...]] = ("Regions",)


class ProxyDefaults(EntryHead, frozen=True, tag_field="Kind", tag="proxy-defaults"):
    """What holds for every proxy. `config` is open as in Consul; of it only `protocol` and what a chain shows is read."""

    config: dict[str, Any] = msgspec.field(default_factory=dict)
    mode: str = ""
    transparent_proxy: TransparentProxy | None = None
    mutual_tls_mode: str = msgspec.field(name="MutualTLSMode", default="")
    mesh_gateway: MeshGatewayMode | None = None
    expose: Expose | None = None
    access_logs: AccessLogs | None = None
    envoy_extensions: tuple[EnvoyExtension, ...] = ()
    failover_policy: DefaultFailoverPolicy | None = None

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition", "PrioritizeByLocality")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE
    idle: ClassVar[tuple[str, ...]] = (
        "Mode",
        "TransparentProxy",
        "MutualTLSMode",
        "MeshGateway",
        "Expose",
        "AccessLogs",
        "EnvoyExtensions",
        "FailoverPolicy",
    )

    @property
    def protocol(self) -> str:
        """The default protocol, empty if none is set."""
        return str(self.config.get("protocol", ""))


class RequestNormalization(EntryValue, frozen=True):
    """How paths and headers are made plain before rules judge them. Linkspan's proxies always do."""

    insecure_disable_path_normalization: bool = False
    merge_slashes: bool = False
    path_with_escaped_slashes_action: str = ""
    headers_with_underscores_action: str = ""


class MeshIncoming(EntryValue, frozen=True):
    """How incoming HTTP is treated."""

    request_normalization: RequestNormalization | None = None


class MeshHttp(EntryValue, frozen=True):
    """How proxies treat HTTP. Client certificates' details from outside are removed unless this says `false`."""

    sanitize_x_forwarded_client_cert: bool | msgspec.UnsetType = msgspec.UNSET
    incoming: MeshIncoming | None = None

    idle: ClassVar[tuple[str, ...]] = ("Incoming",)


class MeshTransparentProxy(EntryValue, frozen=True):
    """Whether caught traffic may leave the mesh."""

    mesh_destinations_only: bool = False


class TlsDirection(EntryValue, frozen=True):
    """TLS versions and suites of one direction."""

    tls_min_version: str = msgspec.field(name="TLSMinVersion", default="")
    tls_max_version: str = msgspec.field(name="TLSMaxVersion", default="")
    cipher_suites: tuple[str, ...] = ()


class MeshTls(EntryValue, frozen=True):
    """TLS between proxies. Linkspan's always speak TLS 1.3."""

    incoming: TlsDirection | None = None
    outgoing: TlsDirection | None = None


class MeshPeering(EntryValue, frozen=True):
    """How peers reach each other."""

    peer_through_mesh_gateways: bool = False


class Mesh(EntryHead, frozen=True, tag_field="Kind", tag="mesh"):
    """Settings of the whole mesh. TLS 1.3 and strict mutual TLS are not open to choice."""

    http: MeshHttp | None = msgspec.field(name="HTTP", default=None)
    transparent_proxy: MeshTransparentProxy | None = None
    allow_enabling_permissive_mutual_tls: bool = msgspec.field(name="AllowEnablingPermissiveMutualTLS", default=False)
    tls: MeshTls | None = msgspec.field(name="TLS", default=None)
    peering: MeshPeering | None = None
    validate_clusters: bool = False

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE
    idle: ClassVar[tuple[str, ...]] = (
        "TransparentProxy",
        "AllowEnablingPermissiveMutualTLS",
        "TLS",
        "Peering",
        "ValidateClusters",
    )


def check_service_defaults(entry: ServiceDefaults) -> ServiceDefaults:
    """Check every part by itself and bring the protocol into lower case."""
    _check_shared(entry)
    check_upstreams(entry.upstream_config)
    check_choice(entry.balance_inbound_connections, BALANCES, "BalanceInboundConnections")
    check_not_negative(entry.max_inbound_connections, "MaxInboundConnections")
    check_not_negative(entry.local_connect_timeout_ms, "LocalConnectTimeoutMs")
    check_not_negative(entry.local_request_timeout_ms, "LocalRequestTimeoutMs")
    if entry.destination is not None:
        _check_destination(entry.destination)
    return msgspec.structs.replace(entry, protocol=_protocol(entry.protocol, "Protocol"))


def check_proxy_defaults(entry: ProxyDefaults) -> ProxyDefaults:
    """Check every part by itself, and the protocol inside `Config`."""
    _check_shared(entry)
    check_access_logs(entry.access_logs)
    if entry.failover_policy is not None:
        check_choice(entry.failover_policy.mode, ("", "sequential"), "FailoverPolicy.Mode")
    protocol = entry.config.get("protocol", "")
    if not isinstance(protocol, str):
        raise refuse("Config.protocol must be a string")
    if not protocol:
        return entry
    return msgspec.structs.replace(entry, config={**entry.config, "protocol": _protocol(protocol, "Config.protocol")})


def check_mesh(entry: Mesh) -> Mesh:
    """Check TLS versions and the words for what is done to odd requests."""
    for name, direction in (("Incoming", entry.tls.incoming), ("Outgoing", entry.tls.outgoing)) if entry.tls else ():
        if direction is not None:
            check_tls_versions(direction.tls_min_version, direction.tls_max_version, f"TLS.{name}")
    incoming = entry.http.incoming if entry.http is not None else None
    if incoming is not None and incoming.request_normalization is not None:
        rules, at = incoming.request_normalization, "HTTP.Incoming.RequestNormalization"
        slashes = ("", "IMPLEMENTATION_SPECIFIC_DEFAULT", "KEEP_UNCHANGED", "REJECT_REQUEST")
        check_choice(
            rules.path_with_escaped_slashes_action,
            (*slashes, "UNESCAPE_AND_REDIRECT", "UNESCAPE_AND_FORWARD"),
            f"{at}.PathWithEscapedSlashesAction",
        )
        check_choice(
            rules.headers_with_underscores_action,
            ("", "ALLOW", "REJECT_REQUEST", "DROP_HEADER"),
            f"{at}.HeadersWithUnderscoresAction",
        )
    return entry


def check_tls_versions(least: str, most: str, at: str) -> None:
    """Known versions, the lower one first."""
    known = ("", "TLS_AUTO", *_TLS_VERSIONS)
    check_choice(least, known, f"{at}.TLSMinVersion")
    check_choice(most, known, f"{at}.TLSMaxVersion")
    if least in _TLS_VERSIONS and most in _TLS_VERSIONS and _TLS_VERSIONS.index(least) > _TLS_VERSIONS.index(most):
        raise refuse(f"{at}.TLSMinVersion {least} is above TLSMaxVersion {most}")


def is_host(text: str) -> bool:
    """Whether it is a host name or an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST.fullmatch(text) is not None
    return True


def _check_shared(entry: ServiceDefaults | ProxyDefaults) -> None:
    check_choice(entry.mode, MODES, "Mode")
    check_choice(entry.mutual_tls_mode, MUTUAL_TLS_MODES, "MutualTLSMode")
    if entry.mesh_gateway is not None:
        check_choice(entry.mesh_gateway.mode, MESH_GATEWAY_MODES, "MeshGateway.Mode")
    check_expose(entry.expose)


def _check_destination(destination: Destination) -> None:
    check_port(destination.port, "Destination.Port")
    if not destination.addresses:
        raise refuse("Destination.Addresses must hold at least one address")
    if len(set(destination.addresses)) != len(destination.addresses):
        raise refuse("Destination.Addresses holds an address twice")
    for address in destination.addresses:
        if not is_host(address):
            raise refuse(f"Destination.Addresses: {address[:80]!r} is no host name or IP address")


def _protocol(protocol: str, field: str) -> str:
    lowered = protocol.lower()
    if lowered and lowered not in PROTOCOLS:
        raise refuse(f"{field} {protocol[:40]!r} is not supported: use tcp, http, http2 or grpc")
    return lowered
