"""`/v1/agent/self`, `members`, `version`, `metrics`, `maintenance`, `reload`, `leave`: the host itself."""

from collections import Counter

import trio

from agents.vm.api.call import Answer, Call, Endpoint, json_answer, text_answer
from agents.vm.api.host import CONSUL_API, Host, linkspan_version
from mesh.model.endpoint import Health

MEMBER_ALIVE = 1
SERF_PORT = 8301


class Node:
    """The handlers."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def endpoints(self) -> dict[str, Endpoint]:
        """The paths served here."""
        return {
            "/v1/agent/self": Endpoint(GET=self.self),
            "/v1/agent/members": Endpoint(GET=self.members),
            "/v1/agent/version": Endpoint(GET=self.version),
            "/v1/agent/metrics": Endpoint(GET=self.metrics),
            "/v1/agent/maintenance": Endpoint(PUT=self.maintenance),
            "/v1/agent/reload": Endpoint(PUT=self.reload),
            "/v1/agent/leave": Endpoint(PUT=self.leave),
        }

    async def self(self, _: Call) -> Answer:
        """Who this agent is, with Consul's keys."""
        host, node = self._host, self._host.node
        version = linkspan_version()
        return json_answer(
            {
                "Config": {
                    "Datacenter": node.datacenter,
                    "PrimaryDatacenter": node.datacenter,
                    "NodeName": node.name,
                    "NodeID": node.id,
                    "Revision": f"linkspan-{version}",
                    "Server": host.is_server,
                    "Version": CONSUL_API,
                    "BuildDate": "1970-01-01T00:00:00Z",
                },
                "DebugConfig": {"NodeName": node.name, "Datacenter": node.datacenter, "Linkspan": version},
                "Coord": {"Adjustment": 0, "Error": 1.5, "Height": 1e-05, "Vec": [0] * 8},
                "Member": self._member(),
                "Stats": self._stats(),
                "Meta": dict(node.meta),
                "xDS": {"SupportedProxies": {}, "Port": -1, "Ports": {"Plaintext": -1, "TLS": -1}},
            }
        )

    async def members(self, _: Call) -> Answer:
        """This agent alone: there is no gossip here; `/v1/catalog/nodes` names the others."""
        return json_answer([self._member()])

    async def version(self, _: Call) -> Answer:
        """Versions."""
        return json_answer(
            {
                "SHA": f"linkspan-{linkspan_version()}",
                "BuildDate": "1970-01-01T00:00:00Z",
                "HumanVersion": CONSUL_API,
                "FIPS": "",
            }
        )

    async def metrics(self, call: Call) -> Answer:
        """How many services and checks there are, as Consul's JSON or in Prometheus' text form."""
        counts = Counter(str(entry.status) for entry in self._host.state.checks.values())
        gauges = {"linkspan_agent_services": len(self._host.state.services)}
        gauges |= {f"linkspan_agent_checks_{health}": counts[health] for health in Health}
        if call.query.get("format") == "prometheus":
            return text_answer("".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in gauges.items()))
        shown = [{"Name": name, "Value": value, "Labels": {}} for name, value in gauges.items()]
        return json_answer({"Gauges": shown, "Points": [], "Counters": [], "Samples": []})

    async def maintenance(self, call: Call) -> Answer:
        """Put the whole node into maintenance, or end it."""
        reason, enable = call.query.get("reason", ""), call.truth("enable")
        self._host.state.maintain("", reason, trio.current_time(), enable=enable)
        await self._host.told()
        return Answer()

    async def reload(self, _: Call) -> Answer:
        """Read the service files again."""
        await self._host.reload()
        await self._host.told()
        return Answer()

    async def leave(self, _: Call) -> Answer:
        """Take the node out of the catalog and end the agent."""
        await self._host.leave()
        return Answer()

    def _member(self) -> dict[str, object]:
        node = self._host.node
        tags = {
            "role": "consul" if self._host.is_server else "node",
            "dc": node.datacenter,
            "id": node.id,
            "build": CONSUL_API,
        }
        return {
            "Name": node.name,
            "Addr": node.address,
            "Port": SERF_PORT,
            "Tags": tags,
            "Status": MEMBER_ALIVE,
            "ProtocolMin": 1,
            "ProtocolMax": 5,
            "ProtocolCur": 2,
            "DelegateMin": 2,
            "DelegateMax": 5,
            "DelegateCur": 4,
        }

    def _stats(self) -> dict[str, dict[str, str]]:
        state = self._host.state
        return {
            "agent": {
                "check_monitors": str(len(state.checks)),
                "checks": str(len(state.checks)),
                "services": str(len(state.services)),
            },
            "build": {"version": CONSUL_API, "revision": f"linkspan-{linkspan_version()}"},
            "consul": {"server": str(self._host.is_server).lower()},
        }
