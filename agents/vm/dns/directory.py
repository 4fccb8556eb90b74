"""The catalog's lists as DNS sees them (`catalog.dns.answer.directory.Directory`), read from Consul's JSON.

Names are asked for in lower case first, as DNS has them, and looked for in the lists of all names only if there is nothing.
What the catalog filters for want of rights is not in its lists, so not here. An address of an instance's own does not lead
back to its service: no list says that; those of nodes do.
"""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlencode

from catalog.dns.answer.directory import Endpoint, Found, HostEntry, Place, place_of
from mesh.model.endpoint import Health

OWN_SERVICE = "consul"
VIRTUAL_ADDRESSES = ("consul-virtual", "virtual")
_SEVERITY = {Health.PASSING: 0, Health.WARNING: 1, Health.CRITICAL: 2}

Read = Callable[[str], Any]
"""The JSON of a path; raises NotHeldError."""


class HeldDirectory:
    """A directory, and a query executor, over what `read` gives."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def service(self, name: str) -> Sequence[Endpoint]:
        return self._health("service", name)

    def connect(self, name: str) -> Sequence[Endpoint]:
        return self._health("connect", name)

    def ingress(self, name: str) -> Sequence[Endpoint]:
        return self._health("ingress", name)

    def virtual(self, name: str) -> Sequence[Place]:
        rows = self._rows("connect", name) + self._rows("service", name)
        tagged = [_dict(_dict(row, "Service"), "TaggedAddresses") for row in rows]
        texts = [str(_dict(one, tag).get("Address", "")) for one in tagged for tag in VIRTUAL_ADDRESSES]
        return [place_of(text) for text in dict.fromkeys(texts) if text]

    def node(self, name: str) -> HostEntry | None:
        found = _dict(self._read(f"/v1/catalog/node/{_quoted(name)}"), "Node")
        if not found:
            nodes = _list(self._read("/v1/catalog/nodes"))
            found = next((node for node in nodes if str(node.get("Node", "")).lower() == name), {})
        return _host(found) if found else None

    def nodes_at(self, packed: bytes) -> Sequence[str]:
        where = urlencode({"filter": f'Address == "{ip_address(packed)}"'})
        return [str(node.get("Node", "")) for node in _list(self._read(f"/v1/catalog/nodes?{where}"))]

    def services_at(self, packed: bytes) -> Sequence[str]:  # noqa: ARG002 - the protocol's signature
        return []

    def name_servers(self) -> Sequence[HostEntry]:
        return [endpoint.host for endpoint in self._health("service", OWN_SERVICE)]

    def execute(self, name: str) -> Found | None:
        """What a prepared query finds, in its order (`catalog.dns.answer.directory.QueryExecutor`)."""
        found = self._read(f"/v1/query/{_quoted(name)}/execute")
        if not isinstance(found, dict):
            return None
        ttl = str(_dict(found, "DNS").get("TTL", ""))
        return Found(_endpoints(_list(found.get("Nodes"))), _whole_seconds(ttl))

    def _health(self, kind: str, name: str) -> list[Endpoint]:
        return _endpoints(self._rows(kind, name))

    def _rows(self, kind: str, name: str) -> list[dict[str, Any]]:
        rows = _list(self._read(f"/v1/health/{kind}/{_quoted(name)}"))
        if rows:
            return rows
        names = self._read("/v1/catalog/services")
        others = (
            [other for other in names if other != name and other.lower() == name] if isinstance(names, dict) else []
        )
        return [row for other in others for row in _list(self._read(f"/v1/health/{kind}/{_quoted(other)}"))]


def _quoted(name: str) -> str:
    return quote(name, safe="", errors="surrogateescape")


def _list(value: Any) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _dict(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _host(node: dict[str, Any]) -> HostEntry:
    meta = {str(key): str(value) for key, value in _dict(node, "Meta").items()}
    return HostEntry(
        str(node.get("Node", "")), place_of(str(node.get("Address", ""))), str(node.get("Datacenter", "")), meta
    )


def _endpoints(rows: Iterable[dict[str, Any]]) -> list[Endpoint]:
    return [_endpoint(row) for row in rows]


def _endpoint(row: dict[str, Any]) -> Endpoint:
    service = _dict(row, "Service")
    address, port = str(service.get("Address") or ""), service.get("Port")
    health = max(map(_health_of, _list(row.get("Checks"))), key=_SEVERITY.__getitem__, default=Health.PASSING)
    weight = _dict(service, "Weights").get("Warning" if health is Health.WARNING else "Passing", 1)
    tags = service.get("Tags")
    return Endpoint(
        str(service.get("Service", "")),
        _host(_dict(row, "Node")),
        place_of(address) if address else None,
        port if isinstance(port, int) else 0,
        frozenset(str(tag).lower() for tag in tags) if isinstance(tags, list) else frozenset(),
        weight if isinstance(weight, int) else 1,
        health,
    )


def _health_of(check: dict[str, Any]) -> Health:
    """A check's status; one that is none we know counts as critical."""
    try:
        return Health(check.get("Status", ""))
    except ValueError:
        return Health.CRITICAL


def _whole_seconds(text: str) -> int | None:
    """Seconds of a query's TTL (`10s`); None if it says nothing that is a number of seconds."""
    number = text.removesuffix("s")
    return int(number) if number != text and number.isascii() and number.isdigit() and len(number) < 9 else None
