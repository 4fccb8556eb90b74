"""What the server knows of the connection that a request came on, carried in the ASGI scope's state.

A request without it came from nowhere that we know, and counts as one from the mesh port without a certificate.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from catalog.api.http.disconnect import Scope
from mesh.wire.http1.host import HostRule

STATE_KEY = "linkspan.connection"


class Connection(msgspec.Struct, frozen=True):
    """`loopback`: by the plain port or a local socket. `certificate`: the client's, verified, as `ssl` decodes it.

    `hosts`: the names that its requests may call us by; None: any. `own_process`: no connection at all, but a call from
    within this process: without a token it is the operator's.
    """

    loopback: bool = False
    certificate: Mapping[str, Any] | None = None
    hosts: HostRule | None = None
    own_process: bool = False

    @property
    def is_strangers(self) -> bool:
        """Whether nothing is known of who is at the other end: neither a certificate nor that it is on this machine."""
        return not self.loopback and not self.own_process and self.certificate is None


UNKNOWN = Connection()


def connection_of(scope: Scope) -> Connection:
    """The connection of a request."""
    connection = scope.get("state", {}).get(STATE_KEY, UNKNOWN)
    assert isinstance(connection, Connection)
    return connection
