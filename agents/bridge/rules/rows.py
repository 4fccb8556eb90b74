"""What stands in a catalog, as far as the bridge mirrors it: frozen values, from and to the API's JSON.

Sides may print the same thing differently (null or nothing, an address that is the node's): values here compare equal
when they mean the same. Pure.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from agents.bridge.rules.marks import CHECK_PREFIX, Mark, is_marked, mirrored_node

Json = dict[str, Any]

MAX_META_PAIRS = 64
MAX_OUTPUT_CHARS = 4096
PLAIN = ""
CONNECT_PROXY = "connect-proxy"
RESERVED = "consul-"
"""Meta and tagged addresses that begin so are Consul's own to write."""
EXTERNAL = frozenset({"external-node", "external-probe"})
"""Node meta that tells Consul's external monitor to check a node: it is checked where it stands."""


class ShapeError(ValueError):
    """The catalog answered something that is no row of the API; the message says what is missing."""


class CheckRow(msgspec.Struct, frozen=True):
    """One check. `service_id` empty: of the node."""

    id: str
    name: str
    status: str
    output: str = ""
    notes: str = ""
    type: str = ""
    service_id: str = ""


class InstanceRow(msgspec.Struct, frozen=True):
    """One instance of a service. `destination` is the (name, ID) that a connect proxy stands before."""

    id: str
    service: str
    address: str
    port: int
    kind: str = PLAIN
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = {}
    weights: tuple[int, int] = (1, 1)
    tagged: Mapping[str, tuple[str, int]] = {}
    native: bool = False
    destination: tuple[str, str] = ("", "")
    checks: tuple[CheckRow, ...] = ()


class NodeRow(msgspec.Struct, frozen=True):
    """One node with the checks of its own."""

    name: str
    address: str
    tagged: Mapping[str, str] = {}
    meta: Mapping[str, str] = {}
    checks: tuple[CheckRow, ...] = ()


class Sighting(msgspec.Struct, frozen=True):
    """One row of `health/service`: an instance, and its node as it was then."""

    node: NodeRow
    instance: InstanceRow

    @property
    def key(self) -> tuple[str, str]:
        """Node name and instance ID: what names an instance in a catalog."""
        return self.node.name, self.instance.id

    @property
    def marked(self) -> bool:
        """Whether a bridge wrote it: then it is never mirrored."""
        return is_marked(self.node.meta) or is_marked(self.instance.meta)


def sighting(row: Any) -> Sighting:
    """A row of `health/service` as a value.

    Raises:
        ShapeError: it is none.
    """
    try:
        checks = tuple(sorted((_check(one) for one in row.get("Checks") or ()), key=lambda one: one.id))
        node = _node(row["Node"], tuple(one for one in checks if not one.service_id))
        service = row["Service"]
        own = tuple(one for one in checks if one.service_id == service["ID"])
        return Sighting(node, _instance(service, node.address, own))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ShapeError(f"a row of health/service cannot be read: {type(error).__name__} {error}") from error


def _check(one: Json) -> CheckRow:
    return CheckRow(
        id=str(one["CheckID"]),
        name=str(one.get("Name") or ""),
        status=str(one["Status"]),
        output=str(one.get("Output") or "")[:MAX_OUTPUT_CHARS],
        notes=str(one.get("Notes") or ""),
        type=str(one.get("Type") or ""),
        service_id=str(one.get("ServiceID") or ""),
    )


def _node(one: Json, checks: tuple[CheckRow, ...]) -> NodeRow:
    tagged = {str(name): str(value) for name, value in (one.get("TaggedAddresses") or {}).items()}
    return NodeRow(str(one["Node"]), str(one["Address"]), tagged, _meta(one), checks)


