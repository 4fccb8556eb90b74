"""The app behind the Unix socket: sync and leaf for proxies, and the agent's own registrations for local gateways.

Whoever may open the socket may have the certificate of any service on this host: its file rights are the access rule
(group `linkspan`, 0660).
"""

import msgspec
from starlette.routing import Route, Router

from agents.vm.api.app import agent_routes
from agents.vm.api.call import Answer, App, Call, CallError, Endpoint, json_answer
from agents.vm.api.host import Host
from agents.vm.relay.book import ImpossibleWantError, TooManyWantsError, decode_request
from agents.vm.relay.leaf import LeafCaller, LeafRefusedError, asked_identity, check_runs_here
from agents.vm.relay.relay import BusyError, Relay
from mesh.sync.link.errors import RefusedError, SyncError
from mesh.wire.sync import LEAF_PATH, SYNC_PATH, LeafRequest


class ProxyEndpoints:
    """The handlers for proxies."""

    def __init__(self, host: Host, relay: Relay, authority: LeafCaller, trust_domain: str) -> None:
        self._host = host
        self._relay = relay
        self._authority = authority
        self._trust_domain = trust_domain

    async def sync(self, call: Call) -> Answer:
        """Answer a proxy from the book."""
        try:
            request = decode_request(call.body)
            return json_answer(await self._relay.answer(request))
        except msgspec.MsgspecError as error:
            raise CallError(400, f"Request decode failed: {error}") from error
        except (TooManyWantsError, ImpossibleWantError) as error:
            raise CallError(400, str(error)) from error
        except BusyError as error:
            raise CallError(503, str(error)) from error

    async def leaf(self, call: Call) -> Answer:
        """A certificate for a service or gateway that this host runs."""
        try:
            csr_pem = msgspec.json.decode(call.body, type=LeafRequest).csr_pem
            check_runs_here(asked_identity(csr_pem), self._host.state, self._host.node, self._trust_domain)
            return json_answer(await self._authority.leaf(csr_pem))
        except msgspec.MsgspecError as error:
            raise CallError(400, f"Request decode failed: {error}") from error
        except LeafRefusedError as error:
            raise CallError(403, f"Permission denied: {error}") from error
        except RefusedError as error:
            raise CallError(error.status, error.text) from error
        except SyncError as error:
            raise CallError(503, f"the catalog cannot be reached: {error}") from error


def socket_app(host: Host, proxies: ProxyEndpoints) -> App:
    """The routes of the Unix socket; everything else is 404."""
    routes = [
        Route(SYNC_PATH, Endpoint(POST=proxies.sync)),
        Route(LEAF_PATH, Endpoint(POST=proxies.leaf)),
        *agent_routes(host),
    ]
    return Router(routes, default=Endpoint(any_method=_nothing), redirect_slashes=False)


async def _nothing(_: Call) -> Answer:
    raise CallError(404, "there is no such path on this socket")
