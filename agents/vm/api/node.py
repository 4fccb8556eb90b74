"""`/v1/agent/self`, `version`, `maintenance`, `reload`, `leave`: the host itself."""

import os
import platform

import msgspec
import trio

from agents.vm.api.call import Answer, Call, CallError, Endpoint, json_answer, text_answer
from agents.vm.api.forward import find_token
from agents.vm.api.host import CONSUL_API, Host, linkspan_version
from agents.vm.api.membership import own_member
from agents.vm.api.rights import Ask, require
from agents.vm.definition.values import TtlProbe


class Node:
    """The handlers."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def endpoints(self) -> dict[str, Endpoint]:
        """The paths served here."""
        return {
            "/": Endpoint(GET=self.front),
            "/v1/agent/self": Endpoint(GET=self.self),
            "/v1/agent/version": Endpoint(GET=self.version),
            "/v1/agent/maintenance": Endpoint(PUT=self.maintenance),
            "/v1/agent/reload": Endpoint(PUT=self.reload),
            "/v1/agent/leave": Endpoint(PUT=self.leave),
        }

    async def self(self, call: Call) -> Answer:
        """Who this agent is, with Consul's keys."""
        host, node = self._host, self._host.node
        await require(host.rights, call, Ask("agent", node.name, "read"))
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
                "Member": own_member(host),
                "Stats": await self._stats(call),
                "Meta": dict(node.meta),
                "xDS": {"SupportedProxies": {}, "Port": -1, "Ports": {"Plaintext": -1, "TLS": -1}},
            }
        )

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

    async def maintenance(self, call: Call) -> Answer:
        """Put the whole node into maintenance, or end it."""
        reason, enable = call.query.get("reason", ""), call.truth("enable")
        await require(self._host.rights, call, Ask("node", self._host.node.name, "write"))
        self._host.state.maintain("", reason, trio.current_time(), enable=enable)
        await self._host.told()
        return Answer()

    async def reload(self, call: Call) -> Answer:
        """Read the service files again."""
        await require(self._host.rights, call, Ask("agent", self._host.node.name, "write"))
        await self._host.reload()
        await self._host.told()
        return Answer()

    async def leave(self, call: Call) -> Answer:
        """Take the node out of the catalog and end the agent."""
        await require(self._host.rights, call, Ask("agent", self._host.node.name, "write"))
        await self._host.leave()
        return Answer()

    async def front(self, _: Call) -> Answer:
        """What a browser or a health check of this port finds at `/`: there is no UI here."""
        return text_answer("Linkspan agent: there is no UI here; the API is under /v1/\n")

    async def _stats(self, call: Call) -> dict[str, dict[str, str]]:
        host, state = self._host, self._host.state
        checks = state.checks.values()
        ttls = sum(isinstance(entry.definition.probe, TtlProbe) for entry in checks)
        return {
            "agent": {
                "check_monitors": str(len(state.checks) - ttls),
                "check_ttls": str(ttls),
                "checks": str(len(state.checks)),
                "services": str(len(state.services)),
            },
            "build": {
                "prerelease": "",
                "revision": f"linkspan-{linkspan_version()}",
                "version": CONSUL_API,
                "version_metadata": "",
            },
            "consul": {
                "acl": "enabled" if host.rights.enabled else "disabled",
                "known_datacenters": "1",
                "leader": str(host.is_server).lower(),
                "leader_addr": await self._leader(call),
                "server": str(host.is_server).lower(),
            },
            "raft": {},
            "runtime": {
                "arch": platform.machine(),
                "cpu_count": str(os.cpu_count() or 1),
                "os": platform.system().lower(),
                "version": f"python{platform.python_version()}",
            },
            "serf_lan": {"members": "1"},
            "serf_wan": {},
        }

    async def _leader(self, call: Call) -> str:
        try:
            passed = await self._host.catalog("GET", "/v1/status/leader", token=find_token(call))
            return msgspec.json.decode(passed.body, type=str) if passed.status == 200 else ""
        except (CallError, msgspec.MsgspecError):
            return ""  # who is away leads nobody
