"""The catalog's state: apply a change, ask a question.

`State.apply` and `State.load` are the only ways in. Answers are rows (frozen) in a fixed order, by node and then by id;
an answer is true until the next `apply`, which never runs between two awaits of a reader (one thread, one writer).
"""

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from catalog.state.apply import perform
from catalog.state.changes import AnyChange, Transact
from catalog.state.errors import ChangeRefusedError, FaultyChangeError
from catalog.state.index import FIRST_INDEX, Topic, TopicIndexes, touched_topics
from catalog.state.kv.graves import Graves
from catalog.state.records import (
    Check,
    ConfigEntry,
    KeyEntry,
    Lease,
    LockDelay,
    Node,
    Record,
    ServiceInstance,
    Session,
)
from catalog.state.scene import Scene
from catalog.state.tables import Tables
from mesh.model.endpoint import Health

FORMAT = 2
"""What `State.encode` writes. 1 knew no keys and no sessions."""

READABLE = (1, 2)


class Outcome(msgspec.Struct, frozen=True):
    """What a change did: its result, the topics it touched, and whether it changed anything at all."""

    result: Any
    touched: frozenset[Topic] = frozenset()
    changed: bool = False


MAX_RESTORED_INDEX = 2**53
"""The highest index that a snapshot may come with: what is above it, JSON's readers do not tell apart (RFC 8259 6)."""


class _Image(msgspec.Struct, frozen=True):
    """The whole state as one value, for the store."""

    format: int
    index: int
    nodes: tuple[Node, ...]
    instances: tuple[ServiceInstance, ...]
    checks: tuple[Check, ...]
    config: tuple[ConfigEntry, ...]
    records: tuple[Record, ...]
    leases: tuple[Lease, ...]
    live: tuple[tuple[Topic, int], ...]
    extinct: tuple[tuple[Topic, int], ...]
    keys: tuple[KeyEntry, ...] = ()
    sessions: tuple[Session, ...] = ()
    delays: tuple[LockDelay, ...] = ()
    graves: tuple[tuple[str, int], ...] = ()
    graves_floor: int = FIRST_INDEX
    floor: int = FIRST_INDEX


class UnreadableStateError(Exception):
    """The store's fault: a snapshot that this version cannot read; restore a backup or start the version that wrote it."""


