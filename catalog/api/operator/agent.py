"""`/v1/agent/*` of a catalog that has no agent: what clients ask before they do anything else, and no more.

Prometheus reads the datacenter from `agent/self`, py-consul the version. Services and checks of hosts are registered at
their agents; here there are none. `linkspan dev` and `linkspan agent` serve these paths themselves, before these.
"""

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.gate import IN_HANDLER, OPEN
from catalog.api.http.answer import Answer, json_answer, text_answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import NotFoundError
from catalog.api.operator.server import CONSUL_API, own_server
from catalog.api.v1.roots import RootEndpoints

NO_AGENT = (
    "this is a catalog without an agent: register at the host's own agent (linkspan agent), "
    "or directly with PUT /v1/catalog/register"
)
BUILT = "1970-01-01T00:00:00Z"
WRITES = (
    "/v1/agent/service/register",
    "/v1/agent/service/deregister/{id:path}",
    "/v1/agent/service/maintenance/{id:path}",
    "/v1/agent/check/register",
    "/v1/agent/check/deregister/{id:path}",
    "/v1/agent/check/{verb}/{id:path}",
    "/v1/agent/maintenance",
)


class AgentEndpoints:
    """The family `/v1/agent`, to be read."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        refused = {"PUT": Method(self.refuse, IN_HANDLER)}
        return {
            "/": {"GET": Method(self.welcome, OPEN)},
            "/v1/agent/self": {"GET": Method(self.self, IN_HANDLER)},
            "/v1/agent/members": {"GET": Method(self.members, IN_HANDLER)},
            "/v1/agent/version": {"GET": Method(self.version, IN_HANDLER)},
            "/v1/agent/services": {"GET": Method(self.nothing, IN_HANDLER)},
            "/v1/agent/checks": {"GET": Method(self.nothing, IN_HANDLER)},
            "/v1/agent/metrics": {"GET": Method(self.metrics, IN_HANDLER)},
            "/v1/agent/connect/ca/roots": {"GET": Method(RootEndpoints(self._api).roots, OPEN)},
            **dict.fromkeys(WRITES, refused),
        }

    async def welcome(self, _: Call) -> Answer:
        """What stands where Consul has its UI: enough for a probe, and for a person with a browser."""
        return text_answer("Linkspan: the API is under /v1/; there is no page to look at here\n")

    async def self(self, call: Call) -> Answer:
        """Who this is, with Consul's keys."""
        server = self._member(call, Access.READ)
        release = version("linkspan")
        datacenter = self._api.datacenter
        shown = {
            "Config": {
                "Datacenter": datacenter,
                "PrimaryDatacenter": datacenter,
                "NodeName": server["Name"],
                "NodeID": server["Tags"]["id"],
                "Revision": f"linkspan-{release}",
                "Server": True,
                "Version": CONSUL_API,
                "BuildDate": BUILT,
            },
            "DebugConfig": {"NodeName": server["Name"], "Datacenter": datacenter, "Linkspan": release},
            "Coord": {"Adjustment": 0, "Error": 1.5, "Height": 1e-05, "Vec": [0] * 8},
            "Member": server,
            "Stats": self._stats(),
            "Meta": {},
            "xDS": {"SupportedProxies": {}, "Port": -1, "Ports": {"Plaintext": -1, "TLS": -1}},
        }
        return json_answer(shown, pretty=call.query.pretty)

    async def members(self, call: Call) -> Answer:
        """This server alone: there is no gossip; `catalog/nodes` names the others."""
        name = own_server(self._api, self._api.parking.state).node
        if not call.authorizer.allows(Resource.NODE, name, Access.READ):
            return json_answer([], pretty=call.query.pretty)
        return json_answer([self._server_member()], pretty=call.query.pretty)

    async def version(self, call: Call) -> Answer:
        """Versions."""
        self._member(call, Access.READ)
        release = f"linkspan-{version('linkspan')}"
        return json_answer({"SHA": release, "BuildDate": BUILT, "HumanVersion": CONSUL_API, "FIPS": ""})

    async def nothing(self, call: Call) -> Answer:
        """No services, no checks."""
        self._member(call, Access.READ)
        return json_answer({}, pretty=call.query.pretty)

    async def metrics(self, call: Call) -> Answer:
        """How much there is and how much is asked, as Consul's JSON or in Prometheus' text form."""
        self._member(call, Access.READ)
        gauges = self._gauges()
        if call.query.first("format") == "prometheus":
            return text_answer("".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in gauges.items()))
        shown = [{"Name": name, "Value": value, "Labels": {}} for name, value in gauges.items()]
        moment = rfc_moment(self._api.epoch())
        return json_answer({"Timestamp": moment, "Gauges": shown, "Points": [], "Counters": [], "Samples": []})

    async def refuse(self, call: Call) -> Answer:
        """Refused: there is no agent."""
        self._member(call, Access.WRITE)
        raise NotFoundError(NO_AGENT)

    def _member(self, call: Call, access: Access) -> dict[str, Any]:
        """This server, for a caller that may know it."""
        member = self._server_member()
        call.require(Resource.AGENT, member["Name"], access)
        return member

    def _server_member(self) -> dict[str, Any]:
        server = own_server(self._api, self._api.parking.state)
        address, _, port = server.address.rpartition(":")
        return {
            "Name": server.node,
            "Addr": address.strip("[]"),
            "Port": 8301,
            "Tags": {
                "role": "consul",
                "dc": self._api.datacenter,
                "id": server.id,
                "port": port,
                "build": CONSUL_API,
                "vsn": "2",
            },
            "Status": 1,
            "ProtocolMin": 1,
            "ProtocolMax": 5,
            "ProtocolCur": 2,
            "DelegateMin": 2,
            "DelegateMax": 5,
            "DelegateCur": 4,
        }

    def _stats(self) -> dict[str, dict[str, str]]:
        return {
            "agent": {"check_monitors": "0", "checks": "0", "services": "0"},
            "build": {"version": CONSUL_API, "revision": f"linkspan-{version('linkspan')}"},
            "consul": {"server": "true", "leader": "true", "leader_addr": self._api.leader, "known_datacenters": "1"},
            "raft": {"num_peers": "0", "state": "Leader", "last_log_index": str(self._api.parking.state.index)},
        }

    def _gauges(self) -> dict[str, int]:
        state = self._api.parking.state
        return {
            "linkspan_catalog_index": state.index,
            "linkspan_catalog_nodes": len(state.nodes()),
            "linkspan_catalog_services": len(state.services()),
            "linkspan_catalog_parked_queries": len(self._api.parking),
            "linkspan_catalog_certificates_issued": self._api.authority.issued,
        }


def rfc_moment(epoch_s: float) -> str:
    """A moment as Consul's metrics print it."""
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M:%S +0000 UTC}"
