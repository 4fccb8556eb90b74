"""Leaves made for workloads on this host: key made here, signed by the catalog, kept until half of its life is over.

Keys live in memory only. It must never decide who may have one.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import trio

from agents.vm.api.call import CallError
from agents.vm.api.host import Host
from mesh.identity.keygen import make_key_and_csr_pem
from mesh.model.identity import Kind, SpiffeId
from mesh.wire.sync import LEAF_PATH, LeafRequest, LeafResponse

MAX_LEAVES = 2048
RETRY_S = 30.0
"""How often a leaf that could not be renewed is tried again for a caller that waits for it."""
FIRST_INDEX = 10
_CSR = "-----BEGIN CERTIFICATE REQUEST-----"


AnswerT = TypeVar("AnswerT")


class KeptLeaf(msgspec.Struct, frozen=True):
    """One leaf with its key. `create_index` is of the service's first leaf here, `index` of this one."""

    response: LeafResponse
    key_pem: str
    create_index: int
    index: int

    @property
    def renew_s(self) -> float:
        """When half of its life is over."""
        return (self.response.not_before_s + self.response.not_after_s) / 2


class _Trust(msgspec.Struct, frozen=True):
    trust_domain: str = msgspec.field(name="TrustDomain")


async def make_in_thread(uri: str) -> bytes:
    """A key and a request for it (`make_key_and_csr_pem`), made beside the loop."""
    return await trio.to_thread.run_sync(make_key_and_csr_pem, uri)


class Leaves:
    """The leaves of one agent by service. `now` and `make` are the seams of its tests."""

    def __init__(
        self,
        host: Host,
        now: Callable[[], float] = time.time,
        make: Callable[[str], Awaitable[bytes]] = make_in_thread,
    ) -> None:
        self._host = host
        self._make = make
        self._now = now
        self._kept: dict[str, KeptLeaf] = {}
        self._locks: dict[str, trio.Lock] = {}
        self._index = FIRST_INDEX

    async def leaf(self, service: str, after: int, wait_s: float) -> KeptLeaf:
        """The service's leaf; with `after`, the next one past that index, or the present one after `wait_s`.

        Raises:
            CallError: the catalog refuses it or is away.
        """
        kept = await self._fresh(service)
        with trio.move_on_after(wait_s):
            while kept.index <= after:
                left_s = kept.renew_s - self._now()
                await trio.sleep(left_s if left_s > 0 else RETRY_S)
                kept = await self._fresh(service)
        return kept

    async def _fresh(self, service: str) -> KeptLeaf:
        async with self._locks.setdefault(service, trio.Lock()):
            kept = self._kept.pop(service, None)
            if kept is None or self._now() >= kept.renew_s:
                kept = await self._renewed_or_old(service, kept)
            self._kept[service] = kept  # the one used last stands last
        while len(self._kept) > MAX_LEAVES:
            gone = next(iter(self._kept))
            del self._kept[gone]
            if not self._locks[gone].locked():
                del self._locks[gone]
        return kept

    async def _renewed_or_old(self, service: str, old: KeptLeaf | None) -> KeptLeaf:
        """A new leaf; while the catalog is away, the old one for as long as it is valid."""
        try:
            return await self._renewed(service, old)
        except CallError as error:
            if old is None or error.status < 500 or self._now() >= old.response.not_after_s:
                raise
            return old

    async def _renewed(self, service: str, old: KeptLeaf | None) -> KeptLeaf:
        trust = await self._ask("GET", "/v1/connect/ca/roots", b"", _Trust)
        uri = str(SpiffeId(trust.trust_domain, Kind.SERVICE, self._host.node.datacenter, service))
        pem = (await self._make(uri)).decode("ascii")
        key_pem, _, rest = pem.partition(_CSR)
        body = msgspec.json.encode(LeafRequest(_CSR + rest))
        # The node asks, by its certificate, and the authority judges by what the node was granted.
        response = await self._ask("POST", LEAF_PATH, body, LeafResponse)
        self._index += 1
        return KeptLeaf(response, key_pem, old.create_index if old else self._index, self._index)

    async def _ask(self, method: str, target: str, body: bytes, kind: type[AnswerT]) -> AnswerT:
        passed = await self._host.as_node(method, target, body)
        if passed.status != 200:
            raise CallError(passed.status, passed.body.decode("utf-8", "replace"))
        try:
            return msgspec.json.decode(passed.body, type=kind)
        except msgspec.MsgspecError as error:
            raise CallError(502, f"the catalog's answer to {method} {target} cannot be read: {error}") from error
