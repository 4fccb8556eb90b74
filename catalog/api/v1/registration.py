"""Bodies of `/v1/catalog/register` and `/deregister`: their shapes, and the changes they mean.

The shapes are strict in their fields and lax in their values, as Consul is (reference: measured traps): what the values
must satisfy is the state's to judge. It must never invent a value that the caller did not give, but Consul's defaults.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from catalog.api.http.errors import BadRequestError
from catalog.api.v1.naming import consul_name
from catalog.state.changes import Deregister, Register
from catalog.state.records import Check, Connect, Locality, Node, Proxy, ServiceAddress, ServiceInstance, Weights
from mesh.model.endpoint import Health


class Body(msgspec.Struct, frozen=True, rename=consul_name, forbid_unknown_fields=True, omit_defaults=True):
    """What all shapes are: Consul's names, unknown fields refused."""


class TenantBody(Body, frozen=True):
    """Fields that Consul's structs carry for tenants; this catalog has one, so they may only be empty or `default`."""

    namespace: str = ""
    partition: str = ""
    peer_name: str = ""


class LocalityBody(Body, frozen=True):
    """`Locality`."""

    region: str = ""
    zone: str = ""


class AddressBody(Body, frozen=True):
    """One of a service's `TaggedAddresses`."""

    address: str = ""
    port: int = 0


class WeightsBody(Body, frozen=True):
    """`Weights`. Consul's default is 1 each."""

    passing: int = 1
    warning: int = 1


class MeshGatewayBody(Body, frozen=True):
    """`MeshGateway`."""

    mode: str = ""


class UpstreamBody(Body, frozen=True):
    """One of `Proxy.Upstreams`."""

    destination_type: str = ""
    destination_namespace: str = ""
    destination_partition: str = ""
    destination_peer: str = ""
    destination_name: str = ""
    datacenter: str = ""
    local_bind_address: str = ""
    local_bind_port: int = 0
    local_bind_socket_path: str = ""
    local_bind_socket_mode: str = ""
    config: dict[str, Any] = {}
    mesh_gateway: MeshGatewayBody | None = None


class ExposePathBody(Body, frozen=True):
    """One of `Proxy.Expose.Paths`."""

    listener_port: int = 0
    path: str = ""
    local_path_port: int = 0
    protocol: str = ""
    parsed_from_check: bool = False


class ExposeBody(Body, frozen=True):
    """`Proxy.Expose`."""

    checks: bool = False
    paths: tuple[ExposePathBody, ...] = ()


class TransparentProxyBody(Body, frozen=True):
    """`Proxy.TransparentProxy`."""

    outbound_listener_port: int = 0
    dialed_directly: bool = False


class AccessLogsBody(Body, frozen=True):
    """`Proxy.AccessLogs`."""

    enabled: bool = False
    disable_listener_logs: bool = False
    type: str = ""
    path: str = ""
    json_format: str = msgspec.field(default="", name="JSONFormat")
    text_format: str = ""


class ProxyBody(Body, frozen=True):
    """`Proxy`."""

    destination_service_name: str = ""
    destination_service_id: str = ""
    local_service_address: str = ""
    local_service_port: int = 0
    local_service_socket_path: str = ""
    mode: str = ""
    config: dict[str, Any] = {}
    upstreams: tuple[UpstreamBody, ...] = ()
    mesh_gateway: MeshGatewayBody = MeshGatewayBody()
    expose: ExposeBody = ExposeBody()
    transparent_proxy: TransparentProxyBody = TransparentProxyBody()
    access_logs: AccessLogsBody = AccessLogsBody()
    envoy_extensions: tuple[dict[str, Any], ...] = ()

    def record(self) -> Proxy:
        """The state's value of it."""
        return Proxy(
            destination_service_name=self.destination_service_name,
            destination_service_id=self.destination_service_id,
            local_service_address=self.local_service_address,
            local_service_port=self.local_service_port,
            local_service_socket_path=self.local_service_socket_path,
            mode=self.mode,
            config=self.config,
            upstreams=tuple(_plain(upstream) for upstream in self.upstreams),
            mesh_gateway=_plain(self.mesh_gateway),
            expose=_plain(self.expose),
            transparent_proxy=_plain(self.transparent_proxy),
            access_logs=_plain(self.access_logs),
            envoy_extensions=self.envoy_extensions,
        )


class ConnectBody(Body, frozen=True):
    """`Connect`. A `SidecarService` is for agents, which register it as an instance of its own."""

    native: bool = False
    sidecar_service: dict[str, Any] | None = None


