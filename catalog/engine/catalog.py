"""The catalog at work: submit a change, wait for topics, renew a lease or a session.

One writer task takes what is queued, logs it in one transaction, then applies it, wakes and answers. State is mutated
nowhere else, and never between two awaits of a reader: all of it runs in one trio thread.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec
import trio

from catalog.engine.errors import CatalogBusyError, CatalogStoppedError
from catalog.engine.leases import Leases
from catalog.engine.sessions import Sessions
from catalog.engine.subjects import Claims, lease_holders, subjects_of
from catalog.engine.waiters import Waiters
from catalog.state.changes import AnyChange, Batch, DeleteKeys, Entry, decode_entry, encode_entry
from catalog.state.errors import ChangeRefusedError, InvalidChangeError
from catalog.state.index import Topic
from catalog.state.records import Session
from catalog.state.state import State, UnreadableStateError
from catalog.store import Loaded, Store, StoreCorruptError, StoreError, StoreFullError

logger = logging.getLogger(__name__)

PENDING_LIMIT = 4096
GROUP_LIMIT = 256
COMPACT_EVERY = 20_000


class _Pending:
    """A change on its way, and where its sender finds the answer."""

    __slots__ = ("answered", "change", "error", "result")

    def __init__(self, change: AnyChange) -> None:
        self.change = change
        self.result: Any = None
        self.error: Exception | None = None
        self.answered = trio.Event()

    def answer(self, result: Any) -> None:
        self.result = result
        self.answered.set()

    def refuse(self, error: Exception) -> None:
        self.error = error
        self.answered.set()


class _Restore:
    """An image that is to take the state's place, and where its sender finds the answer."""

    __slots__ = ("image", "keep", "pending")

    def __init__(self, image: bytes, keep: Collection[tuple[str, str]]) -> None:
        self.image = image
        self.keep = keep
        self.pending = _Pending(Batch(()))


