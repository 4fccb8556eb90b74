"""The agent's routes as one ASGI app, in front of whatever answers the rest."""

from starlette.routing import Route, Router

from agents.vm.api.call import App, Endpoint
from agents.vm.api.checks import Checks
from agents.vm.api.forward import Forward, Upstream
from agents.vm.api.health import ServiceHealth
from agents.vm.api.host import Host
from agents.vm.api.node import Node
from agents.vm.api.services import Services


def agent_routes(host: Host) -> list[Route]:
    """`/v1/agent/*` of this host; the more exact path stands first."""
    found: dict[str, Endpoint] = {}
    for family in (Node(host), ServiceHealth(host), Checks(host), Services(host)):
        found |= family.endpoints()
    return [Route(path, endpoint) for path, endpoint in found.items()]


def agent_app(host: Host, rest: App) -> App:
    """The agent's own paths, and `rest` for all others."""
    return Router(agent_routes(host), default=rest, redirect_slashes=False)


def forwarding_app(host: Host, upstream: Upstream) -> App:
    """The agent's own paths, all others forwarded to the catalog."""
    return agent_app(host, Endpoint(any_method=Forward(upstream)))
