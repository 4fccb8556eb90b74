"""What a filter may ask about: the fields of every listing, with the operators that suit each (Consul's API pages).

Values only. A selector that a listing has no field for is refused when the filter is read, not when a row is met: so a
mistyped one is an error also where there is nothing to list.
"""

import enum
from collections.abc import Mapping
from typing import Final

import msgspec


class Kind(enum.Enum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "truth"
    LIST = "list"
    MAP = "map"
    STRUCT = "struct"
    OPEN = "open"
    """Free JSON: whatever is asked is answered from what is found."""


class Field(msgspec.Struct, frozen=True):
    """One field: its kind, its named fields (a struct), and what its items are (a list or a map)."""

    kind: Kind
    fields: Mapping[str, "Field"] = {}
    inner: "Field | None" = None

    def at(self, path: tuple[str, ...]) -> "Field | None":
        """The field that a selector ends at, None if there is none. A list on the way stands for each of its items."""
        here: Field | None = self
        for key in path:
            while here is not None and here.kind is Kind.LIST:
                here = here.inner
            if here is None:
                return None
            if here.kind is Kind.STRUCT:
                here = here.fields.get(key)
            elif here.kind is Kind.MAP:
                here = here.inner
            elif here.kind is not Kind.OPEN:
                return None
        return here


TEXT: Final = Field(Kind.TEXT)
NUMBER: Final = Field(Kind.NUMBER)
TRUTH: Final = Field(Kind.TRUTH)
OPEN: Final = Field(Kind.OPEN)
TEXTS: Final = Field(Kind.LIST, inner=TEXT)
PAIRS: Final = Field(Kind.MAP, inner=TEXT)


def struct(**fields: Field) -> Field:
    """A field with named fields."""
    return Field(Kind.STRUCT, fields)


def texts(*names: str) -> dict[str, Field]:
    """Named fields that are all texts."""
    return dict.fromkeys(names, TEXT)


_LOCALITY = struct(**texts("Region", "Zone"))
_WEIGHTS = struct(Passing=NUMBER, Warning=NUMBER)
_ADDRESSES = Field(Kind.MAP, inner=struct(Address=TEXT, Port=NUMBER))
_MODE = struct(Mode=TEXT)
_UPSTREAM = struct(
    **texts(
        "DestinationType",
        "DestinationNamespace",
        "DestinationPartition",
        "DestinationPeer",
        "DestinationName",
        "Datacenter",
        "LocalBindAddress",
        "LocalBindSocketPath",
        "LocalBindSocketMode",
    ),
    LocalBindPort=NUMBER,
    MeshGateway=_MODE,
    CentrallyConfigured=TRUTH,
    Config=OPEN,
)
_EXPOSED = struct(**texts("LocalPathPort", "Path", "Protocol"), ListenerPort=NUMBER, ParsedFromCheck=TRUTH)
PROXY: Final = struct(
    **texts("DestinationServiceName", "DestinationServiceID", "LocalServiceAddress", "LocalServiceSocketPath", "Mode"),
    LocalServicePort=NUMBER,
    Config=OPEN,
    Upstreams=Field(Kind.LIST, inner=_UPSTREAM),
    MeshGateway=_MODE,
    Expose=struct(Checks=TRUTH, Paths=Field(Kind.LIST, inner=_EXPOSED)),
    TransparentProxy=struct(OutboundListenerPort=NUMBER, DialedDirectly=TRUTH),
    MutualTLSMode=TEXT,
    AccessLogs=OPEN,
    EnvoyExtensions=OPEN,
)
_CONNECT = struct(Native=TRUTH, SidecarService=OPEN)

NODE: Final = struct(
    **texts("ID", "Node", "Address", "Datacenter", "Partition", "PeerName"),
    Meta=PAIRS,
    TaggedAddresses=PAIRS,
    Locality=_LOCALITY,
)
SERVICE: Final = struct(
    **texts("Kind", "ID", "Service", "Address", "SocketPath", "Namespace", "Partition", "Datacenter", "PeerName"),
    Tags=TEXTS,
    Meta=PAIRS,
    Port=NUMBER,
    TaggedAddresses=_ADDRESSES,
    Weights=_WEIGHTS,
    EnableTagOverride=TRUTH,
    Proxy=PROXY,
    Connect=_CONNECT,
    Locality=_LOCALITY,
)
CHECK: Final = struct(
    **texts(
        "Node",
        "CheckID",
        "Name",
        "Status",
        "Notes",
        "Output",
        "ServiceID",
        "ServiceName",
        "Type",
        "Interval",
        "Timeout",
        "Namespace",
        "Partition",
        "PeerName",
    ),
    ServiceTags=TEXTS,
    ExposedPort=NUMBER,
    Definition=OPEN,
)
HEALTH: Final = struct(Node=NODE, Service=SERVICE, Checks=Field(Kind.LIST, inner=CHECK))
CATALOG_SERVICE: Final = struct(
    **texts(
        "ID",
        "Node",
        "Address",
        "Datacenter",
        "ServiceKind",
        "ServiceID",
        "ServiceName",
        "ServiceAddress",
        "ServiceSocketPath",
        "Partition",
        "PeerName",
    ),
    TaggedAddresses=PAIRS,
    NodeMeta=PAIRS,
    ServiceTags=TEXTS,
    ServiceTaggedAddresses=_ADDRESSES,
    ServiceWeights=_WEIGHTS,
    ServiceMeta=PAIRS,
    ServicePort=NUMBER,
    ServiceEnableTagOverride=TRUTH,
    ServiceProxy=PROXY,
    ServiceConnect=_CONNECT,
    ServiceLocality=_LOCALITY,
)
INTENTION: Final = struct(
    **texts(
        "ID",
        "Action",
        "Description",
        "DestinationNS",
        "DestinationName",
        "DestinationPartition",
        "SourceNS",
        "SourceName",
        "SourcePartition",
        "SourcePeer",
        "SourceType",
    ),
    Meta=PAIRS,
    Precedence=NUMBER,
)
GATEWAY_SERVICE: Final = struct(
    **texts("GatewayKind", "Protocol", "CAFile", "CertFile", "KeyFile", "SNI"),
    Gateway=struct(Name=TEXT),
    Service=struct(Name=TEXT),
    Port=NUMBER,
    Hosts=TEXTS,
    FromWildcard=TRUTH,
)
CONFIG_ENTRY: Final = struct(**texts("Kind", "Name"), Meta=PAIRS)
