"""What Consul itself has taken away, or keeps for its own parts only: refused in words that name the way that is there.

410 for the access control of before Consul 1.4 (gone there since 1.11), 404 for what only Consul's own UI and servers
call.
"""

from catalog.api.api import Api, Paths
from catalog.api.gate import OPEN
from catalog.api.http.answer import Answer, text_answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method

LEGACY_ACL = {
    "/v1/acl/create": ("PUT",),
    "/v1/acl/update": ("PUT",),
    "/v1/acl/destroy/{id}": ("PUT",),
    "/v1/acl/info/{id}": ("GET",),
    "/v1/acl/clone/{id}": ("PUT",),
    "/v1/acl/list": ("GET",),
    "/v1/acl/rules/translate": ("POST",),
    "/v1/acl/rules/translate/{id}": ("GET",),
}
INTERNAL = {
    "/v1/internal/ui/{rest:path}": ("GET",),
    "/v1/internal/federation-states": ("GET",),
    "/v1/internal/federation-states/mesh-gateways": ("GET",),
    "/v1/internal/federation-state/{dc}": ("GET",),
    "/v1/internal/service-virtual-ip": ("PUT",),
}


class RemovedEndpoints:
    """The paths that are refused whoever calls: their answers say nothing that is kept here."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        gone, foreign = Method(self.gone, OPEN), Method(self.foreign, OPEN)
        return {
            **{path: dict.fromkeys(methods, gone) for path, methods in LEGACY_ACL.items()},
            **{path: dict.fromkeys(methods, foreign) for path, methods in INTERNAL.items()},
        }

    async def gone(self, _: Call) -> Answer:
        """410."""
        return text_answer(
            "This endpoint of the legacy ACL system was removed in Consul 1.11: use /v1/acl/token and /v1/acl/policy",
            410,
        )

    async def foreign(self, _: Call) -> Answer:
        """404."""
        return text_answer("/v1/internal is for Consul's own UI and servers and is not offered here", 404)
