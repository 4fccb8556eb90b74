"""`/v1/operator/raft/*` and `/v1/operator/keyring`: one server, and no gossip."""

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError, RefusedError
from catalog.api.operator.server import own_server

NO_KEYRING = "keyring is empty: Linkspan has no gossip, so there are no gossip keys to list or change"


class RaftEndpoints:
    """The families `/v1/operator/raft` and `/v1/operator/keyring`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/operator/raft/configuration": {"GET": Method(self.configuration, IN_HANDLER)},
            "/v1/operator/raft/peer": {"DELETE": Method(self.remove_peer, IN_HANDLER)},
            "/v1/operator/raft/transfer-leader": {"POST": Method(self.transfer_leader, IN_HANDLER)},
            "/v1/operator/keyring": {
                "GET": Method(self.read_keyring, IN_HANDLER),
                "POST": Method(self.change_keyring, IN_HANDLER),
                "PUT": Method(self.change_keyring, IN_HANDLER),
                "DELETE": Method(self.change_keyring, IN_HANDLER),
            },
        }

    async def configuration(self, call: Call) -> Answer:
        """The servers: this one. `Index` is 0, for there is no Raft log."""
        call.require(Resource.OPERATOR, "", Access.READ)
        server = own_server(self._api, self._api.parking.state)
        shown = {
            "ID": server.id,
            "Node": server.node,
            "Address": server.address,
            "Leader": True,
            "ProtocolVersion": "3",
            "Voter": True,
            "LastIndex": server.last_index,
        }
        return json_answer({"Servers": [shown], "Index": 0}, pretty=call.query.pretty)

    async def remove_peer(self, call: Call) -> Answer:
        """Refused: an unknown server is not there, and the only one cannot be removed."""
        call.require(Resource.OPERATOR, "", Access.WRITE)
        found = [(name, call.query.first(name)) for name in ("id", "address") if call.query.first(name)]
        if not found:
            raise BadRequestError(
                "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove"
            )
        if len(found) > 1:
            raise BadRequestError("Must specify only one of ?id or ?address")
        name, value = found[0]
        server = own_server(self._api, self._api.parking.state)
        if value not in {server.id, server.address}:
            raise RefusedError(f'{name} "{value[:120]}" was not found in the Raft configuration')
        raise RefusedError("the only server cannot be removed: stop its process instead")

    async def transfer_leader(self, call: Call) -> Answer:
        """Refused: there is no other server."""
        call.require(Resource.OPERATOR, "", Access.WRITE)
        asked = call.query.first("id")
        if asked:
            raise RefusedError(f'cannot find peer "{asked[:120]}" in the Raft configuration')
        raise RefusedError("cannot find peer: this catalog has one server, so there is none to transfer leadership to")

    async def read_keyring(self, call: Call) -> Answer:
        """Refused as a Consul without gossip encryption refuses it."""
        call.require(Resource.KEYRING, "", Access.READ)
        raise RefusedError(NO_KEYRING)

    async def change_keyring(self, call: Call) -> Answer:
        """The same for install, use and remove."""
        call.require(Resource.KEYRING, "", Access.WRITE)
        raise RefusedError(NO_KEYRING)
