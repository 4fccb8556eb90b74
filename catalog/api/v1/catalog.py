"""`/v1/catalog/*`: register, deregister, and lists of nodes, services and instances."""

from collections.abc import Callable, Iterable

import msgspec

from catalog.access.callers import CallerKind
from catalog.access.registration import may_register
from catalog.access.rights import Verb
from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, answer_read, filter_of, keep_items
from catalog.api.gate import IN_HANDLER, reading
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import PermissionDeniedError, RefusedError
from catalog.api.http.query import check_datacenter
from catalog.api.sight import Sight
from catalog.api.v1.permission import BY_RULES, require_deregister, require_register
from catalog.api.v1.registration import DeregisterBody, RegisterBody
from catalog.api.v1.selection import is_merged, merged, nearest_first, of_nodes, with_central, with_tags
from catalog.api.v1.shapes import Json, catalog_service_json, node_json, service_json
from catalog.api.v1.sync import LEASE_TTL_S
from catalog.compile.selectors import CATALOG_SERVICE, NODE, SERVICE
from catalog.state.index import Topic
from catalog.state.records import ServiceInstance
from catalog.state.state import State


class CatalogEndpoints:
    """The family `/v1/catalog`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        reads = {
            "datacenters": self.datacenters,
            "nodes": self.nodes,
            "services": self.services,
            "service/{name}": self.service,
            "connect/{name}": self.connect,
            "node/{name}": self.node,
            "node-services/{name}": self.node_services,
        }
        return {
            "/v1/catalog/register": {"PUT": Method(self.register, IN_HANDLER)},
            "/v1/catalog/deregister": {"PUT": Method(self.deregister, IN_HANDLER)},
            **{f"/v1/catalog/{path}": {"GET": Method(handler, reading("catalog"))} for path, handler in reads.items()},
        }

    async def register(self, call: Call) -> Answer:
        """Register a node, an instance, checks; for a node what its grant says. True."""
        body = decode(call.body, RegisterBody)
        check_datacenter(body.datacenter, self._api.datacenter)
        if not body.node or not (body.address or body.skip_node_update):
            raise RefusedError("Must provide Node and Address")  # Consul's status for this, too
        if call.caller.kind not in BY_RULES:
            self._api.gate.check(call.caller, Verb.REGISTER, body.node)
        change = body.change(self._api.datacenter)
        verdict = may_register(call.caller, change, self._api.parking.state.node(body.node))
        if not verdict:
            raise PermissionDeniedError(verdict.reason)
        if call.caller.kind in BY_RULES:
            require_register(call, change, self._api.parking.state)
        if call.caller.kind is CallerKind.NODE:  # what an agent registers hangs on its lease
            change = msgspec.structs.replace(change, lease_ttl_s=LEASE_TTL_S)
        return json_answer(await self._api.submit(change))

    async def deregister(self, call: Call) -> Answer:
        """Remove a node, an instance or a check. True, also if it was not there."""
        body = decode(call.body, DeregisterBody)
        check_datacenter(body.datacenter, self._api.datacenter)
        if not body.node:
            raise RefusedError("Must provide Node")
        if call.caller.kind in BY_RULES:
            require_deregister(call, body.change(), self._api.parking.state)
        else:
            self._api.gate.check(call.caller, Verb.REGISTER, body.node)
        return json_answer(await self._api.submit(body.change()))

    async def datacenters(self, call: Call) -> Answer:
        """The one there is."""
        return json_answer([self._api.datacenter], pretty=call.query.pretty)

    async def nodes(self, call: Call) -> Answer:
        """All nodes."""

        def read(state: State) -> Found:
            sight = Sight(call)
            seen = state.nodes() if sight.whole else [node for node in state.nodes() if sight.node(node.node)]
            nodes = nearest_first(call.query, of_nodes(call.query, seen, lambda node: node), lambda node: node.node)
            return sight.found([node_json(node) for node in nodes], ("nodes",))

        return await answer_read(self._api.parking, call, read, fields=NODE)

    async def services(self, call: Call) -> Answer:
        """Every service with all of its tags."""
        keep = filter_of(call, CATALOG_SERVICE)

        def read(state: State) -> Found:
            sight = Sight(call)
            names = [name for name in state.services() if sight.service(name)]
            if not keep.text and not call.query.node_meta:
                shown = state.services() if sight.whole else {name: state.services()[name] for name in names}
                return sight.found(shown, ("services",))
            seen = (row for name in names for row in state.service(name) if sight.node(row.node))
            rows = self._rows(state, call, seen)
            tags: dict[str, set[str]] = {}
            for row in keep_items(keep, rows):
                tags.setdefault(row["ServiceName"], set()).update(row["ServiceTags"])
            return sight.found({name: sorted(found) for name, found in tags.items()}, ("services",), ("nodes",))

        return await answer_read(self._api.parking, call, read)

    async def service(self, call: Call) -> Answer:
        """The instances of a service, each with its node's fields."""
        name = call.path["name"]
        return await self._instances(call, ("instances", name), lambda state: state.service(name))

    async def connect(self, call: Call) -> Answer:
        """The instances that mesh callers of a service dial."""
        name = call.path["name"]
        return await self._instances(call, ("connect", name), lambda state: state.connect(name))

    async def node(self, call: Call) -> Answer:
        """A node and its instances by ID; null if there is none."""
        return await self._node_read(call, by_id=True)

    async def node_services(self, call: Call) -> Answer:
        """A node and its instances as a list."""
        return await self._node_read(call, by_id=False)

    async def _instances(self, call: Call, topic: Topic, rows: Callable[[State], list[ServiceInstance]]) -> Answer:
        def read(state: State) -> Found:
            sight = Sight(call)
            if not sight.service(call.path["name"]):
                return sight.unseen((topic[0], ""), [])
            seen = self._rows(state, call, sight.instances(rows(state)))
            return sight.found(seen, *with_central(call.query, topic))

        quiet = is_merged(call.query)
        return await answer_read(self._api.parking, call, read, quiet=quiet, fields=CATALOG_SERVICE)

    async def _node_read(self, call: Call, *, by_id: bool) -> Answer:
        name, keep = call.path["name"], filter_of(call, SERVICE)

        def read(state: State) -> Found:
            sight = Sight(call)
            nothing: Json | None = None if by_id else {"Node": None, "Services": []}
            if not sight.node(name):
                return sight.unseen(("node", ""), nothing)
            node = state.node(name)
            if node is None:
                return sight.found(nothing, ("node", name))
            seen = (row for row in state.node_services(name) if sight.service(row.service))
            instances = (merged(call.query, self._api.entries, row) for row in seen)
            services = keep_items(keep, [service_json(instance) for instance in instances])
            shown = {service["ID"]: service for service in services} if by_id else services
            topics = with_central(call.query, ("node", name))
            return sight.found({"Node": node_json(node), "Services": shown}, *topics)

        return await answer_read(self._api.parking, call, read, quiet=is_merged(call.query))

    def _rows(self, state: State, call: Call, instances: Iterable[ServiceInstance]) -> list[Json]:
        """Flat rows of instances, after `tag`, `node-meta` and `near`."""
        placed = ((state.node(instance.node), instance) for instance in with_tags(call.query, instances))
        pairs = of_nodes(call.query, [(node, row) for node, row in placed if node is not None], lambda pair: pair[0])
        near = nearest_first(call.query, pairs, lambda pair: pair[0].node)
        entries = self._api.entries
        return [catalog_service_json(node, merged(call.query, entries, instance)) for node, instance in near]
