"""`/v1/internal/acl/authorize`: what the holder of a token may do, asked by an agent for its own callers.

Only tokens are judged. A node's certificate, over which an agent asks, must never answer for a caller without a token:
that would lend the node's rights to whoever reaches its agent.
"""

from typing import Any

import msgspec

from catalog.access.authorizer import Access, Resource
from catalog.access.callers import CallerKind
from catalog.api.api import Api, Paths
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError

MAX_ASKS = 64 * 1024
MAX_BODY_BYTES = 16 * 1024 * 1024
_MEMBERS = {CallerKind.NODE, CallerKind.SERVICE, CallerKind.GATEWAY, CallerKind.SERVER}


class Ask(msgspec.Struct, frozen=True, rename="pascal"):
    """One thing to be done: `Access` to `Resource`, of the name `Segment`."""

    resource: Resource
    access: Access
    segment: str = ""


class InternalEndpoints:
    """The family `/v1/internal`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/internal/acl/authorize": {"POST": Method(self.authorize, IN_HANDLER, MAX_BODY_BYTES, audited=False)}
        }

    async def authorize(self, call: Call) -> Answer:
        """A verdict for each ask, in their order."""
        try:
            asks = msgspec.json.decode(call.body, type=list[Ask])
        except msgspec.MsgspecError as error:
            raise BadRequestError(f"Request decode failed: {error}") from error
        if len(asks) > MAX_ASKS:
            raise BadRequestError(f"{len(asks)} questions, at most {MAX_ASKS} are answered at a time")
        is_judged = call.caller.kind not in _MEMBERS
        verdicts: list[dict[str, Any]] = [
            {
                "Resource": ask.resource,
                "Access": ask.access,
                "Segment": ask.segment,
                "Allow": is_judged and call.authorizer.allows(ask.resource, ask.segment, ask.access),
            }
            for ask in asks
        ]
        return json_answer(verdicts, pretty=call.query.pretty)
