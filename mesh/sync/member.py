"""A process as a member of the mesh: its identity, its snapshot, and the tasks that keep both fresh.

Two ways in: through the host's agent (a Unix socket), or straight to the catalog by joining with a token file read fresh at each try.
With a kept leaf and last-known-good on disk it starts while both are away.
"""

import logging
from pathlib import Path

import msgspec
import trio

from mesh.identity.context import UnusableIdentityError
from mesh.identity.keep import KeptLeafError, LeafStore
from mesh.identity.leaf import Leaf
from mesh.identity.live import LiveIdentity
from mesh.identity.request import KeyMakingError
from mesh.model.identity import DEFAULT_NAMESPACE, Kind, SpiffeId
from mesh.model.snapshot import Roots, Snapshot
from mesh.sync.cache import ResourceCache
from mesh.sync.client import SyncClient
from mesh.sync.follow import ROOTS, Plan, UnusableResourceError, decode_resource
from mesh.sync.follower import Follower, load_last_good
from mesh.sync.holder import SnapshotHolder
from mesh.sync.join import JoinAsk, Joined, Trust, join, split_pem
from mesh.sync.leaf import Clock, LeafRenewal, ask_leaf, keep_leaf
from mesh.sync.link.address import HostPort
from mesh.sync.link.backoff import Backoff
from mesh.sync.link.dial import CatalogDialler, UnixDialler
from mesh.sync.link.errors import SyncError
from mesh.wire.sync import Resource

MAX_FILE_BYTES = 1024 * 1024

_log = logging.getLogger("linkspan.sync")


class JoinFileError(SyncError):
    """The token or root file cannot be read; the text names it."""


class Who(msgspec.Struct, frozen=True):
    """What this process is called: a service or the gateway of a network."""

    kind: Kind
    name: str

    def spiffe_id(self, trust_domain: str, datacenter: str) -> SpiffeId:
        """Its identity there."""
        return SpiffeId(trust_domain, self.kind, datacenter, self.name, DEFAULT_NAMESPACE)


class Source(msgspec.Struct, frozen=True):
    """Where identity and snapshot come from: `agent` (a Unix socket's path), or `servers` with a token and a root file."""

    state_dir: str
    network: str
    agent: str = ""
    servers: tuple[HostPort, ...] = ()
    ca_file: str = ""
    token_file: str = ""


class Member(msgspec.Struct, frozen=True):
    """What a process works with once it is a member."""

    client: SyncClient
    follower: Follower
    identity: LiveIdentity


class Follows(msgspec.Struct, frozen=True):
    """What a process works with that follows the catalog through its agent and needs no certificate of its own."""

    client: SyncClient
    follower: Follower


