"""The rows of the catalog: nodes, service instances, checks, config entries, records, leases, keys and sessions.

Frozen values, replaced whole; their mappings are never mutated by anyone. Fields are Consul's
(`/v1/catalog/*`, `/v1/health/*`), in snake case; the API renders and parses the CamelCase form.
Defaults are not written to the log, so they may never change their meaning.
`create_index` and `modify_index` are set by `State.apply` alone: in a change they are 0 and ignored.
"""

import enum
from collections.abc import Mapping
from typing import Any

import msgspec

from mesh.model.endpoint import Health

SERF_HEALTH = "serfHealth"
"""The check ID of a node's own liveness, kept by its lease (Consul's name for it)."""

CONNECT_PROXY = "connect-proxy"
MESH_GATEWAY = "mesh-gateway"
SERVICE_INTENTIONS = "service-intentions"

META_DEREGISTER_AFTER_S = "linkspan-deregister-after-s"
"""Node meta: seconds between a lapsed lease and the node's removal; 0 is at once (a Kubernetes node's pods)."""

DEFAULT_DEREGISTER_AFTER_S = 72 * 3600.0

META_NETWORK = "linkspan-network"
"""Service or node meta: the network whose addresses the instance is reached by."""

DEFAULT_NETWORK = "default"


class Locality(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a node or instance stands."""

    region: str = ""
    zone: str = ""


class Node(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A host that instances run on. Its name is its identity; `id` is what its agent says and need not be unique."""

    node: str
    address: str = ""
    id: str = ""
    datacenter: str = ""
    tagged_addresses: Mapping[str, str] = msgspec.field(default_factory=dict)
    meta: Mapping[str, str] = msgspec.field(default_factory=dict)
    locality: Locality | None = None
    create_index: int = 0
    modify_index: int = 0


class ServiceAddress(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One tagged address of an instance: `lan`, `wan`, `virtual` and the like."""

    address: str
    port: int = 0


class Weights(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An instance's share of traffic while passing and while warning."""

    passing: int = 1
    warning: int = 1


class Proxy(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The `Proxy` part of a proxy's or gateway's registration. Raw mappings are canonical CamelCase JSON."""

    destination_service_name: str = ""
    destination_service_id: str = ""
    local_service_address: str = ""
    local_service_port: int = 0
    local_service_socket_path: str = ""
    mode: str = ""
    config: Mapping[str, Any] = msgspec.field(default_factory=dict)
    upstreams: tuple[Mapping[str, Any], ...] = ()
    mesh_gateway: Mapping[str, Any] = msgspec.field(default_factory=dict)
    expose: Mapping[str, Any] = msgspec.field(default_factory=dict)
    transparent_proxy: Mapping[str, Any] = msgspec.field(default_factory=dict)
    access_logs: Mapping[str, Any] = msgspec.field(default_factory=dict)
    envoy_extensions: tuple[Mapping[str, Any], ...] = ()


class Connect(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The `Connect` part of a registration. `sidecar_service` is canonical CamelCase JSON."""

    native: bool = False
    sidecar_service: Mapping[str, Any] | None = None


class ServiceInstance(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One instance of a service on a node. Its key is (`node`, `id`); an empty `address` means the node's."""

    service: str
    id: str = ""
    node: str = ""
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = msgspec.field(default_factory=dict)
    port: int = 0
    address: str = ""
    socket_path: str = ""
    tagged_addresses: Mapping[str, ServiceAddress] = msgspec.field(default_factory=dict)
    weights: Weights = Weights()
    enable_tag_override: bool = False
    kind: str = ""
    proxy: Proxy = Proxy()
    connect: Connect = Connect()
    locality: Locality | None = None
    create_index: int = 0
    modify_index: int = 0

    @property
    def destination(self) -> str:
        """The service that this instance lets mesh callers reach: a sidecar's destination, a native one's own; else empty."""
        if self.kind == CONNECT_PROXY:
            return self.proxy.destination_service_name
        return self.service if self.connect.native else ""


class Check(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One health check of a node (`service_id` empty) or of an instance. Its key is (`node`, `check_id`).

    `service_name` and `service_tags` are filled from the instance by the state.
    """

    check_id: str
    name: str = ""
    node: str = ""
    status: Health = Health.CRITICAL
    notes: str = ""
    output: str = ""
    service_id: str = ""
    service_name: str = ""
    service_tags: tuple[str, ...] = ()
    type: str = ""
    interval: str = ""
    timeout: str = ""
    exposed_port: int = 0
    definition: Mapping[str, Any] = msgspec.field(default_factory=dict)
    create_index: int = 0
    modify_index: int = 0


class ConfigEntry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A policy object. `body` is its canonical CamelCase JSON, without the indexes."""

    kind: str
    name: str
    body: Mapping[str, Any]
    create_index: int = 0
    modify_index: int = 0


class Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Bytes that another room of the catalog keeps: join tokens, the operator token's hash, certificate authority roots."""

    table: str
    key: str
    value: bytes
    create_index: int = 0
    modify_index: int = 0


class Lease(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The promise that keeps a node's registrations alive.

    It lapses when its holder does not renew within `ttl_s`; renewals live in memory, only lapse and return are changes.
    `lapsed_at_s` is seconds since the epoch, None while the lease is held.
    """

    node: str
    ttl_s: float = 15.0
    lapsed_at_s: float | None = None
    create_index: int = 0
    modify_index: int = 0


class KeyEntry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A key with its value (Consul `/v1/kv`). `session` holds its lock, empty if nobody does.

    `lock_index` counts the acquisitions; a write that takes no lock sets it to 0 (measured).
    """

    key: str
    value: bytes = b""
    flags: int = 0
    lock_index: int = 0
    session: str = ""
    create_index: int = 0
    modify_index: int = 0


class Behavior(enum.StrEnum):
    """What becomes of the keys that a session holds when it ends (Consul's word)."""

    RELEASE = "release"
    DELETE = "delete"


class ServiceCheck(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A check of an instance that a session is bound to."""

    id: str
    namespace: str = ""


class Session(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A holder of locks, bound to a node and to checks on it: it ends when one of them turns critical or goes.

    `ttl` is the text that its maker gave, `ttl_s` what it means in seconds (0: none). Its time runs in the engine's
    memory; only its end is a change.
    """

    id: str
    node: str
    name: str = ""
    lock_delay_ns: int = 15_000_000_000
    behavior: Behavior = Behavior.RELEASE
    ttl: str = ""
    ttl_s: float = 0.0
    node_checks: tuple[str, ...] = ()
    service_checks: tuple[ServiceCheck, ...] = ()
    create_index: int = 0
    modify_index: int = 0

    @property
    def checks(self) -> tuple[str, ...]:
        """The IDs of all checks that it is bound to."""
        return self.node_checks + tuple(check.id for check in self.service_checks)


class LockDelay(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A key that nobody may lock yet, since the session that held it ended at `since_s` (seconds since the epoch)."""

    key: str
    since_s: float
    delay_s: float