class ServiceBody(TenantBody, frozen=True):
    """`Service`."""

    kind: str = ""
    id: str = ""
    service: str = ""
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = {}
    port: int = 0
    address: str = ""
    socket_path: str = ""
    tagged_addresses: dict[str, AddressBody] = {}
    weights: WeightsBody = WeightsBody()
    enable_tag_override: bool = False
    proxy: ProxyBody = ProxyBody()
    connect: ConnectBody = ConnectBody()
    locality: LocalityBody | None = None
    datacenter: str = ""
    create_index: int = 0
    modify_index: int = 0

    def record(self) -> ServiceInstance:
        """The state's value of it."""
        check_tenant(self, "Service")
        return ServiceInstance(
            service=self.service,
            id=self.id,
            tags=self.tags,
            meta=self.meta,
            port=self.port,
            address=self.address,
            socket_path=self.socket_path,
            tagged_addresses={
                name: ServiceAddress(tagged.address, tagged.port) for name, tagged in self.tagged_addresses.items()
            },
            weights=Weights(self.weights.passing, self.weights.warning),
            enable_tag_override=self.enable_tag_override,
            kind=self.kind,
            proxy=self.proxy.record(),
            connect=Connect(native=self.connect.native, sidecar_service=self.connect.sidecar_service),
            locality=locality_of(self.locality),
        )


class CheckBody(TenantBody, frozen=True):
    """`Check` and each of `Checks`. `Definition` is kept as it is given."""

    node: str = ""
    check_id: str = ""
    name: str = ""
    status: str = ""
    notes: str = ""
    output: str = ""
    service_id: str = ""
    service_name: str = ""
    service_tags: tuple[str, ...] = ()
    type: str = ""
    interval: str = ""
    timeout: str = ""
    exposed_port: int = 0
    definition: dict[str, Any] = {}
    create_index: int = 0
    modify_index: int = 0

    def record(self, where: str = "Check") -> Check:
        """The state's value of it; without a status a check is critical."""
        check_tenant(self, where)
        return Check(
            check_id=self.check_id,
            name=self.name,
            node=self.node,
            status=health_of(self.status, f"{where}.Status"),
            notes=self.notes,
            output=self.output,
            service_id=self.service_id,
            type=self.type,
            interval=self.interval,
            timeout=self.timeout,
            exposed_port=self.exposed_port,
            definition=self.definition,
        )


class RegisterBody(TenantBody, frozen=True):
    """The body of `PUT /v1/catalog/register`."""

    id: str = ""
    node: str = ""
    address: str = ""
    datacenter: str = ""
    tagged_addresses: dict[str, str] = {}
    node_meta: dict[str, str] = {}
    service: ServiceBody | None = None
    check: CheckBody | None = None
    checks: tuple[CheckBody, ...] = ()
    skip_node_update: bool = False
    locality: LocalityBody | None = None

    def change(self, datacenter: str) -> Register:
        """The change it means, in the catalog's own datacenter."""
        check_tenant(self, "")
        checks = self.checks if self.check is None else (self.check, *self.checks)
        return Register(
            node=Node(
                node=self.node,
                address=self.address,
                id=self.id,
                datacenter=datacenter,
                tagged_addresses=self.tagged_addresses,
                meta=self.node_meta,
                locality=locality_of(self.locality),
            ),
            services=() if self.service is None else (self.service.record(),),
            checks=tuple(check.record("Check" if check is self.check else "Checks") for check in checks),
            skip_node_update=self.skip_node_update,
        )


class DeregisterBody(TenantBody, frozen=True):
    """The body of `PUT /v1/catalog/deregister`."""

    node: str = ""
    address: str = ""
    datacenter: str = ""
    service_id: str = ""
    check_id: str = ""

    def change(self) -> Deregister:
        """The change it means."""
        check_tenant(self, "")
        return Deregister(self.node, self.service_id, self.check_id)


def check_tenant(body: TenantBody, where: str) -> None:
    """Refuse a namespace, partition or peer other than the one there is.

    Raises:
        BadRequestError: 400, naming the field.
    """
    for field, allowed in (("namespace", {"", "default"}), ("partition", {"", "default"}), ("peer_name", {""})):
        if getattr(body, field) not in allowed:
            name = f"{where}.{consul_name(field)}" if where else consul_name(field)
            raise BadRequestError(f'field "{name}": this catalog has one namespace and no peers; leave it out')


def health_of(status: str, field: str) -> Health:
    """A check's status; an empty one is critical (Consul's default).

    Raises:
        BadRequestError: it is none of the three.
    """
    try:
        return Health(status or "critical")
    except ValueError as error:
        raise BadRequestError(
            f'field "{field}": {status[:40]!r} is no status: use passing, warning or critical'
        ) from error


def locality_of(body: LocalityBody | None) -> Locality | None:
    """The state's locality."""
    return None if body is None else Locality(body.region, body.zone)


def _plain(body: Body) -> Mapping[str, Any]:
    """A body as canonical CamelCase JSON, without what is empty."""
    plain: Mapping[str, Any] = msgspec.to_builtins(body)
    return plain
