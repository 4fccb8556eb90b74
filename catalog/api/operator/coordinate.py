"""`/v1/coordinate/*`: network coordinates, kept for whoever sets them and reads them back.

Consul's agents measure them by gossip; Linkspan has none, so a coordinate is there once somebody has put it, and
nothing here sorts by it.
"""

from typing import Any

import msgspec

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, answer_read
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import decode
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError
from catalog.api.operator.server import own_server
from catalog.api.sight import Sight
from catalog.state.changes import PutRecord
from catalog.state.records import Record
from catalog.state.state import State

TABLE = "coordinate"
DIMENSIONS = 8


class Coordinate(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """A place in Vivaldi's space (Consul: Network Coordinates); seconds, but `error`, which has no unit."""

    vec: tuple[float, ...] = (0.0,) * DIMENSIONS
    error: float = 1.5
    adjustment: float = 0.0
    height: float = 1e-05


class Update(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """The body of `coordinate/update`."""

    node: str = ""
    segment: str = ""
    partition: str = ""
    coord: Coordinate | None = None
    datacenter: str = ""


class CoordinateEndpoints:
    """The family `/v1/coordinate`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/coordinate/datacenters": {"GET": Method(self.datacenters, IN_HANDLER)},
            "/v1/coordinate/nodes": {"GET": Method(self.nodes, IN_HANDLER)},
            "/v1/coordinate/node/{node}": {"GET": Method(self.node, IN_HANDLER)},
            "/v1/coordinate/update": {"PUT": Method(self.update, IN_HANDLER)},
        }

    async def datacenters(self, call: Call) -> Answer:
        """The servers' coordinates by datacenter: one server, at the origin until somebody says otherwise."""
        state = self._api.parking.state
        server = own_server(self._api, state)
        record = state.record(TABLE, server.node)
        coordinate = _read(record) if record is not None else msgspec.to_builtins(Coordinate())
        may = call.authorizer.allows(Resource.NODE, server.node, Access.READ)
        coordinates = [{"Node": server.node, "Coord": coordinate}] if may else []
        shown = [{"Datacenter": self._api.datacenter, "AreaID": "WAN", "Coordinates": coordinates}]
        return json_answer(shown, pretty=call.query.pretty)

    async def nodes(self, call: Call) -> Answer:
        """All coordinates of nodes that the caller may read."""

        def read(state: State) -> Found:
            sight = Sight(call)
            known = [record for record in state.records(TABLE) if state.node(record.key) is not None]
            shown = [_shown(record) for record in known if sight.node(record.key)]
            return sight.found(shown, ("record", TABLE), ("nodes",))

        return await answer_read(self._api.parking, call, read)

    async def node(self, call: Call) -> Answer:
        """One node's coordinate, as a list; 404 if it has none."""
        name = call.path["node"]

        def read(state: State) -> Found:
            call.require(Resource.NODE, name, Access.READ)
            record = state.record(TABLE, name)
            topics = (("record", TABLE, name), ("node", name))
            if record is None or state.node(name) is None:
                return Found(None, topics, missing=f"there is no coordinate of node {name[:120]!r}")
            return Found([_shown(record)], topics)

        return await answer_read(self._api.parking, call, read)

    async def update(self, call: Call) -> Answer:
        """Put a node's coordinate; of a node that is not registered it is dropped, as Consul does."""
        body = decode(call.body, Update)
        call.require(Resource.NODE, body.node, Access.WRITE)
        if not body.node or body.coord is None:
            raise BadRequestError("Must provide Node and Coord")
        if len(body.coord.vec) != DIMENSIONS:
            raise BadRequestError(f"Coord.Vec: must have {DIMENSIONS} numbers, not {len(body.coord.vec)}")
        if body.segment or body.partition not in {"", "default"}:
            raise BadRequestError("Segment and Partition: there is only the default one here")
        if self._api.parking.state.node(body.node) is not None:
            await self._api.submit(PutRecord(TABLE, body.node, msgspec.json.encode(body.coord)))
        return Answer(200, b"")


def _read(record: Record) -> Any:
    return msgspec.json.decode(record.value)


def _shown(record: Record) -> dict[str, Any]:
    return {"Node": record.key, "Segment": "", "Coord": _read(record)}
