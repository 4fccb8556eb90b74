"""`/v1/linkspan/sync` and `/v1/linkspan/lease`: resources by long poll, and the promise that keeps a node registered."""

import logging

import msgspec

from catalog.access.acl.live import current
from catalog.access.callers import Caller, CallerKind
from catalog.access.rights import Verb
from catalog.api.api import Api, Paths
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError, NotFoundError
from catalog.api.http.message import read_message
from catalog.api.v1.permission import BY_RULES
from catalog.state.changes import GrantLease
from catalog.state.index import FIRST_INDEX
from catalog.sync.resources import SyncRefusedError
from mesh.wire.sync import MAX_REQUEST_BYTES, SYNC_PATH, SyncRequest

logger = logging.getLogger(__name__)

LEASE_TTL_S = 12.0
"""A host that falls silent is out of routing within 15 s: its lease, and room for what comes after (decision 009)."""
MAX_LOGGED_REFUSALS = 16


class SyncEndpoints:
    """What agents and proxies keep calling."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            SYNC_PATH: {"POST": Method(self.sync, IN_HANDLER, MAX_REQUEST_BYTES, audited=False)},
            "/v1/linkspan/lease/{node}": {"PUT": Method(self.renew, IN_HANDLER, audited=False)},
        }

    async def sync(self, call: Call) -> Answer:
        """What changed of the resources that the caller follows; renews its node's lease on the way."""
        request = read_message(call.body, SyncRequest)
        for want in request.wants:
            self._api.gate.check(call.caller, Verb.SYNC, want.name)
        by_rules = call.caller.kind in BY_RULES
        for refusal in request.refused[: 0 if call.caller.kind is CallerKind.ANONYMOUS else MAX_LOGGED_REFUSALS]:
            logger.warning("%s cannot use %r: %r", call.caller, refusal.name[:120], refusal.reason[:300])
        if request.lease_node:
            await self._renew(call.caller, request.lease_node)
        try:
            response = await self._api.resources.answer(request)
        except SyncRefusedError as error:
            raise BadRequestError(str(error)) from error
        current(call.authorizer)  # it may have waited long: refused if its certificate or token is gone by now
        if by_rules:
            for want in request.wants:
                self._api.gate.check(call.caller, Verb.SYNC, want.name)
            # The catalog's own index would tell of everything that happens; each resource has one of its own.
            response = msgspec.structs.replace(response, index=FIRST_INDEX)
        return json_answer(response)

    async def renew(self, call: Call) -> Answer:
        """Renew a node's lease. True; 404 if the node is not registered."""
        node = call.path["node"]
        if not await self._renew(call.caller, node):
            raise NotFoundError(f"node {node[:128]!r} is not registered: register it, then renew its lease")
        return json_answer(True)  # noqa: FBT003 - the body is JSON's true

    async def _renew(self, caller: Caller, node: str) -> bool:
        """Renew, or grant to a node that is registered and had no lease; False if it is not registered."""
        self._api.gate.check(caller, Verb.RENEW, node)
        if await self._api.renew_lease(node):
            return True
        if self._api.parking.state.node(node) is None:
            return False
        return bool(await self._api.submit(GrantLease(node, LEASE_TTL_S)))
