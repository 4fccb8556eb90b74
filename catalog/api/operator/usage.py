"""`/v1/operator/usage` and `/v1/operator/utilization`: how much the catalog holds."""

from collections import Counter
from typing import Any

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, Meta, json_answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import NotFoundError
from catalog.state.state import State

KINDS = ("connect-native", "connect-proxy", "ingress-gateway", "mesh-gateway", "terminating-gateway", "api-gateway")
TOPICS = (("nodes",), ("services",))


class UsageEndpoints:
    """The two paths."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/operator/usage": {"GET": Method(self.usage, IN_HANDLER)},
            "/v1/operator/utilization": {"GET": Method(self.utilization, IN_HANDLER)},
        }

    async def usage(self, call: Call) -> Answer:
        """Counts of nodes, services and instances, by datacenter: there is one."""
        call.require(Resource.OPERATOR, "", Access.READ)
        state = self._api.parking.state
        index = state.index_of(*TOPICS)
        shown = {
            "Usage": {self._api.datacenter: counted(state)},
            "Index": index,
            "LastContact": 0,
            "KnownLeader": True,
            "ConsistencyLevel": call.query.consistency,
            "NotModified": False,
            "Backend": 0,
            "ResultsFilteredByACLs": False,
        }
        return json_answer(shown, Meta(index, call.query.consistency), pretty=call.query.pretty)

    async def utilization(self, call: Call) -> Answer:
        """Refused: it is a licence report of Consul Enterprise."""
        call.require(Resource.OPERATOR, "", Access.READ)
        raise NotFoundError("there is no utilization bundle: Linkspan has no licence to report on; see operator/usage")


def counted(state: State) -> dict[str, Any]:
    """What `operator/usage` says of one datacenter. `consul` itself counts, as there."""
    names = state.services()
    instances = [instance for name in names for instance in state.service(name)]
    kinds = Counter(instance.kind for instance in instances)
    kinds["connect-native"] = sum(instance.connect.native for instance in instances)
    return {
        "Services": len(names),
        "ServiceInstances": len(instances),
        "ConnectServiceInstances": {kind: kinds[kind] for kind in KINDS},
        "BillableServiceInstances": sum(not instance.kind and instance.service != "consul" for instance in instances),
        "Nodes": len(state.nodes()),
    }
