"""What a proxy is told at its start, in small frozen groups. Parsed and checked once, where the process is composed."""

import msgspec

from mesh.decide.reach import GatewayMode


class InboundSettings(msgspec.Struct, frozen=True):
    """The mesh listener, and the application behind it on loopback. Port 0 picks a free one."""

    app_port: int
    app_address: str = "127.0.0.1"
    address: str = "0.0.0.0"
    port: int = 20000


class Upstream(msgspec.Struct, frozen=True):
    """One explicit upstream: what the application calls at `address`:`port` is `service`, by its discovery chain."""

    service: str
    port: int
    address: str = "127.0.0.1"


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds. A route's own time-outs (request, idle) come with the chain and go before these.

    `frame_s`: for one frame of a trunk, or one head in several, from its first byte to its last; longer than the kernel tries a peer that is gone.
    """

    connect_s: float = 5.0
    handshake_s: float = 10.0
    head_s: float = 10.0
    frame_s: float = 30.0
    request_s: float = 15.0
    stream_idle_s: float = 300.0
    tcp_idle_s: float = 3600.0
    keep_alive_s: float = 75.0
    drain_s: float = 30.0


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one proxy; what is over them is refused, never queued without end.

    `connections_a_service` to `foreign_a_certificate`: what of `connections` one peer may hold (`mesh.proxy.inbound.admission`). `held_bytes`:
    what all inbound trunks together may hold (`mesh.proxy.inbound.held`).
    """

    connections: int = 1024
    connections_a_service: int = 896
    trunks_a_certificate: int = 32
    foreign_a_certificate: int = 256
    held_bytes: int = 64 * 1024 * 1024
    pending: int = 1024
    streams_a_trunk: int = 1024
    replay_bytes: int = 64 * 1024
    app_idle_connections: int = 256


class ProxySettings(msgspec.Struct, frozen=True):
    """Everything of one sidecar. Without `inbound` it only calls; without `upstreams` it only serves.

    `gateway_mode`: whether other networks are reached at their own gateways or through one of ours.
    """

    inbound: InboundSettings | None = None
    upstreams: tuple[Upstream, ...] = ()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    gateway_mode: GatewayMode = GatewayMode.REMOTE
