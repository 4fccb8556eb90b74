"""The definition schema as it arrives (Consul's service and check definitions), before anything is checked or defaulted.

Keys may come in any style; `keys.read_struct` sees to that. Fields that this agent cannot honour are listed so that they
are refused by name instead of being silently dropped (`parse`).
"""

from typing import Any

import msgspec

Duration = str | int | float


class CheckShape(msgspec.Struct):
    """One check: exactly one of its kinds says how it is run; `script_args` is another name of `args`."""

    id: str = ""
    check_id: str = ""
    name: str = ""
    notes: str = ""
    status: str = ""
    service_id: str = ""
    token: str = ""
    http: str = ""
    method: str = ""
    header: dict[str, list[str]] = {}
    body: str = ""
    disable_redirects: bool = False
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    tcp: str = ""
    tcp_use_tls: bool = False
    ttl: Duration = ""
    args: list[str] = []
    script_args: list[str] = []
    alias_node: str = ""
    alias_service: str = ""
    interval: Duration = ""
    timeout: Duration = ""
    success_before_passing: int = 0
    failures_before_warning: int | None = None
    failures_before_critical: int = 0
    deregister_critical_service_after: Duration = ""
    output_max_size: int | None = None
    namespace: str = ""
    partition: str = ""
    script: str = ""
    shell: str = ""
    docker_container_id: str = ""
    udp: str = ""
    grpc: str = ""
    grpc_use_tls: bool = False
    h2ping: str = ""
    h2ping_use_tls: bool = True
    os_service: str = ""


class MeshGatewayShape(msgspec.Struct):
    """Through which gateways a proxy reaches other networks."""

    mode: str = ""


class ExposePathShape(msgspec.Struct):
    """One path of a service that callers outside the mesh may ask for."""

    listener_port: int = 0
    path: str = ""
    local_path_port: int = 0
    protocol: str = ""


class ExposeShape(msgspec.Struct):
    """What of a service is offered without mutual TLS."""

    checks: bool = False
    paths: list[ExposePathShape] = []


class TransparentProxyShape(msgspec.Struct):
    """How redirected connections reach a proxy."""

    outbound_listener_port: int = 0
    dialed_directly: bool = False


class AccessLogsShape(msgspec.Struct):
    """Where a proxy writes its access log."""

    enabled: bool = False
    disable_listener_logs: bool = False
    type: str = ""
    path: str = ""
    json_format: str = ""
    text_format: str = ""


class EnvoyExtensionShape(msgspec.Struct):
    """One extension; it is kept and registered, and means nothing to Linkspan's own proxy."""

    name: str = ""
    required: bool = False
    arguments: dict[str, Any] = {}
    consul_version: str = ""
    envoy_version: str = ""


class LocalityShape(msgspec.Struct):
    """Where an instance runs."""

    region: str = ""
    zone: str = ""


class TaggedAddressShape(msgspec.Struct):
    """One address for one kind of caller."""

    address: str = ""
    port: int = 0


class WeightsShape(msgspec.Struct):
    """Load-balancing weights by state."""

    passing: int = 1
    warning: int = 1


class UpstreamShape(msgspec.Struct):
    """One service that a proxy's workload calls, and the local port it is offered on."""

    destination_name: str
    destination_type: str = "service"
    destination_namespace: str = ""
    destination_partition: str = ""
    destination_peer: str = ""
    datacenter: str = ""
    local_bind_address: str = ""
    local_bind_port: int = 0
    local_bind_socket_path: str = ""
    local_bind_socket_mode: str = ""
    config: dict[str, Any] = {}
    mesh_gateway: MeshGatewayShape | None = None


class ProxyShape(msgspec.Struct):
    """What a connect-proxy fronts and what it offers to its workload."""

    destination_service_name: str = ""
    destination_service_id: str = ""
    local_service_address: str = ""
    local_service_port: int = 0
    local_service_socket_path: str = ""
    mode: str = ""
    config: dict[str, Any] = {}
    upstreams: list[UpstreamShape] = []
    mesh_gateway: MeshGatewayShape | None = None
    expose: ExposeShape | None = None
    transparent_proxy: TransparentProxyShape | None = None
    access_logs: AccessLogsShape | None = None
    envoy_extensions: list[EnvoyExtensionShape] = []


class ConnectShape(msgspec.Struct):
    """Whether the service speaks mutual TLS itself (native) or has a sidecar."""

    native: bool = False
    sidecar_service: "ServiceShape | None" = None


class ServiceShape(msgspec.Struct):
    """One service to register."""

    name: str = ""
    id: str = ""
    kind: str = ""
    tags: list[str] = []
    meta: dict[str, str] = {}
    address: str = ""
    port: int = 0
    socket_path: str = ""
    tagged_addresses: dict[str, TaggedAddressShape] = {}
    enable_tag_override: bool = False
    weights: WeightsShape | None = None
    check: CheckShape | None = None
    checks: list[CheckShape] = []
    proxy: ProxyShape | None = None
    connect: ConnectShape | None = None
    token: str = ""
    namespace: str = ""
    partition: str = ""
    locality: LocalityShape | None = None


class DocumentShape(msgspec.Struct):
    """A whole file of definitions."""

    service: ServiceShape | None = None
    services: list[ServiceShape] = []
    check: CheckShape | None = None
    checks: list[CheckShape] = []
