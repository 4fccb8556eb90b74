"""What a definition means once it was checked: frozen values that the agent runs and registers.

Values only. Times are seconds. A sidecar with port 0 gets one from the agent's range when it is registered.
"""

from typing import Any

import msgspec

from agents.vm.thresholds import Thresholds
from mesh.model.endpoint import Health


class HttpProbe(msgspec.Struct, frozen=True, tag="http"):
    """Ask a URL; 2xx passes, 429 warns, the rest is critical."""

    url: str
    interval_s: float
    timeout_s: float
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    follow_redirects: bool = True
    tls_server_name: str = ""
    tls_skip_verify: bool = False


class TcpProbe(msgspec.Struct, frozen=True, tag="tcp"):
    """Connect, and finish a TLS handshake if asked to."""

    host: str
    port: int
    interval_s: float
    timeout_s: float
    use_tls: bool = False
    tls_server_name: str = ""
    tls_skip_verify: bool = False


class UdpProbe(msgspec.Struct, frozen=True, tag="udp"):
    """Send a datagram; any answer passes."""

    host: str
    port: int
    interval_s: float
    timeout_s: float


class GrpcProbe(msgspec.Struct, frozen=True, tag="grpc"):
    """Ask gRPC's health service about `service` (empty: the server as a whole); serving passes."""

    host: str
    port: int
    interval_s: float
    timeout_s: float
    service: str = ""
    use_tls: bool = False
    tls_server_name: str = ""
    tls_skip_verify: bool = False

    @property
    def target(self) -> str:
        """The address as it was given: `host:port` or `host:port/service`."""
        return f"{self.host}:{self.port}" + (f"/{self.service}" if self.service else "")


class H2PingProbe(msgspec.Struct, frozen=True, tag="h2ping"):
    """Connect with HTTP/2 and wait for the answer to a ping."""

    host: str
    port: int
    interval_s: float
    timeout_s: float
    use_tls: bool = True
    tls_server_name: str = ""
    tls_skip_verify: bool = False


class OsServiceProbe(msgspec.Struct, frozen=True, tag="os_service"):
    """Ask systemd for a unit's state: active passes, on its way there or back warns."""

    unit: str
    interval_s: float
    timeout_s: float


class ScriptProbe(msgspec.Struct, frozen=True, tag="script"):
    """Run a program: exit 0 passes, 1 warns, the rest is critical."""

    args: tuple[str, ...]
    interval_s: float
    timeout_s: float


class TtlProbe(msgspec.Struct, frozen=True, tag="ttl"):
    """Wait for the workload's own beat; critical when `ttl_s` passes without one."""

    ttl_s: float


class AliasProbe(msgspec.Struct, frozen=True, tag="alias"):
    """Repeat the worst state of a service, or with an empty ID of a node; `node` is empty for this agent's own."""

    service_id: str = ""
    node: str = ""


class MaintenanceProbe(msgspec.Struct, frozen=True, tag="maintenance"):
    """Nothing is run: the check is critical for as long as it is there."""


RunProbe = HttpProbe | TcpProbe | UdpProbe | GrpcProbe | H2PingProbe | OsServiceProbe | ScriptProbe
"""What is run at an interval."""

Probe = RunProbe | TtlProbe | AliasProbe | MaintenanceProbe


class CheckDefinition(msgspec.Struct, frozen=True):
    """One check. `service_id` is empty for a check of the whole node; `deregister_after_s` 0 means never.

    `token` goes with its registration and is never shown.
    """

    check_id: str
    name: str
    probe: Probe
    service_id: str = ""
    notes: str = ""
    initial: Health = Health.CRITICAL
    thresholds: Thresholds = Thresholds()
    deregister_after_s: float = 0.0
    output_max_bytes: int = 4096
    token: str = ""

    @property
    def type(self) -> str:
        """Consul's word for how the check is run."""
        return str(type(self.probe).__struct_config__.tag)

    @property
    def interval_s(self) -> float:
        """Seconds between two runs; 0 for checks that are not run."""
        return getattr(self.probe, "interval_s", 0.0)

    @property
    def timeout_s(self) -> float:
        """The bound of one run; 0 for checks that are not run."""
        return getattr(self.probe, "timeout_s", 0.0)


class TaggedAddress(msgspec.Struct, frozen=True, rename="pascal"):
    """One address for one kind of caller."""

    address: str
    port: int = 0


class ServiceDefinition(msgspec.Struct, frozen=True):
    """One service of this host. `proxy` is in Consul's JSON form (CamelCase), ready to register; `None` if it is no proxy.

    `locality` holds Region and Zone if it was given; `token` goes with its registration and is never shown.
    """

    id: str
    name: str
    kind: str = ""
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = {}
    address: str = ""
    port: int = 0
    socket_path: str = ""
    tagged_addresses: dict[str, TaggedAddress] = {}
    enable_tag_override: bool = False
    weight_passing: int = 1
    weight_warning: int = 1
    proxy: dict[str, Any] | None = None
    native: bool = False
    checks: tuple[CheckDefinition, ...] = ()
    sidecar: "ServiceDefinition | None" = None
    locality: dict[str, str] = {}
    token: str = ""


class Document(msgspec.Struct, frozen=True):
    """All that one file defines. `checks` are those of the node or of services defined elsewhere."""

    services: tuple[ServiceDefinition, ...] = ()
    checks: tuple[CheckDefinition, ...] = ()
