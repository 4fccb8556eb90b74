"""What every endpoint of `/v1/acl` asks first: is access control on, and may the caller read or write it."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, Meta, json_answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import AclDisabledError

Handler = Callable[[Call], Awaitable[Answer]]


class Door:
    """Wraps handlers: 401 while access control is off, 403 for who may not."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def reading(self, handler: Handler, body: Any = None) -> Method:
        """A handler that asks for `acl:read`; `body` is the type that its body is read into."""
        return self._guarded(handler, Access.READ, body)

    def writing(self, handler: Handler, body: Any = None) -> Method:
        """A handler that asks for `acl:write`."""
        return self._guarded(handler, Access.WRITE, body)

    def open(self, handler: Handler, body: Any = None) -> Method:
        """A handler for everyone that the port lets in: what it does is about its caller alone."""
        return self._guarded(handler, None, body)

    def _guarded(self, handler: Handler, access: Access | None, body: Any) -> Method:
        @functools.wraps(handler)
        async def guarded(call: Call) -> Answer:
            if not self._api.gate.acl.enabled:
                raise AclDisabledError
            if access is not None:
                call.require(Resource.ACL, "", access)
            return await handler(call)

        return Method(guarded, IN_HANDLER, body=body)


def listed(call: Call, value: object, index: int) -> Answer:
    """The answer to a read, with the index of its table."""
    return json_answer(value, Meta(index, call.query.consistency), pretty=call.query.pretty)
