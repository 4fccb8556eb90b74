"""`/v1/snapshot`: the whole state as a file, and back.

A restore replaces everything but the operator's token, which belongs to the data directory and not to the state: so who
restores is never locked out. Only a snapshot of the same mesh is taken, for its certificates would be void in another.
"""

from functools import partial
from importlib.metadata import version

import trio

from catalog.access.authorizer import Access, Resource
from catalog.access.tokens import OPERATOR_KEY, OPERATOR_TABLE
from catalog.api.api import Api, Paths
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, read_headers
from catalog.api.http.answer import Meta as ReadMeta
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError
from catalog.api.operator.archive import MAX_PACKED_BYTES, ArchiveError, Origin, pack, unpack
from catalog.api.operator.authority import use_kept_configuration
from catalog.state.state import UnreadableStateError

GZIP = b"application/x-gzip"
AT_ONCE = 1
"""How many snapshots are packed or unpacked at once: each may hold twice the state in memory."""


class SnapshotEndpoints:
    """The one path."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._limiter = trio.CapacityLimiter(AT_ONCE)

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/snapshot": {
                "GET": Method(self.save, IN_HANDLER),
                "PUT": Method(self.restore, IN_HANDLER, body_limit_bytes=MAX_PACKED_BYTES),
            }
        }

    async def save(self, call: Call) -> Answer:
        """The state of now. It holds hashes of tokens and every key's value: keep it as safe as the data directory."""
        call.require(Resource.ACL, "", Access.WRITE)
        state = self._api.parking.state
        async with self._limiter:
            index, image = state.index, state.encode()
            packed = await trio.to_thread.run_sync(partial(pack, self._origin(), index, image, self._api.epoch()))
        return Answer(200, packed, GZIP, read_headers(ReadMeta(index, call.query.consistency)))

    async def restore(self, call: Call) -> Answer:
        """Replace the state by that of a snapshot; every blocking query answers."""
        call.require(Resource.ACL, "", Access.WRITE)
        try:
            async with self._limiter:
                described, image = await trio.to_thread.run_sync(unpack, call.body)
                own = self._origin()
                if described.linkspan.trust_domain != own.trust_domain:
                    raise BadRequestError(
                        f"the snapshot is of the mesh {described.linkspan.trust_domain[:80]!r}, this catalog is of "
                        f"{own.trust_domain!r}: restore it where its authority's key is"
                    )
                # It happens also if the caller hangs up meanwhile; then what follows from it must happen, too.
                with trio.CancelScope(shield=True):
                    await self._api.restore(image, frozenset({(OPERATOR_TABLE, OPERATOR_KEY)}))
                    use_kept_configuration(self._api)
        except (ArchiveError, UnreadableStateError) as error:
            raise BadRequestError(f"failed to restore the snapshot: {error}") from error
        return Answer(200, b"")

    def _origin(self) -> Origin:
        return Origin(self._api.datacenter, self._api.authority.trust_domain, version("linkspan"))
