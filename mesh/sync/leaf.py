"""The task that keeps this process's certificate fresh: key and request in a child, a leaf from the catalog, both in use and on disk.

When the catalog refuses the old certificate (it lapsed while the catalog was away), a process that can join anew does so.
"""

import logging
import random
import time
from collections.abc import Awaitable, Callable

import msgspec
import trio

from mesh.decide.rotate import renew_at_s, retry_at_s
from mesh.identity.context import UnusableIdentityError
from mesh.identity.keep import KeptLeafError, LeafStore
from mesh.identity.leaf import Leaf, make_leaf
from mesh.identity.live import LiveIdentity
from mesh.identity.request import KeyMakingError, make_key_and_csr
from mesh.sync.client import SyncClient
from mesh.sync.link.errors import BadAnswerError, SyncError

MakeKey = Callable[[str], Awaitable[tuple[bytes, str]]]
Rejoin = Callable[[], Awaitable[Leaf]]

_LOOK_EVERY_S = 60.0
"""The wall clock may jump: it is looked at this often."""

_log = logging.getLogger("linkspan.identity")


class Clock(msgspec.Struct, frozen=True):
    """Wall-clock seconds since the epoch, draws in [0, 1), and how keys are made: what renewal takes from the world."""

    now_s: Callable[[], float] = time.time
    draw: Callable[[], float] = random.random
    make_key: MakeKey = make_key_and_csr


async def ask_leaf(client: SyncClient, uri: str, make_key: MakeKey = make_key_and_csr) -> Leaf:
    """A new key and the leaf for it.

    Raises:
        SyncError: the other side is unreachable, refuses, or answers with a leaf of another name.
        KeyMakingError: no key could be made.
    """
    key_pem, csr_pem = await make_key(uri)
    response = await client.leaf(csr_pem)
    if response.uri != uri:
        raise BadAnswerError(f"asked for a certificate of {uri}, got one of {response.uri[:200]}")
    return make_leaf(response, key_pem)


async def keep_leaf(store: LeafStore, leaf: Leaf) -> None:
    """Write a leaf to disk off the ring; a disk that fails is logged, for the leaf in memory is good."""
    try:
        await trio.to_thread.run_sync(store.save, leaf)
    except KeptLeafError as error:
        _log.error("%s; a restart without the catalog will fail", error)


class LeafRenewal:
    """Renews the leaf of `identity` for ever (`run`). Survives `SyncError` and a child that fails; tries again ever later."""

    def __init__(
        self,
        client: SyncClient,
        identity: LiveIdentity,
        store: LeafStore,
        rejoin: Rejoin | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._identity = identity
        self._store = store
        self._rejoin = rejoin
        self._clock = clock or Clock()
        self.renewals = 0
        self.failures = 0

    async def run(self) -> None:
        """Wait until the leaf is due, renew it, again."""
        clock = self._clock
        while True:
            leaf = self._identity.leaf
            await self._sleep_until(renew_at_s(leaf.not_before_s, leaf.not_after_s, clock.now_s(), clock.draw()))
            failures = 0
            while not await self._try():
                failures += 1
                await self._sleep_until(retry_at_s(clock.now_s(), leaf.not_after_s, failures, clock.draw()))

    async def _try(self) -> bool:
        try:
            leaf = await self._new_leaf()
            self._identity.replace(leaf)
        except (SyncError, KeyMakingError, UnusableIdentityError) as error:
            self.failures += 1
            left_s = self._identity.leaf.not_after_s - self._clock.now_s()
            _log.warning("the certificate is not renewed, %.0f s are left: %s", left_s, error)
            return False
        self.renewals += 1
        _log.info(
            "certificate renewed: serial %s, valid for %.0f s", leaf.serial, leaf.not_after_s - self._clock.now_s()
        )
        await keep_leaf(self._store, leaf)
        return True

    async def _new_leaf(self) -> Leaf:
        """By the current certificate; by joining anew when that has lapsed and joining is possible."""
        if self._rejoin is not None and self._identity.leaf.not_after_s <= self._clock.now_s():
            return await self._rejoin()
        return await ask_leaf(self._client, self._identity.leaf.uri, self._clock.make_key)

    async def _sleep_until(self, at_s: float) -> None:
        while True:
            left_s = at_s - self._clock.now_s()
            if left_s <= 0:
                return
            await trio.sleep(min(left_s, _LOOK_EVERY_S))
