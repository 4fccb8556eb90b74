"""The API as a starlette app: every path of every family, and 404 in plain text for the rest.

Other rooms mount their own paths before these (`linkspan dev` adds `/v1/agent/*`); nothing is redirected.
"""

from collections.abc import Mapping, Sequence

from starlette.routing import BaseRoute, Route, Router

from catalog.api.acl.family import AclEndpoints
from catalog.api.api import Api, Paths
from catalog.api.chain.endpoints import ChainEndpoints
from catalog.api.gate import Gate
from catalog.api.gateways.endpoints import GatewayEndpoints
from catalog.api.http.answer import text_answer
from catalog.api.http.disconnect import App, Receive, Scope, Send
from catalog.api.http.endpoint import Endpoint, Method, send_answer
from catalog.api.internal.authorize import InternalEndpoints
from catalog.api.kv.keys import KeyEndpoints
from catalog.api.kv.sessions import SessionEndpoints
from catalog.api.kv.transactions import TransactionEndpoints
from catalog.api.openapi import OpenApiEndpoints
from catalog.api.operator import OperatorEndpoints
from catalog.api.policy.entries import EntryEndpoints
from catalog.api.policy.legacy import IntentionFamily
from catalog.api.query.endpoints import QueryEndpoints
from catalog.api.revocation import RevocationEndpoints
from catalog.api.v1.catalog import CatalogEndpoints
from catalog.api.v1.health import HealthEndpoints
from catalog.api.v1.identity import IdentityEndpoints
from catalog.api.v1.roots import RootEndpoints
from catalog.api.v1.status import StatusEndpoints
from catalog.api.v1.sync import SyncEndpoints

TENANTS_IGNORED = frozenset({"/v1/catalog/nodes"})
"""Where Consul ignores `ns` instead of refusing it (measured)."""


PEERS_LISTED = frozenset(
    {
        "/v1/catalog/nodes",
        "/v1/catalog/services",
        "/v1/catalog/service/{name}",
        "/v1/catalog/connect/{name}",
        "/v1/health/service/{name}",
        "/v1/health/connect/{name}",
        "/v1/health/checks/{name}",
        "/v1/health/node/{name}",
        "/v1/health/state/{name}",
    }
)
"""Lists that may be asked for those of a peer: there is none, so they are empty (Consul answers so to an unknown one)."""


def routes(api: Api) -> list[BaseRoute]:
    """The catalog's routes."""
    families = (
        CatalogEndpoints(api),
        HealthEndpoints(api),
        StatusEndpoints(api),
        IntentionFamily(api),
        EntryEndpoints(api),
        ChainEndpoints(api),
        QueryEndpoints(api),
        GatewayEndpoints(api),
        RootEndpoints(api),
        SyncEndpoints(api),
        IdentityEndpoints(api),
        RevocationEndpoints(api),
        KeyEndpoints(api),
        SessionEndpoints(api),
        TransactionEndpoints(api),
        OperatorEndpoints(api),
        AclEndpoints(api),
        InternalEndpoints(api),
    )
    served = [route for family in families for route in family_routes(api.gate, family.paths())]
    return [*served, *family_routes(api.gate, OpenApiEndpoints(served).paths())]


def family_routes(gate: Gate, paths: Paths) -> list[BaseRoute]:
    """The routes of one family; for other rooms, too, so that theirs keep the same conventions."""
    return [_route(gate, path, methods) for path, methods in paths.items()]


def _route(gate: Gate, path: str, methods: Mapping[str, Method]) -> BaseRoute:
    headers = ((b"x-consul-default-acl-policy", gate.default_policy.encode()),)
    endpoint = Endpoint(
        gate, methods, headers=headers, tenants_ignored=path in TENANTS_IGNORED, peers_listed=path in PEERS_LISTED
    )
    return Route(path, endpoint)


def application(paths: Sequence[BaseRoute]) -> App:
    """An ASGI app of these routes; the first that matches serves."""
    return Router(routes=paths, redirect_slashes=False, default=_nothing_here)


async def _nothing_here(scope: Scope, _receive: Receive, send: Send) -> None:
    """404 for every path that nobody serves (also for websockets, which nobody does)."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
        return
    await send_answer(text_answer("404 page not found: see the API's documentation for its paths", 404), (), send)