class State:
    """Everything the catalog knows, at `index`."""

    def __init__(self) -> None:
        self._tables = Tables()
        self._indexes = TopicIndexes()
        self._index = FIRST_INDEX
        self._service_names: tuple[int, dict[str, tuple[str, ...]]] = (0, {})

    @property
    def index(self) -> int:
        """The index of the last change applied; at least 1."""
        return self._index

    @property
    def restored_at(self) -> int:
        """The index that the last restore got; 1 if there was none. Below it nothing that was read is true any more."""
        return self._indexes.floor

    def apply(self, change: AnyChange, index: int, now_s: float) -> Outcome:
        """Apply a change as `index`, which must be above all before; a change that does nothing moves no topic.

        Raises:
            InvalidChangeError: a field is missing or out of bounds, or the subject is unknown.
            ConflictError: a compare in a batch failed.
            TransactionError: operations of a transaction failed.
            FaultyChangeError: it could not be applied, for a reason nobody foresaw.
        """
        assert index > self._index, f"index {index} after {self._index}"
        self._index = index
        result = self._perform(change, index, now_s)
        changed = self._tables.end()
        touched = touched_topics(changed, self._tables)
        self._indexes.bump(touched, index, self._tables)
        return Outcome(result, touched, changed=bool(changed))

    def preview(self, change: AnyChange, now_s: float) -> Outcome:
        """What `apply` would return or raise now, without its topics; the state stays as it is."""
        result = self._perform(change, self._index + 1, now_s)
        changed = self._tables.dirty()
        self._tables.undo()
        return Outcome(result, changed=changed)

    def _perform(self, change: AnyChange, index: int, now_s: float) -> Any:
        """Do the change in an open journal; refused, it is undone whole."""
        self._tables.begin()
        try:
            return perform(Scene(self._tables, index, now_s), change)
        except ChangeRefusedError:
            self._tables.undo()
            raise
        except Exception as error:
            # One change must not end the writer for all, now or at every replay of the log: it is refused, always alike.
            self._tables.undo()
            raise FaultyChangeError(f"a {type(change).__name__} change could not be applied: {error!r:.200}") from error

    def index_of(self, *topics: Topic) -> int:
        """The highest index of the topics: what a read of them answers with. At least 1."""
        return max((self._indexes.of(topic, self._tables) for topic in topics), default=FIRST_INDEX)

    # Nodes.

    def node(self, name: str) -> Node | None:
        """The node of that name."""
        return self._tables.nodes.rows.get(name)

    def nodes(self) -> list[Node]:
        """All nodes."""
        return sorted(self._tables.nodes.rows.values(), key=lambda row: row.node)

    # Instances.

    def services(self) -> dict[str, tuple[str, ...]]:
        """Every service's name with all tags of its instances, both sorted. Not to be mutated."""
        index = self.index_of(("services",))
        if self._service_names[0] != index:
            names = sorted(str(name) for name in self._tables.instances.group_values("service"))
            found = {
                name: tuple(
                    sorted({tag for row in self._tables.instances.by("service", name).values() for tag in row.tags})
                )
                for name in names
            }
            self._service_names = (index, found)
        return self._service_names[1]

    def instance(self, node: str, service_id: str) -> ServiceInstance | None:
        """The instance of that id on that node."""
        return self._tables.instances.rows.get((node, service_id))

    def service(self, name: str) -> list[ServiceInstance]:
        """The instances of a service."""
        return self._instances("service", name)

    def connect(self, name: str) -> list[ServiceInstance]:
        """What mesh callers of a service dial: its sidecars, and its instances that are Connect native."""
        return self._instances("destination", name)

    def kind(self, kind: str) -> list[ServiceInstance]:
        """The instances of a kind, e.g. `mesh-gateway`."""
        return self._instances("kind", kind)

    def node_services(self, node: str) -> list[ServiceInstance]:
        """The instances on a node."""
        return self._instances("node", node)

    def connect_services(self) -> list[str]:
        """The services that `connect` has an answer for, sorted."""
        return sorted(str(name) for name in self._tables.instances.group_values("destination"))

    def _instances(self, group: str, value: str) -> list[ServiceInstance]:
        rows = self._tables.instances.by(group, value)
        return [rows[key] for key in sorted(rows)]

    # Checks.

    def check(self, node: str, check_id: str) -> Check | None:
        """The check of that id on that node."""
        return self._tables.checks.rows.get((node, check_id))

    def checks(self, status: Health | None = None) -> list[Check]:
        """All checks, or those in one status."""
        if status is not None:
            return self._checks("status", status)
        rows = self._tables.checks.rows
        return [rows[key] for key in sorted(rows)]

    def node_checks(self, node: str) -> list[Check]:
        """All checks on a node: its own and those of its instances."""
        return self._checks("node", node)

    def service_checks(self, name: str) -> list[Check]:
        """The checks of a service's instances; none of their nodes' own."""
        return self._checks("service", name)

    def instance_checks(self, instance: ServiceInstance) -> list[Check]:
        """The checks that decide an instance's health: its node's own, then its own."""
        return self._checks("instance", (instance.node, "")) + (
            self._checks("instance", (instance.node, instance.id)) if instance.id else []
        )

    def _checks(self, group: str, value: Any) -> list[Check]:
        rows = self._tables.checks.by(group, value)
        return [rows[key] for key in sorted(rows)]

    # Policy, records, leases.

    def config(self, kind: str, name: str) -> ConfigEntry | None:
        """The config entry of that kind and name."""
        return self._tables.config.rows.get((kind, name))

    def configs(self, kind: str) -> list[ConfigEntry]:
        """The config entries of a kind, by name."""
        return sorted(self._tables.config.by("kind", kind).values(), key=lambda row: row.name)

    def record(self, table: str, key: str) -> Record | None:
        """Another room's record."""
        return self._tables.records.rows.get((table, key))

    def records(self, table: str) -> list[Record]:
        """Another room's records, by key."""
        return sorted(self._tables.records.by("table", table).values(), key=lambda row: row.key)

    def lease(self, node: str) -> Lease | None:
        """The lease that a node hangs on; None for one that has none."""
        return self._tables.leases.rows.get(node)

    def leases(self) -> list[Lease]:
        """All leases, by node."""
        return sorted(self._tables.leases.rows.values(), key=lambda row: row.node)

    def lapsed_leases(self) -> list[Lease]:
        """The leases that nobody holds now, by node."""
        return sorted(self._tables.leases.by("lapsed", value=True).values(), key=lambda row: row.node)

    # Keys and sessions.

    def key(self, key: str) -> KeyEntry | None:
        """The key of that name."""
        return self._tables.keys.rows.get(key)

    def keys(self, prefix: str) -> Iterator[KeyEntry]:
        """The keys that begin with `prefix`, in order; to be read before the next await."""
        return self._tables.keys.under(prefix)

    def transaction(self, reads: Transact) -> Any:
        """What a transaction that only reads gives.

        Raises:
            TransactionError: operations of it failed.
            InvalidChangeError: there are too many.
        """
        assert reads.reads_only
        return self.preview(reads, 0.0).result

    def session(self, session_id: str) -> Session | None:
        """The session of that id."""
        return self._tables.sessions.rows.get(session_id)

    def sessions(self, node: str = "") -> list[Session]:
        """All sessions, or those on a node, by id."""
        rows = self._tables.sessions.by("node", node) if node else self._tables.sessions.rows
        return [rows[session_id] for session_id in sorted(rows)]

    def held_keys(self, session_id: str) -> list[KeyEntry]:
        """The keys that a session has locked, in order."""
        rows = self._tables.keys.by("session", session_id)
        return [rows[key] for key in sorted(rows)]

    # The store's side.

    def encode(self) -> bytes:
        """The whole state as JSON, indexes and all."""
        tables, indexes = self._tables, self._indexes
        image = _Image(
            format=FORMAT,
            index=self._index,
            nodes=tuple(tables.nodes.rows.values()),
            instances=tuple(tables.instances.rows.values()),
            checks=tuple(tables.checks.rows.values()),
            config=tuple(tables.config.rows.values()),
            records=tuple(tables.records.rows.values()),
            leases=tuple(tables.leases.rows.values()),
            live=tuple(indexes.live.items()),
            extinct=tuple(indexes.extinct.items()),
            keys=tuple(tables.keys.under("")),
            sessions=tuple(tables.sessions.rows.values()),
            delays=tuple(tables.delays.rows.values()),
            graves=tuple(indexes.graves.at.items()),
            graves_floor=indexes.graves.floor,
            floor=indexes.floor,
        )
        return msgspec.json.encode(image)

    @classmethod
    def decode(cls, data: bytes) -> "State":
        """The state that `encode` wrote.

        Raises:
            UnreadableStateError: the bytes are none, or of a later format.
        """
        state = cls()
        state.become(data)
        return state

    def become(self, data: bytes) -> None:
        """Be the state that `encode` wrote, whatever was here before. For the engine alone: at the start and at a restore.

        Raises:
            UnreadableStateError: as in `decode`; nothing was changed.
        """
        image = _read_image(data)
        tables = Tables()
        tables.fill(msgspec.structs.asdict(image))
        graves = Graves(dict(image.graves), image.graves_floor)
        self._tables = tables
        self._indexes = TopicIndexes(dict(image.live), dict(image.extinct), graves, image.floor)
        self._index = image.index
        self._service_names = (0, {})

    def successor(self, data: bytes, keep: Collection[tuple[str, str]] = ()) -> tuple[int, bytes]:
        """What an image is to become in this state's place: its index, above both, and its bytes.

        Records that `keep` names by table and key stay as they are here. Every topic's index is the new one, so that
        whoever waits for anything reads again and no index goes back.

        Raises:
            UnreadableStateError: the image is none, or of a later format.
        """
        image = _read_image(data)
        _check_consistent(image)
        index = max(image.index, self._index) + 1
        records = [row for row in image.records if (row.table, row.key) not in keep]
        records += [row for row in self._tables.records.rows.values() if (row.table, row.key) in keep]
        return index, msgspec.json.encode(
            msgspec.structs.replace(image, format=FORMAT, index=index, floor=index, records=tuple(records))
        )


