"""What a mesh gateway is told at its start. Parsed and checked once, in `mesh.gateway.command`."""

import msgspec

from mesh.sync.link.address import HostPort


class GatewayLimits(msgspec.Struct, frozen=True):
    """Bounds and time-outs; what is over them is dropped and counted. 0 for `idle_s` never cuts an idle passage."""

    passages: int = 8192
    waiting_hellos: int = 1024
    hello_s: float = 10.0
    connect_s: float = 5.0
    idle_s: float = 3600.0
    drain_s: float = 30.0
    catalog_drain_s: float = 2.0
    tries: int = 3


class GatewaySettings(msgspec.Struct, frozen=True):
    """One mesh gateway. `catalog`: where the catalog's own name leads; empty: it is dropped."""

    network: str
    lan: HostPort | None = None
    wan: HostPort | None = None
    catalog: tuple[HostPort, ...] = ()
    limits: GatewayLimits = GatewayLimits()