async def run_follower(
    source: Source,
    who: Who,
    plan: Plan,
    holder: SnapshotHolder,
    *,
    task_status: trio.TaskStatus[Follows] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Follow through the host's agent until cancelled; no identity is asked for."""
    cache = _cache(source, who)
    async with SyncClient([UnixDialler(source.agent)]) as client:
        follower = Follower(client, plan, holder, cache)
        follower.restore(load_last_good(cache))
        task_status.started(Follows(client, follower))
        await follower.run()


async def run_member(
    source: Source,
    who: Who,
    plan: Plan,
    holder: SnapshotHolder,
    clock: Clock | None = None,
    *,
    task_status: trio.TaskStatus[Member] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Become a member, say so by `task_status`, and stay one until cancelled. Waits as long as it takes; failures are logged.

    `holder` gets every snapshot, also before the identity is there.
    """
    clock = clock or Clock()
    store = LeafStore(Path(source.state_dir) / "identity")
    cache = _cache(source, who)
    kept = load_last_good(cache)
    if source.agent:
        async with SyncClient([UnixDialler(source.agent)]) as client, trio.open_nursery() as nursery:
            follower = Follower(client, plan, holder, cache, clock.draw)
            follower.restore(kept)
            nursery.start_soon(follower.run)
            identity = await _through_agent(client, follower, who, store, clock)
            keep_trust(follower, identity)
            nursery.start_soon(LeafRenewal(client, identity, store, None, clock).run)
            task_status.started(Member(client, follower, identity))
        return
    entry = _DirectEntry(source, who, store, clock)
    identity = await entry.identity(roots_among(kept))
    diallers = [CatalogDialler(address, identity, clock.now_s) for address in source.servers]
    async with SyncClient(diallers) as client, trio.open_nursery() as nursery:
        follower = Follower(client, plan, holder, cache, clock.draw)
        follower.restore(kept)
        keep_trust(follower, identity)
        nursery.start_soon(follower.run)
        nursery.start_soon(LeafRenewal(client, identity, store, entry.rejoin, clock).run)
        task_status.started(Member(client, follower, identity))


def _cache(source: Source, who: Who) -> ResourceCache:
    return ResourceCache(Path(source.state_dir) / "resources.json", f"{who.kind}:{who.name}@{source.network}")


def keep_trust(follower: Follower, identity: LiveIdentity) -> None:
    """Give every new trust bundle to the identity at once; one that cannot be used is logged and the last good one stays."""

    def take(snapshot: Snapshot) -> None:
        if snapshot.roots is None:
            return
        try:
            identity.replace(roots=snapshot.roots)
        except UnusableIdentityError as error:
            _log.error("the new trust bundle is not used: %s", error)

    take(follower.holder.current)
    follower.holder.subscribe(take)


async def _through_agent(
    client: SyncClient, follower: Follower, who: Who, store: LeafStore, clock: Clock
) -> LiveIdentity:
    backoff = Backoff(clock.draw)
    while True:
        version = follower.holder.version
        roots, mesh = follower.holder.current.roots, follower.holder.current.mesh
        if roots is None or mesh is None:
            await follower.holder.wait_newer(version)
            continue
        spiffe_id = who.spiffe_id(mesh.trust_domain, mesh.datacenter)
        kept = _kept_identity(store, who, roots, clock.now_s())
        if kept is not None:
            return kept
        try:
            leaf = await ask_leaf(client, str(spiffe_id), clock.make_key)
            identity = LiveIdentity(leaf, roots)
        except (SyncError, KeyMakingError, UnusableIdentityError) as error:
            _log.warning("no certificate for %s yet: %s", spiffe_id, error)
            await trio.sleep(backoff.next_s())
            continue
        await keep_leaf(store, leaf)
        return identity


class _DirectEntry:
    """Joining the catalog itself, with files read fresh at each try (a projected token is replaced every hour)."""

    def __init__(self, source: Source, who: Who, store: LeafStore, clock: Clock) -> None:
        self._source = source
        self._who = who
        self._store = store
        self._clock = clock

    async def identity(self, roots: Roots | None) -> LiveIdentity:
        """The kept identity if it is still good with the kept roots, else one by joining, however long that takes."""
        kept = _kept_identity(self._store, self._who, roots, self._clock.now_s()) if roots else None
        if kept is not None:
            return kept
        backoff = Backoff(self._clock.draw)
        while True:
            try:
                joined = await self._join()
                identity = LiveIdentity(joined.leaf, joined.roots)
            except (SyncError, KeyMakingError, UnusableIdentityError) as error:
                _log.warning("cannot join the mesh yet: %s", error)
                await trio.sleep(backoff.next_s())
                continue
            await keep_leaf(self._store, joined.leaf)
            return identity

    async def rejoin(self) -> Leaf:
        """A new leaf by joining again."""
        return (await self._join()).leaf

    async def _join(self) -> Joined:
        token = read_small_file(self._source.token_file, "token file").strip()
        trust = Trust(roots_pem=split_pem(read_small_file(self._source.ca_file, "CA file")))
        ask = JoinAsk(self._who.spiffe_id, "kubernetes", token, self._source.network)
        return await join(self._source.servers, trust, ask, self._clock.make_key, self._clock.now_s)


def roots_among(resources: tuple[Resource, ...]) -> Roots | None:
    """The trust bundle among kept resources."""
    for resource in resources:
        if resource.name == ROOTS:
            try:
                value = decode_resource(resource)
            except UnusableResourceError:
                return None
            return value if isinstance(value, Roots) else None
    return None


def read_small_file(path: str, what: str) -> str:
    """The text of a small file (a token, a root certificate).

    Raises:
        JoinFileError: it cannot be read, is empty or too large.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise JoinFileError(f"cannot read the {what} {path}: {error.strerror}") from error
    if not content or len(content) > MAX_FILE_BYTES:
        raise JoinFileError(f"the {what} {path} is empty or larger than {MAX_FILE_BYTES} bytes")
    return content.decode("utf-8", "replace")


def _kept_identity(store: LeafStore, who: Who, roots: Roots, now_s: float) -> LiveIdentity | None:
    """The leaf on disk with these roots, if it is ours and has not lapsed."""
    try:
        leaf = store.load()
        if leaf is None or leaf.not_after_s <= now_s:
            return None
        identity = LiveIdentity(leaf, roots)
    except (KeptLeafError, UnusableIdentityError) as error:
        _log.warning("the kept certificate is not used: %s", error)
        return None
    own = identity.spiffe_id
    if (own.kind, own.name) != (who.kind, who.name):
        _log.warning("the kept certificate of %s is not ours: not used", own)
        return None
    return identity
