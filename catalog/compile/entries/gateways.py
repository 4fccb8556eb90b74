"""Kinds for gateways at the mesh's edge: ingress-gateway, terminating-gateway and api-gateway.

They are kept, shown and judged; Linkspan has mesh gateways alone, and their writer is told (`idle`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec

from catalog.compile.entries.connection import (
    PassiveHealthCheck,
    check_choice,
    check_not_negative,
    check_passive,
    check_port,
    refuse,
)
from catalog.compile.entries.defaults import check_tls_versions
from catalog.compile.entries.policy import JwtRequirement
from catalog.compile.entries.reader import EntryHead, EntryValue
from catalog.compile.entries.traffic import HeaderModifiers, Scoped, check_modifiers
from mesh.model.names import ANY

_SCOPE: Mapping[str, tuple[object, ...]] = MappingProxyType({"Partition": ("default",), "Namespace": ("default",)})
MAX_LISTENERS = 256
MAX_SERVICES = 1000


class Sds(EntryValue, frozen=True):
    """Where certificates come from."""

    cluster_name: str = ""
    cert_resource: str = ""


class GatewayTls(EntryValue, frozen=True):
    """TLS towards a gateway's callers."""

    enabled: bool = False
    sds: Sds | None = msgspec.field(name="SDS", default=None)
    tls_min_version: str = msgspec.field(name="TLSMinVersion", default="")
    tls_max_version: str = msgspec.field(name="TLSMaxVersion", default="")
    cipher_suites: tuple[str, ...] = ()


class ServiceTls(EntryValue, frozen=True):
    """TLS of one service of a gateway."""

    sds: Sds | None = msgspec.field(name="SDS", default=None)


class IngressService(Scoped, frozen=True):
    """One service behind an ingress listener (`*`: every HTTP service)."""

    name: str
    hosts: tuple[str, ...] = ()
    tls: ServiceTls | None = msgspec.field(name="TLS", default=None)
    request_headers: HeaderModifiers | None = None
    response_headers: HeaderModifiers | None = None
    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_concurrent_requests: int | None = None
    passive_health_check: PassiveHealthCheck | None = None


class IngressListener(EntryValue, frozen=True):
    """One port of an ingress gateway."""

    port: int = 0
    protocol: str = ""
    tls: GatewayTls | None = msgspec.field(name="TLS", default=None)
    services: tuple[IngressService, ...] = ()


class IngressDefaults(EntryValue, frozen=True):
    """Limits of every service of an ingress gateway."""

    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_concurrent_requests: int | None = None
    passive_health_check: PassiveHealthCheck | None = None


class IngressGateway(EntryHead, frozen=True, tag_field="Kind", tag="ingress-gateway"):
    """What an ingress gateway serves."""

    tls: GatewayTls | None = msgspec.field(name="TLS", default=None)
    listeners: tuple[IngressListener, ...] = ()
    defaults: IngressDefaults | None = None

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE
    idle: ClassVar[tuple[str, ...]] = ("TLS", "Listeners", "Defaults")


class LinkedService(Scoped, frozen=True):
    """One service behind a terminating gateway (`*`: every one)."""

    name: str
    ca_file: str = msgspec.field(name="CAFile", default="")
    cert_file: str = ""
    key_file: str = ""
    sni: str = msgspec.field(name="SNI", default="")
    disable_auto_host_rewrite: bool = False


class TerminatingGateway(EntryHead, frozen=True, tag_field="Kind", tag="terminating-gateway"):
    """What a terminating gateway leads to."""

    services: tuple[LinkedService, ...] = ()

    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE
    idle: ClassVar[tuple[str, ...]] = ("Services",)


class EntryReference(Scoped, frozen=True):
    """Another entry, by kind and name."""

    kind: str = ""
    name: str = ""
    section_name: str = ""


class ListenerTls(EntryValue, frozen=True):
    """TLS of an API gateway's listener."""

    certificates: tuple[EntryReference, ...] = ()
    min_version: str = ""
    max_version: str = ""
    cipher_suites: tuple[str, ...] = ()
    sds: Sds | None = msgspec.field(name="SDS", default=None)


class ListenerPolicy(EntryValue, frozen=True):
    """What callers of a listener must show."""

    jwt: JwtRequirement | None = msgspec.field(name="JWT", default=None)


class ApiListener(EntryValue, frozen=True):
    """One listener of an API gateway."""

    name: str = ""
    hostname: str = ""
    port: int = 0
    protocol: str = ""
    tls: ListenerTls | None = msgspec.field(name="TLS", default=None)
    override: ListenerPolicy | None = None
    default: ListenerPolicy | None = None
    max_request_headers_kb: int | None = msgspec.field(name="MaxRequestHeadersKB", default=None)


class ApiGateway(EntryHead, frozen=True, tag_field="Kind", tag="api-gateway"):
    """The listeners of an API gateway. `Status` is Consul's to write, and read over."""

    listeners: tuple[ApiListener, ...] = ()

    passive: ClassVar[tuple[str, ...]] = (*EntryHead.passive, "Status")
    unsupported: ClassVar[tuple[str, ...]] = ("Namespace", "Partition")
    neutral: ClassVar[Mapping[str, tuple[object, ...]]] = _SCOPE
    idle: ClassVar[tuple[str, ...]] = ("Listeners",)


