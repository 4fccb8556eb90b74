"""`/v1/status/*`: who leads. One catalog is its own leader and only peer."""

from catalog.api.api import Api, Paths
from catalog.api.gate import reading
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method


class StatusEndpoints:
    """The family `/v1/status`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/status/leader": {"GET": Method(self.leader, reading("status"))},
            "/v1/status/peers": {"GET": Method(self.peers, reading("status"))},
        }

    async def leader(self, call: Call) -> Answer:
        """The leader's address, in the form that Consul's clients know (`ip:8300`)."""
        return json_answer(self._api.leader, pretty=call.query.pretty)

    async def peers(self, call: Call) -> Answer:
        """All peers' addresses."""
        return json_answer([self._api.leader], pretty=call.query.pretty)
