"""The agent's routes as one ASGI app, in front of whatever answers the rest."""

from starlette.routing import Route, Router

from agents.vm.api.call import App, Endpoint
from agents.vm.api.checks import Checks
from agents.vm.api.connect.endpoints import Connect
from agents.vm.api.forward import Forward, Upstream
from agents.vm.api.health import ServiceHealth
from agents.vm.api.host import Host
from agents.vm.api.membership import Membership
from agents.vm.api.node import Node
from agents.vm.api.services import Services
from agents.vm.api.telemetry.endpoints import Telemetry
from agents.vm.api.tokens import Tokens


def agent_routes(host: Host) -> list[Route]:
    """`/v1/agent/*` of this host; the more exact path stands first."""
    found: dict[str, Endpoint] = {}
    families = (Node, Membership, Telemetry, Tokens, Connect, ServiceHealth, Checks, Services)
    for family in families:
        found |= family(host).endpoints()
    return [Route(path, endpoint) for path, endpoint in found.items()]


def agent_app(host: Host, rest: App) -> App:
    """The agent's own paths, and `rest` for all others."""
    return Router(agent_routes(host), default=rest, redirect_slashes=False)


def forwarding_app(host: Host, upstream: Upstream) -> App:
    """The agent's own paths, all others forwarded to the catalog."""
    return agent_app(host, Endpoint(any_method=Forward(upstream, host.tokens)))
