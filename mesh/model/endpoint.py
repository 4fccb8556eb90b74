"""Where a service runs: endpoints, their health and their network.

An endpoint is the mesh address of one instance: the inbound side of its proxy, or the instance itself when it
speaks mutual TLS on its own. Values only.
"""

import enum
import hashlib

import msgspec


class Health(enum.StrEnum):
    """The worst state among an instance's checks and its node's (Consul's words)."""

    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"


class Endpoint(msgspec.Struct, frozen=True):
    """One instance as a caller dials it. `subsets` are the resolver's subsets that it belongs to.

    Of a mesh gateway, `address` and `port` are the WAN side when there is one, and `lan_address` and `lan_port` the side that
    its own network dials; without the latter both are the same.
    """

    service: str
    instance: str
    node: str
    address: str
    port: int
    network: str
    health: Health = Health.PASSING
    weight: int = 1
    subsets: tuple[str, ...] = ()
    lan_address: str = ""
    lan_port: int = 0


def instance_label(endpoint: Endpoint) -> str:
    """The label that names one instance in the subset's place of a server name, so that a gateway leads to just that one.

    A retry, an ejection and a latency belong to an instance: without it, what is dialled through a gateway could be any.
    """
    digest = hashlib.sha256(f"{endpoint.node}\0{endpoint.instance}".encode()).hexdigest()
    return f"i-{digest[:16]}"


class EndpointSet(msgspec.Struct, frozen=True):
    """All endpoints of a service (or all mesh gateways of a network), with the catalog index they were made from."""

    name: str
    index: int
    endpoints: tuple[Endpoint, ...] = ()


class Export(msgspec.Struct, frozen=True):
    """One service of a network and the networks that may reach it through that network's gateway; `*` is every network."""

    service: str
    consumers: tuple[str, ...]


class ExportSet(msgspec.Struct, frozen=True):
    """What the mesh gateway of `network` may forward. Nothing is exported that is not listed."""

    network: str
    index: int
    exports: tuple[Export, ...] = ()


class NetworkEntry(msgspec.Struct, frozen=True):
    """One network as a mesh gateway sees it: its gateways (WAN address when there is one) and what they may forward."""

    name: str
    gateways: EndpointSet
    exports: ExportSet


class NetworkMap(msgspec.Struct, frozen=True):
    """Every network that has a mesh gateway or an export: the body of the resource `networks`, which only gateways follow."""

    index: int
    networks: tuple[NetworkEntry, ...] = ()