def check_ingress(entry: IngressGateway) -> IngressGateway:
    """Each port once, a protocol for each listener, `*` and hosts where HTTP is spoken alone."""
    if len(entry.listeners) > MAX_LISTENERS:
        raise refuse(f"Listeners holds more than {MAX_LISTENERS}")
    ports: set[int] = set()
    listeners = []
    for i, listener in enumerate(entry.listeners):
        at = f"Listeners[{i}]"
        listener = msgspec.structs.replace(listener, protocol=listener.protocol.lower() or "tcp")  # noqa: PLW2901 - the shown form
        check_port(listener.port, f"{at}.Port")
        if listener.port in ports:
            raise refuse(f"port {listener.port} declared on two listeners")
        ports.add(listener.port)
        check_choice(listener.protocol, ("tcp", "http", "http2", "grpc"), f"{at}.Protocol")
        _check_ingress_services(listener, at)
        listeners.append(listener)
    if entry.tls is not None:
        check_tls_versions(entry.tls.tls_min_version, entry.tls.tls_max_version, "TLS")
    return msgspec.structs.replace(entry, listeners=tuple(listeners))


def _check_ingress_services(listener: IngressListener, at: str) -> None:
    if not listener.services:
        raise refuse(f"{at}: no service declared for the listener with port {listener.port}")
    if len(listener.services) > MAX_SERVICES:
        raise refuse(f"{at}.Services holds more than {MAX_SERVICES}")
    if listener.protocol == "tcp" and len(listener.services) > 1:
        raise refuse(f"{at}: multiple services per listener are only supported for L7 protocols")
    names: set[str] = set()
    hosts: set[str] = set()
    for j, service in enumerate(listener.services):
        where = f"{at}.Services[{j}]"
        if not service.name:
            raise refuse(f"{where}: service name cannot be blank")
        if service.name in names:
            raise refuse(f"{where}: service {service.name[:80]!r} cannot be added multiple times")
        names.add(service.name)
        _check_hosts(listener, service, where)
        for host in service.hosts:
            if host in hosts:
                raise refuse(f"{where}.Hosts {host[:80]!r} is given twice")
            hosts.add(host)
        check_modifiers(service.request_headers, f"{where}.RequestHeaders")
        check_modifiers(service.response_headers, f"{where}.ResponseHeaders")
        check_passive(service.passive_health_check, f"{where}.PassiveHealthCheck")
        for limit in (service.max_connections, service.max_pending_requests, service.max_concurrent_requests):
            check_not_negative(limit or 0, f"{where}: a limit")


def _check_hosts(listener: IngressListener, service: IngressService, where: str) -> None:
    if listener.protocol == "tcp" and (service.name == ANY or service.hosts):
        raise refuse(f"{where}: '*' and Hosts are only valid for L7 protocols")
    if service.name == ANY and service.hosts:
        raise refuse(f"{where}: Hosts cannot be set with the wildcard name")


def check_terminating(entry: TerminatingGateway) -> TerminatingGateway:
    """Each service once; a certificate comes with its key and an authority."""
    if len(entry.services) > MAX_SERVICES:
        raise refuse(f"Services holds more than {MAX_SERVICES}")
    seen: set[str] = set()
    for i, service in enumerate(entry.services):
        at = f"Services[{i}]"
        if not service.name:
            raise refuse(f"{at}: service name cannot be blank")
        if service.name in seen:
            raise refuse(f"{at}: service {service.name[:80]!r} was specified more than once")
        seen.add(service.name)
        if bool(service.cert_file) != bool(service.key_file):
            raise refuse(f"{at} must have a CertFile, CAFile, and KeyFile specified for TLS origination")
        if (service.cert_file or service.sni) and not service.ca_file:
            raise refuse(f"{at}: CertFile, KeyFile and SNI need a CAFile")
    return entry


def check_api_gateway(entry: ApiGateway) -> ApiGateway:
    """Each listener has a name of its own, and a port, host and protocol that fit."""
    if len(entry.listeners) > MAX_LISTENERS:
        raise refuse(f"Listeners holds more than {MAX_LISTENERS}")
    names: set[str] = set()
    places: dict[tuple[int, str], str] = {}
    protocols: dict[int, str] = {}
    for i, listener in enumerate(entry.listeners):
        at = f"Listeners[{i}]"
        if listener.name in names:
            raise refuse(f"found multiple listeners with the name {listener.name[:80]!r}")
        names.add(listener.name)
        check_port(listener.port, f"{at}.Port")
        protocol = listener.protocol.lower()
        check_choice(protocol, ("http", "tcp"), f"{at}.Protocol")
        if protocol == "tcp" and listener.hostname:
            raise refuse(f"{at}.Hostname goes with protocol http alone")
        if protocols.setdefault(listener.port, protocol) != protocol:
            raise refuse(f"listeners on port {listener.port} cannot have different protocols")
        if places.setdefault((listener.port, listener.hostname), listener.name) != listener.name:
            raise refuse(
                f"{at}: two listeners cannot share port {listener.port} and hostname {listener.hostname[:80]!r}"
            )
        _check_listener_tls(listener.tls, at)
    return entry


def _check_listener_tls(tls: ListenerTls | None, at: str) -> None:
    if tls is None:
        return
    check_tls_versions(tls.min_version, tls.max_version, f"{at}.TLS")
    for j, certificate in enumerate(tls.certificates):
        where = f"{at}.TLS.Certificates[{j}]"
        check_choice(certificate.kind, ("inline-certificate", "file-system-certificate"), f"{where}.Kind")
        if not certificate.name:
            raise refuse(f"{where}.Name is missing")


def exposed_services(entry: Any) -> list[tuple[str, int, str, tuple[str, ...]]]:
    """What a gateway's entry serves: service (may be `*`), port, protocol, hosts. An API gateway's routes stand elsewhere."""
    if isinstance(entry, IngressGateway):
        return [
            (service.name, listener.port, listener.protocol, service.hosts)
            for listener in entry.listeners
            for service in listener.services
        ]
    if isinstance(entry, TerminatingGateway):
        return [(service.name, 0, "", ()) for service in entry.services]
    return []
