"""What service-defaults, proxy-defaults and gateways share: how proxies connect, expose, limit and log.

Values and what each must satisfy alone. Much of it is kept and shown, and no proxy of this version acts on it: the kinds
name such fields in `idle`, so that a writer is told.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from catalog.compile.entries.duration import Duration
from catalog.compile.entries.reader import ConfigEntryError, EntryValue

MESH_GATEWAY_MODES = frozenset({"", "none", "local", "remote"})
MODES = frozenset({"", "direct", "transparent"})
MUTUAL_TLS_MODES = frozenset({"", "strict", "permissive"})
BALANCES = frozenset({"", "exact_balance"})


class MeshGatewayMode(EntryValue, frozen=True):
    """Through which mesh gateways calls to other datacenters go."""

    mode: str = ""


class TransparentProxy(EntryValue, frozen=True):
    """How traffic is caught that the application does not send to an upstream's port."""

    outbound_listener_port: int = 0
    dialed_directly: bool = False


class ExposePath(EntryValue, frozen=True):
    """One path that is served without mutual TLS."""

    listener_port: int = 0
    path: str = ""
    local_path_port: int = 0
    protocol: str = ""
    parsed_from_check: bool = False


class Expose(EntryValue, frozen=True):
    """What is served without mutual TLS."""

    checks: bool = False
    paths: tuple[ExposePath, ...] = ()


class EnvoyExtension(EntryValue, frozen=True):
    """An extension of Envoy; kept for whoever reads it."""

    name: str
    required: bool = False
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    consul_version: str = ""
    envoy_version: str = ""


class AccessLogs(EntryValue, frozen=True):
    """How proxies log requests."""

    enabled: bool = False
    disable_listener_logs: bool = False
    type: str = ""
    path: str = ""
    json_format: str = msgspec.field(name="JSONFormat", default="")
    text_format: str = ""


class Limits(EntryValue, frozen=True):
    """How much of an upstream is used at once."""

    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_concurrent_requests: int | None = None


class PassiveHealthCheck(EntryValue, frozen=True):
    """When an instance that answers badly is left out for a while."""

    interval: Duration | None = None
    max_failures: int = 0
    enforcing_consecutive5xx: int | None = msgspec.field(name="EnforcingConsecutive5xx", default=None)
    max_ejection_percent: int | None = None
    base_ejection_time: Duration | None = None


class UpstreamSettings(EntryValue, frozen=True):
    """How one upstream, or any, is called."""

    name: str = ""
    peer: str = ""
    envoy_listener_json: str = msgspec.field(name="EnvoyListenerJSON", default="")
    envoy_cluster_json: str = msgspec.field(name="EnvoyClusterJSON", default="")
    protocol: str = ""
    connect_timeout_ms: int = 0
    limits: Limits | None = None
    passive_health_check: PassiveHealthCheck | None = None
    mesh_gateway: MeshGatewayMode | None = None
    balance_outbound_connections: str = ""

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = MappingProxyType(
        {"Namespace": ("default",), "Partition": ("default",)}
    )


class UpstreamConfig(EntryValue, frozen=True):
    """How upstreams are called: all of them, and some of them otherwise."""

    overrides: tuple[UpstreamSettings, ...] = ()
    defaults: UpstreamSettings | None = None


class Destination(EntryValue, frozen=True):
    """An address outside of the mesh that the service stands for."""

    addresses: tuple[str, ...] = ()
    port: int = 0


def refuse(text: str) -> ConfigEntryError:
    """The refusal of an entry that was read and breaks a rule (Consul's status for it is 500)."""
    return ConfigEntryError(500, f"Config entry: {text}")


def check_choice(value: str, choices: Iterable[str], at: str) -> None:
    """One of the words that Consul knows.

    Raises:
        ConfigEntryError: another.
    """
    if value not in choices:
        known = ", ".join(repr(choice) for choice in sorted(choices) if choice)
        raise refuse(f"{at} {value[:40]!r} is not one of {known}")