def _instance(one: Json, node_address: str, checks: tuple[CheckRow, ...]) -> InstanceRow:
    weights, proxy = one.get("Weights") or {}, one.get("Proxy") or {}
    return InstanceRow(
        id=str(one["ID"]),
        service=str(one["Service"]),
        address=str(one.get("Address") or node_address),
        port=int(one.get("Port") or 0),
        kind=str(one.get("Kind") or PLAIN),
        tags=tuple(str(tag) for tag in one.get("Tags") or ()),
        meta=_meta(one),
        weights=(int(weights.get("Passing", 1)), int(weights.get("Warning", 1))),
        tagged={
            str(name): (str(value["Address"]), int(value.get("Port") or 0))
            for name, value in (one.get("TaggedAddresses") or {}).items()
            if not name.startswith(RESERVED)
        },
        native=bool((one.get("Connect") or {}).get("Native")),
        destination=(str(proxy.get("DestinationServiceName") or ""), str(proxy.get("DestinationServiceID") or "")),
        checks=checks,
    )


def _meta(one: Json) -> dict[str, str]:
    return {str(name): str(value) for name, value in (one.get("Meta") or {}).items()}


def mirrored(found: Sighting, mark: Mark, *, connect: bool) -> Sighting | None:
    """How a sighting at the source should stand at the target; None: not at all.

    With `connect`, sidecars are mirrored and instances stay mesh-native; gateways never are.
    """
    node, instance = found.node, found.instance
    if found.marked or instance.kind not in ({PLAIN, CONNECT_PROXY} if connect else {PLAIN}):
        return None
    there = NodeRow(
        mirrored_node(node.name, mark),
        node.address,
        node.tagged,
        _marked_meta(node.meta, mark.node_meta(node.name)),
        tuple(_mirrored_check(check) for check in node.checks),
    )
    own = msgspec.structs.replace(
        instance,
        meta=_marked_meta(instance.meta, mark.instance_meta()),
        native=instance.native and connect,
        checks=tuple(_mirrored_check(check) for check in instance.checks),
    )
    return Sighting(there, own)


def _mirrored_check(check: CheckRow) -> CheckRow:
    return msgspec.structs.replace(check, id=CHECK_PREFIX + check.id)


def _marked_meta(meta: Mapping[str, str], mark: dict[str, str]) -> dict[str, str]:
    """The source's meta as far as it may be written, and the mark, together within Consul's 64 pairs."""
    kept = sorted(name for name in meta if not name.startswith(RESERVED) and name not in EXTERNAL and name not in mark)
    return {**{name: meta[name] for name in kept[: MAX_META_PAIRS - len(mark)]}, **mark}


def node_body(node: NodeRow) -> Json:
    """The node's part of a registration."""
    return {
        "Node": node.name,
        "Address": node.address,
        "TaggedAddresses": dict(node.tagged),
        "NodeMeta": dict(node.meta),
    }


def service_body(instance: InstanceRow) -> Json:
    """The `Service` of a registration."""
    body: Json = {
        "ID": instance.id,
        "Service": instance.service,
        "Address": instance.address,
        "Port": instance.port,
        "Tags": list(instance.tags),
        "Meta": dict(instance.meta),
        "Weights": {"Passing": instance.weights[0], "Warning": instance.weights[1]},
    }
    if instance.tagged:
        body["TaggedAddresses"] = {
            name: {"Address": address, "Port": port} for name, (address, port) in instance.tagged.items()
        }
    if instance.kind == CONNECT_PROXY:
        name, service_id = instance.destination
        body |= {"Kind": CONNECT_PROXY, "Proxy": {"DestinationServiceName": name, "DestinationServiceID": service_id}}
    if instance.native:
        body["Connect"] = {"Native": True}
    return body


def check_body(node: str, check: CheckRow) -> Json:
    """One of the `Checks` of a registration."""
    return {
        "Node": node,
        "CheckID": check.id,
        "Name": check.name,
        "Status": check.status,
        "Output": check.output,
        "Notes": check.notes,
        "Type": check.type,
        "ServiceID": check.service_id,
    }
