"""What the answers are made from, as the answering code sees it: hosts and endpoints, already cut to what may be read.

The catalog's side is `catalog.server.directory`, an agent's `agents.vm.dns`. Both hide what the asker has no right to.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Protocol

import msgspec

from mesh.model.endpoint import Health


class NotHeldError(Exception):
    """The directory does not hold the answer now; whoever asked fetches `what` and asks again."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not held")
        self.what = what


class Place(msgspec.Struct, frozen=True, gc=False):
    """An address as registered, and packed: 4 or 16 bytes; empty when it is a name or nothing."""

    text: str
    packed: bytes


def place_of(text: str) -> Place:
    """The place that an address names: an IP address, in brackets or not, or a host's name."""
    try:
        return Place(text, ip_address(text.removeprefix("[").removesuffix("]").partition("%")[0]).packed)
    except ValueError:
        return Place(text, b"")


class HostEntry(msgspec.Struct, frozen=True, gc=False):
    """One node."""

    name: str
    place: Place
    datacenter: str = ""
    meta: Mapping[str, str] = msgspec.field(default_factory=dict)


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """One instance of a service. `place` is its own address; None means its host's. `health` is the worst of its checks.

    `tags` are in lower case. `weight` is the one for its health.
    """

    service: str
    host: HostEntry
    place: Place | None = None
    port: int = 0
    tags: frozenset[str] = frozenset()
    weight: int = 1
    health: Health = Health.PASSING

    @property
    def at(self) -> Place:
        """Where it is reached."""
        return self.place or self.host.place


class Found(msgspec.Struct, frozen=True):
    """What a prepared query came to. `ttl_s` None: the query says nothing of it."""

    endpoints: Sequence[Endpoint]
    ttl_s: int | None = None


class Directory(Protocol):
    """Names come in lower case and are found in any letter case. Every method may raise NotHeldError.

    Endpoints come whatever their health is; the answering code hides those that are critical.
    """

    def service(self, name: str) -> Sequence[Endpoint]:
        """The instances of a service."""
        ...

    def connect(self, name: str) -> Sequence[Endpoint]:
        """What mesh callers of a service dial."""
        ...

    def ingress(self, name: str) -> Sequence[Endpoint]:
        """The ingress gateways that expose a service."""
        ...

    def virtual(self, name: str) -> Sequence[Place]:
        """The virtual addresses of a service."""
        ...

    def node(self, name: str) -> HostEntry | None:
        """A node."""
        ...

    def nodes_at(self, packed: bytes) -> Sequence[str]:
        """The names of the nodes with that address, in their letter case."""
        ...

    def services_at(self, packed: bytes) -> Sequence[str]:
        """The names of the services with an instance at that address of its own."""
        ...

    def name_servers(self) -> Sequence[HostEntry]:
        """The nodes that serve this domain."""
        ...


class QueryExecutor(Protocol):
    """Runs prepared queries by name or id."""

    def execute(self, name: str) -> Found | None:
        """What the query finds, in its order; None if there is no such query or it may not be run. May raise NotHeldError."""
        ...


class NoQueries:
    """There are no prepared queries."""

    def execute(self, name: str) -> Found | None:  # noqa: ARG002 - the protocol's signature
        return None