def check_not_negative(value: float, at: str) -> None:
    """Zero or more.

    Raises:
        ConfigEntryError: less.
    """
    if value < 0:
        raise refuse(f"{at} must not be negative")


def check_port(port: int, at: str) -> None:
    """A port that can be listened on or dialled.

    Raises:
        ConfigEntryError: none.
    """
    if not 1 <= port <= 65535:
        raise refuse(f"{at} must be from 1 to 65535, not {port}")


def check_expose(expose: Expose | None) -> None:
    """Paths begin with a slash and speak http or http2."""
    for i, path in enumerate(expose.paths if expose is not None else ()):
        at = f"Expose.Paths[{i}]"
        if path.path and not path.path.startswith("/"):
            raise refuse(f"{at}.Path must start with '/'")
        check_choice(path.protocol, ("", "http", "http2"), f"{at}.Protocol")


def check_access_logs(logs: AccessLogs | None) -> None:
    """A type that Consul knows, a path with `file` alone, one format."""
    if logs is None:
        return
    check_choice(logs.type, ("", "stdout", "stderr", "file"), "AccessLogs.Type")
    if (logs.type == "file") != bool(logs.path):
        raise refuse("AccessLogs.Path goes with AccessLogs.Type 'file', and only with that")
    if logs.json_format and logs.text_format:
        raise refuse("AccessLogs.JSONFormat and AccessLogs.TextFormat exclude each other")


def check_upstreams(config: UpstreamConfig | None) -> None:
    """Defaults name nobody, overrides name each upstream once."""
    if config is None:
        return
    if config.defaults is not None:
        if config.defaults.name:
            raise refuse("UpstreamConfig.Defaults.Name must be empty: it is about every upstream")
        _check_settings(config.defaults, "UpstreamConfig.Defaults")
    seen: set[tuple[str, str]] = set()
    for i, settings in enumerate(config.overrides):
        at = f"UpstreamConfig.Overrides[{i}]"
        if settings.name in {"", "*"}:
            raise refuse(f"{at}.Name must name one service")
        if (settings.name, settings.peer) in seen:
            raise refuse(f"{at}.Name {settings.name[:80]!r} is given twice")
        seen.add((settings.name, settings.peer))
        _check_settings(settings, at)


def _check_settings(settings: UpstreamSettings, at: str) -> None:
    check_not_negative(settings.connect_timeout_ms, f"{at}.ConnectTimeoutMs")
    check_choice(settings.balance_outbound_connections, BALANCES, f"{at}.BalanceOutboundConnections")
    if settings.mesh_gateway is not None:
        check_choice(settings.mesh_gateway.mode, MESH_GATEWAY_MODES, f"{at}.MeshGateway.Mode")
    check_limits(settings.limits, f"{at}.Limits")
    check_passive(settings.passive_health_check, f"{at}.PassiveHealthCheck")


def check_limits(limits: Limits | None, at: str) -> None:
    """No limit is below zero."""
    if limits is not None:
        for name in ("max_connections", "max_pending_requests", "max_concurrent_requests"):
            check_not_negative(getattr(limits, name) or 0, f"{at}.{name}")


def check_passive(check: PassiveHealthCheck | None, at: str) -> None:
    """Shares are percentages, times are not negative."""
    if check is None:
        return
    for name, share in (
        ("EnforcingConsecutive5xx", check.enforcing_consecutive5xx),
        ("MaxEjectionPercent", check.max_ejection_percent),
    ):
        if share is not None and not 0 <= share <= 100:
            raise refuse(f"{at}.{name} must be from 0 to 100")
    check_not_negative(check.max_failures, f"{at}.MaxFailures")
    for name, span in (("Interval", check.interval), ("BaseEjectionTime", check.base_ejection_time)):
        check_not_negative(span.nanoseconds if span is not None else 0, f"{at}.{name}")
