"""`/v1/linkspan/revoke/{serial}` and `/grant/{node}`: take back a certificate, and what a node was granted.

It must never take back more than was named, nor call anything done that is not on disk.
"""

import re

from catalog.access.tokens import GRANT_TABLE, JOIN_TABLE, tokens_of, withdraw_change
from catalog.api.api import Api, Paths
from catalog.api.gate import OPERATE
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError, NotFoundError
from catalog.authority.authority import revoke_change
from catalog.state.changes import Single
from mesh.identity.leaf import normal_serial

REVOKE_PATH = "/v1/linkspan/revoke"
GRANT_PATH = "/v1/linkspan/grant"
_SERIAL = re.compile(r"[0-9a-f]{1,40}", re.ASCII)  # RFC 5280 4.1.2.2: at most 20 bytes, not zero


class RevocationEndpoints:
    """The operator's answers to a stolen key and a stolen host."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            f"{REVOKE_PATH}/{{serial}}": {"PUT": Method(self.revoke, OPERATE)},
            f"{GRANT_PATH}/{{node}}": {"DELETE": Method(self.withdraw, OPERATE)},
        }

    async def revoke(self, call: Call) -> Answer:
        """Revoke the certificate with that serial number. True, also if it was revoked before."""
        serial = normal_serial(call.path["serial"])
        if serial == "0" or not _SERIAL.fullmatch(serial):
            raise BadRequestError("serial: it is a hexadecimal number of at most 20 bytes, with or without colons")
        return json_answer(await self._api.submit(revoke_change(serial)))

    async def withdraw(self, call: Call) -> Answer:
        """Withdraw what a node was granted and its unused join tokens: its certificate opens nothing from now on."""
        node, state = call.path["node"], self._api.parking.state
        tokens = tokens_of(state.records(JOIN_TABLE), node)
        if state.record(GRANT_TABLE, node) is None and not tokens:
            raise NotFoundError(f"node {node[:120]!r} has joined with no token and has none that it could join with")
        changes: list[Single] = [*tokens, withdraw_change(node)]
        for change in changes:
            await self._api.submit(change)
        return json_answer({"Node": node, "Tokens": len(tokens)})
