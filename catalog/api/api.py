"""What every family of endpoints is given: the engine, the authority, the gate, and where this catalog stands.

It holds references and what can be made anew from them; nothing here is lost with the process.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import trio

from catalog.access.acl.settings import ON, AclSettings
from catalog.api.blocking import Parking
from catalog.api.gate import Gate
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import UnavailableError
from catalog.api.token_review import KubernetesJoin
from catalog.authority.authority import Authority
from catalog.compile.entry_view import StoredEntries
from catalog.engine import Catalog, CatalogBusyError, CatalogStoppedError
from catalog.state.changes import AnyChange
from catalog.state.index import ROOTS_TABLE
from catalog.state.records import Session
from catalog.sync.compiled import Facts
from catalog.sync.resources import Resources
from mesh.model.intention import Action
from mesh.model.snapshot import Roots

Paths = Mapping[str, Mapping[str, Method]]
"""Starlette path -> method -> what it does."""

SERVER_PORT = 8300
"""The port in the leader's address that Consul's clients look for; nothing listens there."""

_BUSY = (CatalogBusyError, CatalogStoppedError)


class Api:
    """The catalog as its endpoints see it.

    `address` is this server's, for `status/leader`; `node` its name, for sessions that name none.
    `acl` is what the operator set about access control; `EVERYONE` is dev mode, only for a server on loopback alone.
    `policy_lock` is held from judging a policy write to its end: two writes judged at once could contradict each other.
    """

    def __init__(
        self,
        catalog: Catalog,
        authority: Authority,
        *,
        address: str = "127.0.0.1",
        node: str = "",
        acl: AclSettings = ON,
        kubernetes: KubernetesJoin | None = None,
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self.authority = authority
        self.kubernetes = kubernetes
        self.epoch = epoch
        self.node = node
        self.default_action = Action.DENY
        self.leader = f"[{address}]:{SERVER_PORT}" if ":" in address else f"{address}:{SERVER_PORT}"
        self.parking = Parking(catalog)
        self.entries = StoredEntries(catalog.state)
        self.policy_lock = trio.Lock()
        facts = Facts(authority.datacenter, authority.trust_domain, authority.roots, self.default_action)
        self.resources = Resources(self.parking, facts)
        self.gate = Gate(authority.datacenter, catalog.state, self.roots, epoch, acl)
        self.gate.node = node
        self._catalog = catalog
        self._roots: tuple[int, Roots] | None = None

    @property
    def datacenter(self) -> str:
        """The one datacenter this catalog knows."""
        return self.authority.datacenter

    def roots(self) -> Roots:
        """The trust bundle of now; made anew only when a record of it changed."""
        state = self.parking.state
        index = state.index_of(("roots",))
        if self._roots is None or self._roots[0] != index:
            self._roots = (index, self.authority.roots(state.records(ROOTS_TABLE), index))
        return self._roots[1]

    async def submit(self, change: AnyChange) -> Any:
        """Make a change; its result once it is on disk.

        Raises:
            ChangeRefusedError: the state refuses it.
            UnavailableError: the catalog is busy or stopping.
        """
        try:
            return await self._catalog.submit(change)
        except _BUSY as error:
            raise UnavailableError(str(error)) from error

    async def restore(self, image: bytes, keep: Collection[tuple[str, str]]) -> int:
        """Put the state of an image in this one's place but for the records that `keep` names; its index.

        Raises:
            UnreadableStateError: the image is none, or of a later version.
            UnavailableError: the catalog is busy or stopping.
        """
        try:
            return await self._catalog.restore(image, keep)
        except _BUSY as error:
            raise UnavailableError(str(error)) from error

    async def renew_lease(self, node: str) -> bool:
        """Hear from a node's holder; False if the node has no lease.

        Raises:
            UnavailableError: the catalog is busy or stopping.
        """
        try:
            return await self._catalog.renew_lease(node)
        except _BUSY as error:
            raise UnavailableError(str(error)) from error

    async def renew_session(self, session_id: str) -> Session | None:
        """Hear from a session's holder: its time runs anew. None if it is not there."""
        return await self._catalog.renew_session(session_id)
