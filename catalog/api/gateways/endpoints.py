"""`/v1/catalog/gateway-services/:gateway` and `/v1/health/ingress/:service`."""

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, answer_read
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.sight import Sight
from catalog.api.v1.selection import nearest_first, of_nodes, with_tags
from catalog.api.v1.shapes import Json, health_json
from catalog.compile.gateways import gateway_services, ingress_gateways
from catalog.compile.selectors import GATEWAY_SERVICE, HEALTH
from catalog.state.records import ServiceInstance
from catalog.state.state import State
from mesh.model.endpoint import Health

INGRESS = "ingress-gateway"


class GatewayEndpoints:
    """Both paths."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/catalog/gateway-services/{gateway}": {"GET": Method(self.services, IN_HANDLER)},
            "/v1/health/ingress/{service}": {"GET": Method(self.ingress, IN_HANDLER)},
        }

    async def services(self, call: Call) -> Answer:
        """The services that a gateway leads to, those that the caller may read; none for a gateway that nobody knows."""
        gateway = call.path["gateway"]

        def read(state: State) -> Found:
            call.require(Resource.SERVICE, gateway, Access.READ)
            sight = Sight(call)
            rows = gateway_services(state, self._api.entries, gateway)
            shown = [row.to_json() for row in rows if sight.service(row.service)]
            return sight.found(shown, ("config",), ("services",))

        return await answer_read(self._api.parking, call, read, quiet=True, fields=GATEWAY_SERVICE)

    async def ingress(self, call: Call) -> Answer:
        """The instances of the ingress gateways that lead to a service, with their node and checks."""
        service = call.path["service"]

        def read(state: State) -> Found:
            call.require(Resource.SERVICE, service, Access.READ)
            sight = Sight(call)
            gateways = frozenset(ingress_gateways(state, self._api.entries, service))
            rows = sight.instances([row for row in state.kind(INGRESS) if row.service in gateways])
            return sight.found(_shown(state, call, rows), ("kind", INGRESS), ("config",))

        return await answer_read(self._api.parking, call, read, quiet=True, fields=HEALTH)


def _shown(state: State, call: Call, rows: list[ServiceInstance]) -> list[Json]:
    placed = ((state.node(row.node), row) for row in with_tags(call.query, rows))
    pairs = [(node, row) for node, row in placed if node is not None]
    passing = call.query.flag("passing")
    kept = of_nodes(call.query, pairs, lambda pair: pair[0])
    shown = []
    for node, row in nearest_first(call.query, kept, lambda pair: pair[0].node):
        checks = state.instance_checks(row)
        if not passing or all(check.status is Health.PASSING for check in checks):
            shown.append(health_json(node, row, checks))
    return shown
