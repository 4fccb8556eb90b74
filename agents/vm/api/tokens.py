"""`/v1/agent/token/*`: the tokens that the agent itself uses, set while it runs.

They are kept in memory only, as Consul does unless told otherwise, and are never shown or logged.
"""

import msgspec

from agents.vm.api.call import Answer, Call, CallError, Endpoint
from agents.vm.api.host import Host
from agents.vm.api.rights import Ask, require
from agents.vm.definition.keys import read_struct

KINDS = {
    "default": "default",
    "agent": "agent",
    "agent_recovery": "agent_recovery",
    "replication": "replication",
    "config_file_service_registration": "config_file_service_registration",
    "dns": "dns",
    "acl_token": "default",
    "acl_agent_token": "agent",
    "acl_agent_master_token": "agent_recovery",
    "agent_master": "agent_recovery",
    "acl_replication_token": "replication",
}
"""What a path's last part sets; the last five are older names."""


class TokenShape(msgspec.Struct):
    """The body: an empty token takes the one that is set away."""

    token: str = ""


class Tokens:
    """The handler."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def endpoints(self) -> dict[str, Endpoint]:
        """The paths served here."""
        return {"/v1/agent/token/{kind}": Endpoint(PUT=self.set)}

    async def set(self, call: Call) -> Answer:
        """Set one, or take it away."""
        host = self._host
        if not host.rights.enabled:
            raise CallError(401, "ACL support disabled")
        await require(host.rights, call, Ask("agent", host.node.name, "write"))
        kind = KINDS.get(call.path["kind"])
        if kind is None:
            raise CallError(404, f'Token "{call.path["kind"][:80]}" is unknown')
        secret = read_struct(call.json(), TokenShape).token
        if secret:
            host.tokens[kind] = secret
        else:
            host.tokens.pop(kind, None)
        return Answer()
