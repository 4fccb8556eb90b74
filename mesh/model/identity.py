"""Who a peer is: SPIFFE IDs and the SNI names that go with them.

A certificate of the mesh carries exactly one URI SAN, one of the four forms below (the paths are Consul's,
so that both can live in one trust domain for a migration). Anything else is refused; nothing is guessed.

| kind | path |
|---|---|
| service | `/ns/<ns>/dc/<dc>/svc/<service>` |
| node | `/agent/client/dc/<dc>/id/<node>` |
| mesh gateway | `/gateway/mesh/dc/<dc>/net/<network>` |
| catalog server | `/agent/server/dc/<dc>` |
"""

import enum
import re

import msgspec

from mesh.model.names import InvalidNameError, check_label, check_node, check_trust_domain

DEFAULT_NAMESPACE = "default"


class Kind(enum.StrEnum):
    """What a SPIFFE ID names."""

    SERVICE = "service"
    NODE = "node"
    GATEWAY = "gateway"
    SERVER = "server"


class InvalidIdentityError(ValueError):
    """The peer's certificate or a caller's text does not hold a usable SPIFFE ID."""


_PATHS = (
    (Kind.SERVICE, re.compile(r"/ns/(?P<ns>[^/]+)/dc/(?P<dc>[^/]+)/svc/(?P<name>[^/]+)")),
    (Kind.NODE, re.compile(r"/agent/client/dc/(?P<dc>[^/]+)/id/(?P<name>[^/]+)")),
    (Kind.GATEWAY, re.compile(r"/gateway/mesh/dc/(?P<dc>[^/]+)/net/(?P<name>[^/]+)")),
    (Kind.SERVER, re.compile(r"/agent/server/dc/(?P<dc>[^/]+)")),
)


class SpiffeId(msgspec.Struct, frozen=True):
    """One identity of the mesh.

    `name` is the service, the node or the gateway's network; empty for a catalog server.
    """

    trust_domain: str
    kind: Kind
    datacenter: str
    name: str = ""
    namespace: str = DEFAULT_NAMESPACE

    def __str__(self) -> str:
        path = {
            Kind.SERVICE: f"/ns/{self.namespace}/dc/{self.datacenter}/svc/{self.name}",
            Kind.NODE: f"/agent/client/dc/{self.datacenter}/id/{self.name}",
            Kind.GATEWAY: f"/gateway/mesh/dc/{self.datacenter}/net/{self.name}",
            Kind.SERVER: f"/agent/server/dc/{self.datacenter}",
        }[self.kind]
        return f"spiffe://{self.trust_domain}{path}"


def service_id(trust_domain: str, datacenter: str, service: str, namespace: str = DEFAULT_NAMESPACE) -> SpiffeId:
    """The identity of a service."""
    return SpiffeId(trust_domain, Kind.SERVICE, datacenter, service, namespace)


def parse_spiffe_id(uri: str) -> SpiffeId:
    """Parse a SPIFFE ID.

    Raises:
        InvalidIdentityError: it is none, or its path is not one of the four forms, or a name in it is invalid.
    """
    scheme, _, rest = uri.partition("://")
    if scheme != "spiffe" or not rest or len(uri) > 2048:
        raise InvalidIdentityError(f"{uri[:120]!r} is not a SPIFFE ID: expected spiffe://<trust domain>/<path>")
    trust_domain, slash, path = rest.partition("/")
    for kind, pattern in _PATHS:
        match = pattern.fullmatch(slash + path)
        if match is None:
            continue
        parts = match.groupdict()
        try:
            check_trust_domain(trust_domain)
            check_label(parts["dc"], "datacenter")
            if kind is Kind.NODE:
                check_node(parts["name"])
            elif kind is not Kind.SERVER:
                check_label(parts["name"], kind.value)
            check_label(parts.get("ns", DEFAULT_NAMESPACE), "namespace")
        except InvalidNameError as error:
            raise InvalidIdentityError(f"{uri[:120]!r}: {error}") from error
        return SpiffeId(trust_domain, kind, parts["dc"], parts.get("name", ""), parts.get("ns", DEFAULT_NAMESPACE))
    raise InvalidIdentityError(f"{uri[:120]!r}: its path names no service, node, gateway or catalog server")


def service_sni(service: str, datacenter: str, trust_domain: str, subset: str = "") -> str:
    """The server name a dialler sends for a service: `[subset.]service.ns.dc.internal.<trust domain>` (Consul's form)."""
    head = f"{subset}." if subset else ""
    return f"{head}{service}.{DEFAULT_NAMESPACE}.{datacenter}.internal.{trust_domain}"


def server_sni(datacenter: str, trust_domain: str) -> str:
    """The server name a dialler sends to reach the catalog, directly or through mesh gateways."""
    return f"server.{datacenter}.{trust_domain}"


def parse_service_sni(sni: str, trust_domain: str) -> tuple[str, str, str] | None:
    """Split a service's SNI into (service, datacenter, subset); None if it is no service name of this trust domain."""
    tail = f".internal.{trust_domain}"
    if len(sni) > 253 or not sni.endswith(tail):
        return None
    labels = sni[: -len(tail)].split(".")
    if len(labels) == 3:
        labels.insert(0, "")
    if len(labels) != 4 or labels[2] != DEFAULT_NAMESPACE:
        return None
    subset, service, _, datacenter = labels
    return service, datacenter, subset
