"""A proxy's registration with the central configuration worked in: what `?merge-central-config` shows.

Consul's precedence: what the instance says, then service-defaults, then proxy-defaults. Only proxies and gateways have
any; the registration itself stays as it was.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from catalog.compile.entries.connection import UpstreamConfig, UpstreamSettings
from catalog.compile.entries.defaults import ProxyDefaults, ServiceDefaults
from catalog.compile.entries.reader import EntryValue, write_value
from catalog.compile.entry_view import Entries, entry_of
from catalog.state.records import CONNECT_PROXY, Proxy, ServiceInstance

GATEWAY_KINDS = frozenset({"mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"})

Json = Mapping[str, Any]


def merge_central(entries: Entries, instance: ServiceInstance) -> ServiceInstance:
    """The instance as the central configuration completes it; one that is no proxy as it is."""
    if instance.kind == CONNECT_PROXY:
        service = instance.proxy.destination_service_name
    elif instance.kind in GATEWAY_KINDS:
        service = instance.service
    else:
        return instance
    own = entry_of(entries, ServiceDefaults, "service-defaults", service)
    every = entry_of(entries, ProxyDefaults, "proxy-defaults", "global")
    if own is None and every is None:
        return instance
    return msgspec.structs.replace(instance, proxy=_merged(instance.proxy, own, every))


def _merged(proxy: Proxy, own: ServiceDefaults | None, every: ProxyDefaults | None) -> Proxy:
    layers = [layer for layer in (own, every) if layer is not None]
    upstreams = own.upstream_config if own is not None else None
    return msgspec.structs.replace(
        proxy,
        config={**_central_config(own, every), **proxy.config},
        mode=next((text for text in (proxy.mode, *(layer.mode for layer in layers)) if text), ""),
        mesh_gateway=_first(proxy.mesh_gateway, *(layer.mesh_gateway for layer in layers)),
        expose=_first(proxy.expose, *(layer.expose for layer in layers)),
        transparent_proxy=_first(proxy.transparent_proxy, *(layer.transparent_proxy for layer in layers)),
        access_logs=_first(proxy.access_logs, every.access_logs if every is not None else None),
        envoy_extensions=proxy.envoy_extensions
        or tuple(write_value(one) for layer in reversed(layers) for one in layer.envoy_extensions),
        upstreams=tuple(_upstream(upstream, upstreams) for upstream in proxy.upstreams),
    )


def _central_config(own: ServiceDefaults | None, every: ProxyDefaults | None) -> dict[str, Any]:
    """The opaque configuration: that of all, with what service-defaults say in the proxies' own words."""
    config = dict(every.config) if every is not None else {}
    if own is not None:
        said: Json = {
            "protocol": own.protocol,
            "max_inbound_connections": own.max_inbound_connections,
            "local_connect_timeout_ms": own.local_connect_timeout_ms,
            "local_request_timeout_ms": own.local_request_timeout_ms,
            "balance_inbound_connections": own.balance_inbound_connections,
        }
        config |= {key: value for key, value in said.items() if value}
    return config


def _first(own: Json, *layers: EntryValue | None) -> Json:
    """The first that says anything."""
    if own:
        return own
    return next((shown for layer in layers if layer is not None and (shown := write_value(layer))), {})


def _upstream(upstream: Json, central: UpstreamConfig | None) -> Json:
    """An upstream with the defaults and its override beneath its own configuration."""
    if central is None:
        return upstream
    name = upstream.get("DestinationName")
    override = next((one for one in central.overrides if one.name == name and not one.peer), None)
    config: dict[str, Any] = {}
    mode: Json = {}
    for settings in (central.defaults, override):
        if settings is not None:
            config |= _settings(settings)
            mode = write_value(settings.mesh_gateway) if settings.mesh_gateway is not None else mode
    merged = {**upstream, "Config": {**config, **(upstream.get("Config") or {})}}
    if mode and not upstream.get("MeshGateway"):
        merged["MeshGateway"] = mode
    return merged


def _settings(settings: UpstreamSettings) -> dict[str, Any]:
    """Settings of an upstream in the words of its opaque configuration."""
    said: Json = {
        "protocol": settings.protocol,
        "connect_timeout_ms": settings.connect_timeout_ms,
        "envoy_listener_json": settings.envoy_listener_json,
        "envoy_cluster_json": settings.envoy_cluster_json,
        "balance_outbound_connections": settings.balance_outbound_connections,
        "limits": write_value(settings.limits) if settings.limits is not None else {},
        "passive_health_check": (
            write_value(settings.passive_health_check) if settings.passive_health_check is not None else {}
        ),
    }
    return {key: value for key, value in said.items() if value}