class Catalog:
    """The state with its log, its writer and its waiters. `Catalog.open` makes one; `run` must run while it is used.

    `clock` gives monotonic seconds (leases), `epoch` seconds since 1970 (what the log keeps).
    """

    def __init__(
        self,
        store: Store,
        state: State,
        *,
        clock: Callable[[], float] = trio.current_time,
        epoch: Callable[[], float] = time.time,
        pending_limit: int = PENDING_LIMIT,
        compact_every: int = COMPACT_EVERY,
    ) -> None:
        self.state = state
        self._store = store
        self._epoch = epoch
        self._pending_limit = pending_limit
        self._compact_every = compact_every
        self._since_compaction = 0
        self._queue: deque[_Pending] = deque()
        self._restore: _Restore | None = None
        self._queued = trio.Event()
        self._stopped = False
        self._failure: StoreError | None = None
        self._waiters = Waiters(state.index_of)
        self._leases = Leases(state, self.submit, clock, epoch)
        self._sessions = Sessions(state, self.submit, clock)

    @classmethod
    async def open(cls, store: Store, **settings: Any) -> "Catalog":
        """The catalog that `store` holds; `settings` are the constructor's.

        Raises:
            StoreError: the store cannot be read.
            UnreadableStateError: it was written by a version that this one does not understand.
        """
        loaded = await store.load()
        catalog = cls(store, replay(loaded), **settings)
        catalog._since_compaction = len(loaded.entries)
        return catalog

    @property
    def index(self) -> int:
        """The index of the last change."""
        return self.state.index

    @property
    def waiting(self) -> int:
        """How many waiters are parked."""
        return len(self._waiters)

    @property
    def pending(self) -> int:
        """How many changes are queued and not yet being written."""
        return len(self._queue)

    async def submit(self, change: AnyChange) -> Any:
        """Make a change; returns its result once it is on disk and applied. Cancelled, it may still happen.

        Raises:
            InvalidChangeError: a field is missing or out of bounds, or the subject is unknown.
            ConflictError: a compare in a batch failed.
            TransactionError: operations of a transaction failed.
            CatalogBusyError: too many changes are queued, or the disk is full.
            CatalogStoppedError: the catalog stops, or its store failed.
        """
        if self._stopped:
            raise CatalogStoppedError("the catalog is stopping: send the change again when it is back")
        if len(self._queue) >= self._pending_limit:
            raise CatalogBusyError(f"{len(self._queue)} changes are queued: send the change again in a second")
        pending = _Pending(change)
        self._queue.append(pending)
        self._queued.set()
        await pending.answered.wait()
        if pending.error is not None:
            raise pending.error
        return pending.result

    async def restore(self, image: bytes, keep: Collection[tuple[str, str]] = ()) -> int:
        """Put the state of an image (`State.encode`) in this one's place, on disk and then in memory; its index.

        Records that `keep` names by table and key stay as they are. Changes that were taken before are answered before.
        Everybody who waits for anything reads again, and no index goes back.

        Raises:
            UnreadableStateError: the image is none, or of a later version; nothing was changed.
            CatalogBusyError: another restore runs, or the disk is full; nothing was changed.
            CatalogStoppedError: the catalog stops, or its store failed.
        """
        if self._stopped:
            raise CatalogStoppedError("the catalog is stopping: restore again when it is back")
        if self._restore is not None:
            raise CatalogBusyError("another snapshot is being restored: wait for it")
        restore = self._restore = _Restore(image, keep)
        self._queued.set()
        await restore.pending.answered.wait()
        if restore.pending.error is not None:
            raise restore.pending.error
        return int(restore.pending.result)

    async def wait(self, topics: Iterable[Topic], min_index: int, timeout_s: float) -> None:
        """Return when the index of any of the topics is above `min_index`, or after `timeout_s` seconds.

        At once if it is already, or if `min_index` is below 1. Jitter is the caller's to add.
        """
        if min_index < 1 or self._stopped:
            await trio.lowlevel.checkpoint()
            return
        await self._waiters.wait(topics, min_index, timeout_s)

    async def renew_lease(self, node: str) -> bool:
        """Hear from the node's holder: its lease runs anew, and is restored if it had lapsed.

        False if the node has none: its holder must register again. Costs no disk write while the lease is held.
        """
        return await self._leases.renew(node)

    async def renew_session(self, session_id: str) -> Session | None:
        """Hear from a session's holder: its time to live runs anew. None if there is no such session. Costs no disk write."""
        await trio.lowlevel.checkpoint()
        return self._sessions.renew(session_id)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write, and watch leases and sessions, until cancelled.

        Raises:
            StoreError: the store failed. The process must end: only a restart knows what is on disk.
        """
        self._leases.follow_all()
        self._sessions.follow_all()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_until_failure, nursery.cancel_scope)
                nursery.start_soon(self._leases.watch)
                nursery.start_soon(self._sessions.watch)
                task_status.started()
        finally:
            self._stop()
        if self._failure is not None:
            raise self._failure

    def _stop(self) -> None:
        self._stopped = True
        for pending in self._queue:
            pending.refuse(CatalogStoppedError("the catalog stopped before it took the change"))
        self._queue.clear()
        if self._restore is not None:
            self._restore.pending.refuse(CatalogStoppedError("the catalog stopped before the snapshot was restored"))
            self._restore = None
        self._waiters.wake_all()

    # The writer.

    async def _write_until_failure(self, scope: trio.CancelScope) -> None:
        try:
            await self._write()
        except StoreError as error:
            self._failure = error
            self._stop()
            scope.cancel()

    async def _write(self) -> None:
        while True:
            if not self._queue and self._restore is None:
                self._queued = trio.Event()
                await self._queued.wait()
            if self._restore is not None:
                await self._replace(self._restore)
                continue
            group = [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_LIMIT))]
            now_s = self._epoch()
            kept = self._sift(group, now_s)
            if not kept:
                await trio.lowlevel.checkpoint()
                continue
            if not await self._log(kept):
                continue
            self._apply(kept, now_s)
            if self._since_compaction >= self._compact_every:
                await self._compact()

    def _sift(self, group: list[_Pending], now_s: float) -> list[tuple[_Pending, bytes]]:
        """Answer what would change nothing or be refused, as far as nothing before it in the group touches its subject."""
        kept: list[tuple[_Pending, bytes]] = []
        claims = Claims()
        for pending in group:
            subjects = subjects_of(pending.change)
            try:
                if not claims.meet(subjects) and not self._surely_changes(pending.change):
                    outcome = self.state.preview(pending.change, now_s)
                    if not outcome.changed:
                        self._answer(pending, outcome.result)
                        continue
                kept.append((pending, _encoded(pending.change, now_s)))
                claims.add(subjects)
            except ChangeRefusedError as error:
                pending.refuse(error)
        return kept

    def _surely_changes(self, change: AnyChange) -> bool:
        """Whether trying a change out would only cost: a tree with anything in it goes, and it may be large."""
        return isinstance(change, DeleteKeys) and next(self.state.keys(change.prefix), None) is not None

    async def _log(self, kept: list[tuple[_Pending, bytes]]) -> bool:
        """Put the changes on disk. False if it is full: they are refused, and reads go on."""
        first = self.state.index + 1
        entries = [(first + position, line) for position, (_, line) in enumerate(kept)]
        try:
            await self._store.commit(entries)
        except StoreFullError as error:
            logger.error("no change is kept: %s", error)  # noqa: TRY400 - one line is all there is to say
            for pending, _ in kept:
                pending.refuse(CatalogBusyError(f"the change was not kept: {error}"))
            return False
        except BaseException as error:
            for pending, _ in kept:
                pending.refuse(
                    CatalogStoppedError("the store failed; whether the change was kept is known after a restart")
                )
            if isinstance(error, StoreError):
                self._stopped = True
            raise
        return True

    async def _replace(self, restore: _Restore) -> None:
        """The image into the log's place, then into the state's. Until it is on disk, nothing has changed."""
        try:
            index, image = await trio.to_thread.run_sync(self.state.successor, restore.image, restore.keep)
            await self._store.compact(index, image)
        except UnreadableStateError as error:
            restore.pending.refuse(error)
        except StoreFullError as error:
            restore.pending.refuse(CatalogBusyError(f"the snapshot was not restored: {error}"))
        else:
            self.state.become(image)
            self._since_compaction = 0
            self._leases.follow_all()
            self._sessions.follow_all()
            self._waiters.wake_all()
            restore.pending.answer(self.state.index)
        self._restore = None

    async def _compact(self) -> None:
        """Put a snapshot in the log's place; on a full disk the log stays, and it is tried again as many changes later."""
        self._since_compaction = 0
        try:
            await self._store.compact(self.state.index, self.state.encode())
        except StoreFullError as error:
            logger.warning("the catalog's log is not compacted: %s", error)

    def _apply(self, kept: list[tuple[_Pending, bytes]], now_s: float) -> None:
        touched: set[Topic] = set()
        for pending, _ in kept:
            try:
                outcome = self.state.apply(pending.change, self.state.index + 1, now_s)
            except ChangeRefusedError as error:
                pending.refuse(error)
                continue
            touched |= outcome.touched
            self._answer(pending, outcome.result)
        self._since_compaction += len(kept)
        for topic in touched:
            if topic[0] == "lease":
                self._leases.follow(topic[1])
            elif topic[0] == "session":
                self._sessions.follow(topic[1])
        self._waiters.wake(touched)

    def _answer(self, pending: _Pending, result: Any) -> None:
        for node in lease_holders(pending.change):
            self._leases.follow(node)
        pending.answer(result)


def _encoded(change: AnyChange, now_s: float) -> bytes:
    try:
        return encode_entry(Entry(now_s, change))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidChangeError("Body", f"must be JSON: {error}") from error


def replay(loaded: Loaded) -> State:
    """The state that a store's content makes. Changes that were refused when they came are refused again.

    Raises:
        StoreCorruptError: an entry is none that this version knows.
        UnreadableStateError: the snapshot is none that this version knows.
    """
    state = State.decode(loaded.snapshot) if loaded.snapshot else State()
    for index, line in loaded.entries:
        try:
            entry = decode_entry(line)
        except msgspec.DecodeError as error:
            raise StoreCorruptError(
                f"entry {index} of the catalog's log cannot be read ({error}): restore a backup"
            ) from error
        try:
            state.apply(entry.change, index, entry.now_s)
        except ChangeRefusedError:
            continue  # a change is refused at the same place on every replay, and has moved nothing but the index
    return state