def _read_image(data: bytes) -> _Image:
    try:
        image = msgspec.json.decode(data, type=_Image)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableStateError(f"the catalog's snapshot cannot be read: {error}") from error
    if image.format not in READABLE:
        raise UnreadableStateError(
            f"the catalog's snapshot has format {image.format}; this version reads up to {FORMAT}"
        )
    return image


def _check_consistent(image: _Image) -> None:
    """Refuse what reads well but would end the catalog, now and at every start: it is on disk before it is used.

    Raises:
        UnreadableStateError: an index is none that could be counted on from, or a lease is of no node.
    """
    if not FIRST_INDEX <= image.index <= MAX_RESTORED_INDEX:
        raise UnreadableStateError(
            f"the catalog's snapshot has index {image.index}: it must be 1 to {MAX_RESTORED_INDEX}"
        )
    indexes = (image.live, image.extinct, image.graves)
    if image.floor > image.index or any(index > image.index for pairs in indexes for _, index in pairs):
        raise UnreadableStateError("the catalog's snapshot has a topic with an index above its own")
    orphans = {lease.node for lease in image.leases} - {node.node for node in image.nodes}
    if orphans:
        raise UnreadableStateError(
            f"the catalog's snapshot has a lease of {min(orphans)[:120]!r}, which is no node of it"
        )
