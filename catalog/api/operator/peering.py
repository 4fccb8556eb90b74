"""`/v1/peering*`, exported and imported services: there are no peers here, so lists are empty and writes are refused.

Linkspan joins networks in one trust domain through its gateways; a cluster with an authority of its own cannot be peered.
"""

from typing import Any

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, answer_read
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import NotFoundError
from catalog.api.sight import Sight
from catalog.state.state import State

NO_PEERING = (
    "there is no cluster peering: Linkspan joins networks in one mesh through its mesh gateways; "
    "see exported-services with the consumer Network"
)
EXPORTED = "exported-services"


class PeeringEndpoints:
    """The families `/v1/peering`, `/v1/exported-services` and `/v1/imported-services`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        refuse_write = Method(self.refuse_write, IN_HANDLER)
        return {
            "/v1/peering/token": {"POST": refuse_write},
            "/v1/peering/establish": {"POST": refuse_write},
            "/v1/peering/{name}": {"GET": Method(self.no_such_peer, IN_HANDLER), "DELETE": refuse_write},
            "/v1/peerings": {"GET": Method(self.peerings, IN_HANDLER)},
            "/v1/exported-services": {"GET": Method(self.exported, IN_HANDLER)},
            "/v1/imported-services": {"GET": Method(self.imported, IN_HANDLER)},
        }

    async def refuse_write(self, call: Call) -> Answer:
        """Refused: there is no peering."""
        call.require(Resource.PEERING, "", Access.WRITE)
        raise NotFoundError(NO_PEERING)

    async def no_such_peer(self, call: Call) -> Answer:
        """404: nobody is called that."""
        call.require(Resource.PEERING, "", Access.READ)
        raise NotFoundError(f'Peering not found for "{call.path["name"][:120]}": {NO_PEERING}')

    async def peerings(self, call: Call) -> Answer:
        """All peers: none."""
        call.require(Resource.PEERING, "", Access.READ)
        return await self._empty(call)

    async def imported(self, call: Call) -> Answer:
        """What peers export to us: nothing."""
        call.require(Resource.MESH, "", Access.READ)
        return await self._empty(call)

    async def exported(self, call: Call) -> Answer:
        """The services that are exported, each with its consumers: networks, and peers that an entry names in vain."""

        def read(state: State) -> Found:
            call.require(Resource.MESH, "", Access.READ)
            consumers: dict[str, dict[str, set[str]]] = {}
            for entry in state.configs(EXPORTED):
                for service in _listed(entry.body.get("Services")):
                    named = consumers.setdefault(str(service.get("Name", "")), {"Networks": set(), "Peers": set()})
                    for consumer in _listed(service.get("Consumers")):
                        for kind, key in (("Networks", "Network"), ("Peers", "Peer")):
                            if consumer.get(key):
                                named[kind].add(str(consumer[key]))
            sight = Sight(call)
            names = sorted(name for name in consumers if sight.service(name))
            shown = [
                {"Service": name, "Consumers": {kind: sorted(found) for kind, found in consumers[name].items()}}
                for name in names
            ]
            return sight.found(shown, ("config", EXPORTED))

        return await answer_read(self._api.parking, call, read)

    async def _empty(self, call: Call) -> Answer:
        return await answer_read(self._api.parking, call, lambda _: Found([], (("peering",),)))


def _listed(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
