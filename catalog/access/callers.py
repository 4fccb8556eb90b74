"""The callers of the catalog, as values made from what a connection proved."""

import enum

import msgspec

from mesh.model.identity import Kind, SpiffeId
from mesh.model.names import ANY


class CallerKind(enum.StrEnum):
    """What kind of caller it is."""

    OPERATOR = "operator"
    NODE = "node"
    SERVICE = "service"
    GATEWAY = "gateway"
    SERVER = "server"
    TOKEN = "token"  # noqa: S105 - a kind
    ANONYMOUS = "anonymous"


class Grant(msgspec.Struct, frozen=True):
    """What a node may run beyond itself: services (`*`: any), and the mesh gateway of its network, if it names one.

    It may register those, in `network` alone (empty: in any), and have their leaves.
    `withdrawn`: the operator took it back; the node's certificate opens nothing until it joins anew.
    `any_service`: a node of a cluster, which registers whatever pods run there and a gateway of its network, and gets no
    leaf of any: pods join by themselves. Only joining from Kubernetes gives it, no token does.
    """

    services: tuple[str, ...] = ()
    gateway: bool = False
    network: str = ""
    withdrawn: bool = False
    any_service: bool = False

    def allows_service(self, service: str) -> bool:
        """Whether the node may hold that service's certificates."""
        return service in self.services or ANY in self.services


class Caller(msgspec.Struct, frozen=True):
    """One caller. `name` is the node, the service, the gateway's network or the token's accessor; `grant` is a node's."""

    kind: CallerKind
    name: str = ""
    grant: Grant = Grant()

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else str(self.kind)


OPERATOR = Caller(CallerKind.OPERATOR)
ANONYMOUS = Caller(CallerKind.ANONYMOUS)

_KINDS = {
    Kind.NODE: CallerKind.NODE,
    Kind.SERVICE: CallerKind.SERVICE,
    Kind.GATEWAY: CallerKind.GATEWAY,
    Kind.SERVER: CallerKind.SERVER,
}


def caller_of(identity: SpiffeId, grant: Grant | None) -> Caller:
    """The caller that a verified certificate proves; `grant` is the one kept for that node, None if there is none."""
    kind = _KINDS[identity.kind]
    return Caller(kind, identity.name, grant if grant is not None and kind is CallerKind.NODE else Grant())
