"""Which services a gateway leads to, and which gateways lead to a service: from the gateways' entries and routes.

A wildcard stands for every service that fits the listener's protocol; an entry that names a service wins over it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from catalog.compile.entries.gateways import ApiGateway, ApiListener, IngressGateway, TerminatingGateway
from catalog.compile.entries.routes import HttpRoute, TcpRoute
from catalog.compile.entry_view import Entries, EntrySource, protocol_of
from catalog.state.records import ServiceInstance
from mesh.model.names import ANY

KINDS = ("ingress-gateway", "terminating-gateway", "api-gateway")


class Services(EntrySource, Protocol):
    """The part of the state that gateways are judged by."""

    def services(self) -> Mapping[str, tuple[str, ...]]:
        """Every service's name."""
        ...

    def service(self, name: str) -> list[ServiceInstance]:
        """The instances of a service."""
        ...


class GatewayService(msgspec.Struct, frozen=True):
    """One service that a gateway leads to."""

    gateway: str
    kind: str
    service: str
    port: int = 0
    protocol: str = ""
    hosts: tuple[str, ...] = ()
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    sni: str = ""
    from_wildcard: bool = False
    create_index: int = 0
    modify_index: int = 0

    def to_json(self) -> dict[str, Any]:
        """Consul's form (`catalog/gateway-services`): what is empty is left out."""
        shown: dict[str, Any] = {
            "Gateway": {"Name": self.gateway},
            "Service": {"Name": self.service},
            "GatewayKind": self.kind,
        }
        rest = {
            "Port": self.port,
            "Protocol": self.protocol,
            "Hosts": list(self.hosts),
            "CAFile": self.ca_file,
            "CertFile": self.cert_file,
            "KeyFile": self.key_file,
            "SNI": self.sni,
            "FromWildcard": self.from_wildcard,
        }
        shown |= {key: value for key, value in rest.items() if value}
        return shown | {"CreateIndex": self.create_index, "ModifyIndex": self.modify_index}


def gateway_services(state: Services, entries: Entries, gateway: str) -> list[GatewayService]:
    """The services of a gateway, by port and name."""
    found: dict[tuple[int, str], GatewayService] = {}
    for kind in KINDS:
        stored = state.config(kind, gateway)
        if stored is None:
            continue
        for row in _rows(entries, kind, gateway):
            for name in _names(state, entries, row) if row.service == ANY else (row.service,):
                made = msgspec.structs.replace(
                    row,
                    service=name,
                    from_wildcard=row.service == ANY,
                    create_index=stored.create_index,
                    modify_index=stored.modify_index,
                )
                before = found.get((row.port, name))
                if before is None or (before.from_wildcard and not made.from_wildcard):
                    found[row.port, name] = made
    return [found[key] for key in sorted(found)]


def ingress_gateways(state: Services, entries: Entries, service: str) -> list[str]:
    """The ingress gateways that lead to a service, by name."""
    return [
        row.name
        for row in state.configs("ingress-gateway")
        if any(one.service == service for one in gateway_services(state, entries, row.name))
    ]


def _rows(entries: Entries, kind: str, gateway: str) -> Iterable[GatewayService]:
    entry = entries.get(kind, gateway)
    if isinstance(entry, IngressGateway):
        for listener in entry.listeners:
            for exposed in listener.services:
                yield GatewayService(gateway, kind, exposed.name, listener.port, listener.protocol, exposed.hosts)
    elif isinstance(entry, TerminatingGateway):
        for linked in entry.services:
            yield GatewayService(
                gateway,
                kind,
                linked.name,
                ca_file=linked.ca_file,
                cert_file=linked.cert_file,
                key_file=linked.key_file,
                sni=linked.sni,
            )
    elif isinstance(entry, ApiGateway):
        yield from _routed(entries, entry)


def _routed(entries: Entries, entry: ApiGateway) -> Iterable[GatewayService]:
    """What the routes lead to that name this gateway as a parent."""
    for kind, protocol in (("http-route", "http"), ("tcp-route", "tcp")):
        for name in entries.names(kind):
            route = entries.get(kind, name)
            if not isinstance(route, HttpRoute | TcpRoute):
                continue
            hosts = route.hostnames if isinstance(route, HttpRoute) else ()
            for listener in _listeners(entry, route, protocol):
                for service in _aims(route):
                    yield GatewayService(entry.name, "api-gateway", service, listener.port, protocol, hosts)


def _listeners(entry: ApiGateway, route: HttpRoute | TcpRoute, protocol: str) -> list[ApiListener]:
    sections = [parent.section_name for parent in route.parents if parent.name == entry.name]
    return [
        listener
        for listener in entry.listeners
        if listener.protocol.lower() == protocol and any(section in {"", listener.name} for section in sections)
    ]


def _aims(route: HttpRoute | TcpRoute) -> list[str]:
    if isinstance(route, TcpRoute):
        return [service.name for service in route.services]
    return [service.name for rule in route.rules for service in rule.services]


def _names(state: Services, entries: Entries, row: GatewayService) -> list[str]:
    """What a wildcard stands for: plain services, of the listener's protocol where it has one."""
    return [
        name
        for name in state.services()
        if any(instance.kind == "" for instance in state.service(name))
        and (not row.protocol or protocol_of(entries, name) == row.protocol)
    ]
