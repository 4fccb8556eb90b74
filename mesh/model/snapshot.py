"""What a proxy or a gateway decides from: one immutable value, replaced whole when anything in it changes.

A missing part is missing, never empty by default: a proxy without `intentions` denies.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from mesh.model.chain import Chain
from mesh.model.endpoint import EndpointSet, ExportSet, NetworkMap
from mesh.model.intention import IntentionSet


class Root(msgspec.Struct, frozen=True):
    """One trusted root certificate. `active` is the one that signs now."""

    id: str
    pem: str
    active: bool = True


class Roots(msgspec.Struct, frozen=True):
    """The trust bundle: every root that a peer's certificate may chain to, and the serials that are revoked."""

    trust_domain: str
    index: int
    roots: tuple[Root, ...] = ()
    revoked_serials: tuple[str, ...] = ()


class MeshSettings(msgspec.Struct, frozen=True):
    """Settings of the whole mesh that proxies need (the `mesh` config entry and the catalog's own facts)."""

    datacenter: str
    trust_domain: str
    index: int = 0
    sanitize_xfcc: bool = True


class Local(msgspec.Struct, frozen=True):
    """Who this proxy is. `service` is empty for a gateway."""

    service: str
    network: str
    datacenter: str
    trust_domain: str
    instance: str = ""


_NONE: Mapping[str, object] = MappingProxyType({})


class Snapshot(msgspec.Struct, frozen=True):
    """All that a data-plane process holds. Mappings are read-only; keys are service names, for `gateways` and `exports` networks."""

    local: Local
    mesh: MeshSettings | None = None
    roots: Roots | None = None
    intentions: IntentionSet | None = None
    chains: Mapping[str, Chain] = _NONE  # type: ignore[assignment]
    endpoints: Mapping[str, EndpointSet] = _NONE  # type: ignore[assignment]
    gateways: Mapping[str, EndpointSet] = _NONE  # type: ignore[assignment]
    exports: ExportSet | None = None
    networks: NetworkMap | None = None
