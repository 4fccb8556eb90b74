"""A catalog as a bridge sees it, in memory and in virtual time: enough of the API to be a source or a target.

Any change wakes every parked read, which real catalogs do not: a bridge must stand it. It must never be imported by
anything but tests.
"""

from collections.abc import Mapping
from typing import Any

import trio

from agents.bridge.rules.intentions import Pair
from agents.bridge.rules.marks import Identity
from agents.bridge.side import NOTHING, NotThereError, Reading, RefusedError, SideError

Json = dict[str, Any]
WAIT_S = 60


class FakeCatalog:
    """`agents.bridge.side.Side` over dictionaries. Tests change it with `add`, `register`, `deregister`, `intend`."""

    def __init__(self, datacenter: str, cluster: str = "") -> None:
        self.name = f"catalog {datacenter}"
        self.known = Identity(datacenter, cluster or f"{datacenter}.consul")
        self.nodes: dict[str, Json] = {}
        self.services: dict[tuple[str, str], Json] = {}
        self.checks: dict[tuple[str, str], Json] = {}
        self.intentions: dict[Pair, Json] = {}
        self.index = 10
        self.away = ""
        self.refused = ""
        self.whole = True
        self.writes: list[str] = []
        self.reads: list[str] = []
        self.parked = 0
        self.most_parked = 0
        self._changed = trio.Event()

    # What tests do.
    def add(self, node: str, service: str, status: str = "passing", **fields: Any) -> None:
        """One instance with one check, `<service>-1` unless an ID is given."""
        one = {"ID": f"{service}-1", "Service": service, "Port": 80, **fields}
        check = {"CheckID": f"service:{one['ID']}", "Name": "alive", "Status": status, "ServiceID": one["ID"]}
        self.register({"Node": node, "Address": "192.0.2.1", "Service": one, "Checks": [check]})

    def register(self, body: Json) -> None:
        """As `/v1/catalog/register`."""
        name = body["Node"]
        rows: list[tuple[dict[Any, Json], Any, Json]] = [
            (
                self.nodes,
                name,
                {
                    "Node": name,
                    "Address": body["Address"],
                    "TaggedAddresses": body.get("TaggedAddresses"),
                    "Meta": body.get("NodeMeta"),
                },
            )
        ]
        if "Service" in body:
            rows.append((self.services, (name, body["Service"]["ID"]), body["Service"]))
        rows.extend((self.checks, (name, check["CheckID"]), check) for check in body.get("Checks") or ())
        if any(table.get(key) != row for table, key, row in rows):
            for table, key, row in rows:
                table[key] = row
            self.bump()

    def deregister(self, body: Json) -> None:
        """As `/v1/catalog/deregister`."""
        name = body["Node"]
        if "CheckID" in body:
            self.checks.pop((name, body["CheckID"]), None)
        elif "ServiceID" in body:
            self._drop(name, body["ServiceID"])
        else:
            for node, service_id in list(self.services):
                if node == name:
                    self._drop(node, service_id)
            self.checks = {key: one for key, one in self.checks.items() if key[0] != name}
            self.nodes.pop(name, None)
        self.bump()

    def intend(self, source: str, destination: str, **fields: Any) -> None:
        """An intention; allow unless told otherwise."""
        self.intentions[source, destination] = {"Description": "", **(fields or {"Action": "allow"})}
        self.bump()

    def lose_everything(self) -> None:
        """As a catalog whose data is gone: empty, and its index begins anew."""
        for table in (self.nodes, self.services, self.checks, self.intentions):
            table.clear()
        self.index = 1
        self.wake()

    def bump(self) -> None:
        """Something changed."""
        self.index += 1
        self.wake()

    def wake(self) -> None:
        """Every parked read answers."""
        self._changed.set()
        self._changed = trio.Event()

    def mirrored(self) -> dict[str, list[str]]:
        """Service IDs and statuses by the original name of each mirrored node."""
        found: dict[str, list[str]] = {}
        for (node, service_id), _ in sorted(self.services.items()):
            meta = self.nodes[node]["Meta"] or {}
            if "linkspan-bridge" in meta:
                states = [
                    one["Status"]
                    for key, one in self.checks.items()
                    if one.get("ServiceID") == service_id and key[0] == node
                ]
                found.setdefault(meta["linkspan-bridge-node"], []).append(" ".join([service_id, *states]))
        return found

    def _drop(self, node: str, service_id: str) -> None:
        self.services.pop((node, service_id), None)
        for key, check in list(self.checks.items()):
            if key[0] == node and check.get("ServiceID") == service_id:
                del self.checks[key]

    # What a bridge calls.
    async def identity(self) -> Identity:
        await trio.lowlevel.checkpoint()
        self._answering("/v1/agent/self")
        return self.known

    async def read(self, path: str, params: Mapping[str, str] = NOTHING, index: int = 0) -> Reading:
        await trio.lowlevel.checkpoint()
        self._answering(path)
        if index and self.index == index:
            self.parked += 1
            self.most_parked = max(self.most_parked, self.parked)
            try:
                with trio.move_on_after(WAIT_S):
                    await self._changed.wait()
            finally:
                self.parked -= 1
        self._answering(path)
        self.reads.append(path)
        return Reading(self._body(path, dict(params)), self.index, self.whole)

    async def write(self, path: str, body: Json) -> None:
        await self._writing(f"{path.rpartition('/')[2]} {body['Node']} {body.get('ServiceID', '')}".strip())
        if path.endswith("deregister"):
            self.deregister(body)
        else:
            self.register(body)

    async def put_intention(self, pair: Pair, body: Json) -> None:
        await self._writing(f"intention {pair[0]} {pair[1]}")
        self.intentions[pair] = body
        self.bump()

    async def remove_intention(self, pair: Pair) -> None:
        await self._writing(f"no intention {pair[0]} {pair[1]}")
        self.intentions.pop(pair, None)
        self.bump()

    async def _writing(self, what: str) -> None:
        await trio.lowlevel.checkpoint()
        self._answering(what)
        if self.refused and self.refused in what:
            raise RefusedError(f"{self.name}: {what}: 403 Permission denied")
        self.writes.append(what)

    def _answering(self, what: str) -> None:
        if self.away:
            raise SideError(f"{self.name}: {what}: {self.away}")

    def _body(self, path: str, params: dict[str, str]) -> Any:
        key, _, value = params.get("node-meta", "").partition(":")
        nodes = {name: one for name, one in self.nodes.items() if not key or (one["Meta"] or {}).get(key) == value}
        if path == "/v1/catalog/nodes":
            return list(nodes.values())
        if path == "/v1/catalog/services":
            return {one["Service"]: one.get("Tags") or [] for (node, _), one in self.services.items() if node in nodes}
        if path == "/v1/health/state/any":
            return [self._check(node, check) for (node, _), check in self.checks.items()]
        if path.startswith("/v1/health/service/"):
            name = path.rpartition("/")[2]
            return [self._row(key) for key, one in self.services.items() if one["Service"] == name and key[0] in nodes]
        return self._single(path, params)

    def _single(self, path: str, params: dict[str, str]) -> Any:
        if path.startswith("/v1/catalog/node/"):
            name = path.rpartition("/")[2]
            services = {key[1]: one for key, one in self.services.items() if key[0] == name}
            return {"Node": self.nodes[name], "Services": services} if name in self.nodes else None
        if path.endswith("/exact"):
            pair = (params["source"], params["destination"])
            if pair not in self.intentions:
                raise NotThereError("404 Intention not found")
            return self._intention(pair)
        assert path == "/v1/connect/intentions", path
        return [self._intention(pair) for pair in self.intentions]

    def _row(self, key: tuple[str, str]) -> Json:
        checks = [
            self._check(node, check)
            for (node, _), check in self.checks.items()
            if node == key[0] and check.get("ServiceID", "") in {"", key[1]}
        ]
        return {"Node": self.nodes[key[0]], "Service": self.services[key], "Checks": checks}

    def _check(self, node: str, check: Json) -> Json:
        service = self.services.get((node, check.get("ServiceID", "")), {}).get("Service", "")
        return {**check, "Node": node, "ServiceName": service, "ModifyIndex": hash(str(check))}

    def _intention(self, pair: Pair) -> Json:
        return {"SourceName": pair[0], "DestinationName": pair[1], "SourceNS": "default", **self.intentions[pair]}
