"""What every family of endpoints is given: the engine, the gate, and where this catalog stands.

It holds references only, nothing that changes with a call.
"""

from collections.abc import Mapping
from typing import Any

import trio

from catalog.api.blocking import Parking
from catalog.api.endpoint import Method
from catalog.api.errors import UnavailableError
from catalog.api.gate import Gate
from catalog.compile.entry_view import StoredEntries
from catalog.engine import Catalog, CatalogBusyError, CatalogStoppedError
from catalog.state.changes import AnyChange
from mesh.model.intention import Action

Paths = Mapping[str, Mapping[str, Method]]
"""Starlette path -> method -> what it does."""

SERVER_PORT = 8300
"""The port in the leader's address that Consul's clients look for; nothing listens there."""


class Api:
    """The catalog as its endpoints see it. `address` is this server's, for `status/leader`.

    `policy_lock` is held from judging a policy write to its end: two writes judged at once could contradict each other.
    """

    def __init__(
        self, catalog: Catalog, gate: Gate, *, address: str = "127.0.0.1", default_action: Action = Action.DENY
    ) -> None:
        self.catalog = catalog
        self.gate = gate
        self.parking = Parking(catalog)
        self.entries = StoredEntries(catalog.state)
        self.policy_lock = trio.Lock()
        self.default_action = default_action
        self.leader = f"[{address}]:{SERVER_PORT}" if ":" in address else f"{address}:{SERVER_PORT}"

    @property
    def datacenter(self) -> str:
        """The one datacenter this catalog knows."""
        return self.gate.datacenter

    async def submit(self, change: AnyChange) -> Any:
        """Make a change; its result once it is on disk.

        Raises:
            ChangeRefusedError: the state refuses it.
            UnavailableError: the catalog is busy or stopping.
        """
        try:
            return await self.catalog.submit(change)
        except (CatalogBusyError, CatalogStoppedError) as error:
            raise UnavailableError(str(error)) from error
