"""The sync protocol's messages (DESIGN: how configuration travels), as JSON.

`POST /v1/linkspan/sync` carries a `SyncRequest`, its answer a `SyncResponse`. A resource is named
`<kind>/<name>`: `chain/<service>`, `endpoints/<service>`, `intentions/<service>`, `gateways/<network>`,
`exports/<network>`, and the single `roots`, `mesh` and `networks` (`NetworkMap`: every network's gateways and exports, for
mesh gateways). Its body is the JSON of the model value of that kind.
A version is an opaque text: equal versions mean equal bodies.

`POST /v1/linkspan/leaf` carries a `LeafRequest`, its answer a `LeafResponse`.
`POST /v1/linkspan/join` carries a `JoinRequest`, its answer a `JoinResponse`: the first certificate of a host or pod.

Bounds hold on both sides: `MAX_WANTS` resources a call, `MAX_BODY_BYTES` a message.
"""

import msgspec

MAX_WANTS = 2048
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_REQUEST_BYTES = 1024 * 1024
MAX_WAIT_S = 60.0

SYNC_PATH = "/v1/linkspan/sync"
LEAF_PATH = "/v1/linkspan/leaf"
JOIN_PATH = "/v1/linkspan/join"


class Want(msgspec.Struct, frozen=True):
    """One resource a caller follows, and the version it holds (empty: none)."""

    name: str
    version: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """A resource that the caller got and could not use."""

    name: str
    version: str
    reason: str


class SyncRequest(msgspec.Struct, frozen=True):
    """What a caller follows. `wait_s` bounds the long poll. `lease_node` renews that node's lease (agents only)."""

    wants: tuple[Want, ...]
    wait_s: float = 0.0
    lease_node: str = ""
    refused: tuple[Refusal, ...] = ()


class Resource(msgspec.Struct, frozen=True):
    """One changed resource; `body` is JSON, encoded once for all callers."""

    name: str
    version: str
    body: msgspec.Raw


class SyncResponse(msgspec.Struct, frozen=True):
    """What changed. `index` is the catalog index the answer was made at; nothing changed gives two empty lists."""

    index: int
    changed: tuple[Resource, ...] = ()
    removed: tuple[str, ...] = ()


class LeafRequest(msgspec.Struct, frozen=True):
    """A PEM certificate request. The authority decides the name: the request's own subject is ignored but for its URI SAN."""

    csr_pem: str


class LeafResponse(msgspec.Struct, frozen=True):
    """A leaf with its intermediates, first to last, and its life in seconds since the epoch."""

    certificate_pem: str
    uri: str
    serial: str
    not_before_s: float
    not_after_s: float


class JoinRequest(msgspec.Struct, frozen=True):
    """A one-time token (`method` "token") or a Kubernetes service-account token ("kubernetes"), with a CSR.

    The CSR's single URI SAN says which identity is asked for: a node, a gateway or, for "kubernetes", a service.
    """

    method: str
    token: str
    csr_pem: str
    network: str = ""


class JoinResponse(msgspec.Struct, frozen=True):
    """The first certificate, the trust bundle to verify with from now on, and where this host stands."""

    leaf: LeafResponse
    roots_pem: tuple[str, ...]
    datacenter: str
    trust_domain: str
    services: tuple[str, ...] = ()
