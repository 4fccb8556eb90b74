"""A catalog for tests of whoever follows one: resources by name, answered as the sync protocol says, with long polls.

It must never be imported by anything but tests.
"""

import msgspec
import trio

from mesh.identity.leaf import Leaf
from mesh.wire.sync import LEAF_PATH, SYNC_PATH, LeafRequest, LeafResponse, Resource, SyncRequest, SyncResponse
from tests.fakes.authority import Authority
from tests.fakes.http_peer import Asked


def response_of(leaf: Leaf) -> LeafResponse:
    """The answer that carries a leaf (its key stays where it was made)."""
    return LeafResponse(leaf.certificate_pem, leaf.uri, leaf.serial, leaf.not_before_s, leaf.not_after_s)


class FakeCatalog:
    """Holds resources; `put` and `remove` wake parked calls. Everything it was asked is in `requests`."""

    def __init__(self, authority: Authority | None = None) -> None:
        self.index = 1
        self.requests: list[SyncRequest] = []
        self.leaf_status = 200
        self.leaf_life_s = 86400.0
        self.leafs = 0
        self._authority = authority
        self._resources: dict[str, Resource] = {}
        self._changed = trio.Event()

    def put(self, name: str, value: object) -> None:
        """Set a resource to a model value (or, as bytes, to any body)."""
        self.index += 1
        body = value if isinstance(value, bytes) else msgspec.json.encode(value)
        self._resources[name] = Resource(name, f"v{self.index}", msgspec.Raw(body))
        self._wake()

    def remove(self, name: str) -> None:
        """Take a resource away."""
        self.index += 1
        del self._resources[name]
        self._wake()

    async def __call__(self, asked: Asked) -> tuple[int, bytes]:
        if asked.target == SYNC_PATH:
            return 200, msgspec.json.encode(await self._sync(msgspec.json.decode(asked.body, type=SyncRequest)))
        if asked.target == LEAF_PATH and self._authority is not None:
            await trio.lowlevel.checkpoint()
            if self.leaf_status != 200:
                return self.leaf_status, b"Permission denied: leaf"
            self.leafs += 1
            leaf = self._authority.sign(msgspec.json.decode(asked.body, type=LeafRequest).csr_pem, self.leaf_life_s)
            return 200, msgspec.json.encode(response_of(leaf))
        return 404, b"no such path"

    async def _sync(self, request: SyncRequest) -> SyncResponse:
        self.requests.append(request)
        with trio.move_on_after(request.wait_s):
            while not self._news(request):
                await self._changed.wait()
        changed = tuple(self._resources[name] for name in self._news(request) if name in self._resources)
        removed = tuple(name for name in self._news(request) if name not in self._resources)
        return SyncResponse(self.index, changed, removed)

    def _news(self, request: SyncRequest) -> list[str]:
        held = {want.name: want.version for want in request.wants}
        return [
            name
            for name, version in held.items()
            if version != (self._resources[name].version if name in self._resources else "")
        ]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
