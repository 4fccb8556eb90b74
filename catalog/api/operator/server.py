"""Who this catalog is, in the words of Consul's server endpoints. Reads only.

One process holds the state and orders its changes, so it is the leader, the only voter, and always as healthy as its
answers are.
"""

import uuid

import msgspec

from catalog.api.api import Api
from catalog.state.state import State

CONSUL_API = "1.21.4"
"""The Consul whose API this is: clients gate features on it."""

_IDS = uuid.UUID("6f2d3b0a-6d43-5f5c-9c53-0d9f0d6f7b11")


class Server(msgspec.Struct, frozen=True):
    """The one server of this catalog."""

    id: str
    node: str
    address: str
    last_index: int


def own_server(api: Api, state: State) -> Server:
    """This catalog's server: the node that the service `consul` is registered on."""
    instance = next(iter(state.service("consul")), None)
    name = instance.node if instance is not None else "linkspan"
    node = state.node(name)
    made = str(uuid.uuid5(_IDS, f"{api.authority.trust_domain}/{name}"))
    return Server((node.id if node is not None else "") or made, name, api.leader, state.index)
