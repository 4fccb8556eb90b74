"""`/v1/agent/members`, `join`, `force-leave`: who else is there. There is no gossip: the catalog's nodes are the members.

A member is a node whose `serfHealth` the catalog keeps. It must never invent one: without the catalog, this agent knows itself.
"""

from urllib.parse import quote

import msgspec

from agents.vm.api.call import Answer, Call, CallError, Endpoint, json_answer
from agents.vm.api.forward import find_token
from agents.vm.api.host import CONSUL_API, Host
from agents.vm.api.rights import Ask, require
from agents.vm.local.entries import SERF_CHECK

ALIVE = 1
FAILED = 4
SERF_PORT = 8301
_OWN_NAMES = {"localhost", "127.0.0.1", "::1"}


class ListedNode(msgspec.Struct, frozen=True):
    """The part of a catalog's node that a member shows."""

    name: str = msgspec.field(default="", name="Node")
    address: str = msgspec.field(default="", name="Address")
    id: str = msgspec.field(default="", name="ID")


class ListedCheck(msgspec.Struct, frozen=True):
    """The part of a node's check that says whether it lives."""

    node: str = msgspec.field(default="", name="Node")
    check_id: str = msgspec.field(default="", name="CheckID")
    status: str = msgspec.field(default="", name="Status")


def member_form(host: Host, node: ListedNode, *, is_alive: bool) -> dict[str, object]:
    """One member as Consul shows it; this agent itself may be a server, others are clients. Pure."""
    is_server = host.is_server and node.name == host.node.name
    tags = {"role": "consul" if is_server else "node", "dc": host.node.datacenter, "id": node.id, "build": CONSUL_API}
    return {
        "Name": node.name,
        "Addr": node.address,
        "Port": SERF_PORT,
        "Tags": tags,
        "Status": ALIVE if is_alive else FAILED,
        "ProtocolMin": 1,
        "ProtocolMax": 5,
        "ProtocolCur": 2,
        "DelegateMin": 2,
        "DelegateMax": 5,
        "DelegateCur": 4,
    }


def own_member(host: Host) -> dict[str, object]:
    """This agent."""
    node = host.node
    return member_form(host, ListedNode(node.name, node.address, node.id), is_alive=True)


class Membership:
    """The handlers."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def endpoints(self) -> dict[str, Endpoint]:
        """The paths served here."""
        return {
            "/v1/agent/members": Endpoint(GET=self.members),
            "/v1/agent/join/{address:path}": Endpoint(PUT=self.join),
            "/v1/agent/force-leave/{node}": Endpoint(PUT=self.force_leave),
        }

    async def members(self, call: Call) -> Answer:
        """All members; with `?wan`, the servers by their names in the wide area."""
        host = self._host
        own = own_member(host)
        if call.flag("wan"):
            wide = {**own, "Name": f"{host.node.name}.{host.node.datacenter}", "Port": SERF_PORT + 1}
            return json_answer([wide] if host.is_server else [])
        try:
            known = await self._known(call)
        except CallError:
            known = {}
        others = [
            member_form(host, node, is_alive=is_alive) for node, is_alive in known.values() if node.name != own["Name"]
        ]
        shown = [own, *others]
        asks = [Ask("node", str(member["Name"]), "read") for member in shown]
        if host.rights.enabled:
            verdicts = await host.rights.judge(find_token(call), asks)
            shown = [member for member, allowed in zip(shown, verdicts, strict=True) if allowed]
        return json_answer(shown)

    async def join(self, call: Call) -> Answer:
        """Joining who is a member already changes nothing; a new host joins in another way, which is said."""
        await require(self._host.rights, call, Ask("agent", self._host.node.name, "write"))
        address = call.path["address"]
        host, colon, port = address.rpartition(":")
        host = (host if colon and port.isdigit() else address).removeprefix("[").removesuffix("]")
        known = {node.address for node, _ in (await self._known(call)).values()} if host not in _OWN_NAMES else set()
        if host in _OWN_NAMES | {self._host.node.address, self._host.node.name} | known:
            return Answer()
        raise CallError(
            500,
            f"Failed to join {address[:80]}: agents do not gossip here. "
            "A host joins with a token of the catalog: linkspan join --token-file FILE ...",
        )

    async def force_leave(self, call: Call) -> Answer:
        """Take a node that is dead out of the catalog; one that lives would come back at once, and stays."""
        await require(self._host.rights, call, Ask("operator", "", "write"))
        name = call.path["node"].removesuffix(f".{self._host.node.datacenter}" if call.flag("wan") else "\0")
        found = (await self._known(call)).get(name)
        if found is None:
            raise CallError(500, f"agent: No node found with name '{name[:120]}'")
        if found[1]:
            return Answer()
        if not find_token(call) and not self._host.is_server:  # the node's own rights are not lent
            raise CallError(403, "Permission denied: to take a node out takes a token with operator:write")
        body = msgspec.json.encode({"Datacenter": self._host.node.datacenter, "Node": name})
        passed = await self._host.catalog("PUT", "/v1/catalog/deregister", token=find_token(call), body=body)
        if passed.status != 200:
            raise CallError(passed.status, passed.body.decode("utf-8", "replace"))
        return Answer()

    async def _known(self, call: Call) -> dict[str, tuple[ListedNode, bool]]:
        """The catalog's nodes that have an agent, by name, and whether each lives."""
        token, wanted = find_token(call), quote(f'CheckID == "{SERF_CHECK}"')
        nodes = await self._host.catalog("GET", "/v1/catalog/nodes", token=token)
        checks = await self._host.catalog("GET", f"/v1/health/state/any?filter={wanted}", token=token)
        if (nodes.status, checks.status) != (200, 200):
            raise CallError(503, "the catalog does not say which nodes there are")
        alive = {
            check.node: check.status == "passing"
            for check in msgspec.json.decode(checks.body, type=list[ListedCheck] | None) or []
            if check.check_id == SERF_CHECK
        }
        listed = msgspec.json.decode(nodes.body, type=list[ListedNode] | None) or []
        return {node.name: (node, alive[node.name]) for node in listed if node.name in alive}
