"""Topics and their indexes: which reads a change wakes, and what `X-Consul-Index` they answer with.

A topic is a tuple of texts, its first word the family:

| topic | its index moves when | serves |
|---|---|---|
| `("nodes",)` | any node row changes | catalog/nodes |
| `("node", n)` | the node or an instance on it changes | catalog/node, node-services |
| `("services",)` | any instance changes | catalog/services |
| `("instances", s)` | an instance of s, or the node of one, changes | catalog/service/:s (blind to checks) |
| `("service", s)` | the same, or a check of an instance or of its node | health/service/:s, endpoints |
| `("connect", s)` | the same for the sidecars and native instances of s | health/connect/:s, catalog/connect/:s, endpoints |
| `("kind", k)` | the same for all instances of kind k | gateways |
| `("checks",)` | any check changes | health/state, health/node, health/checks |
| `("config",)`, `("config", kind)`, `("config", kind, name)` | a config entry is written or deleted | config, chains |
| `("intentions", s)` | the service-intentions entry of s is written or deleted; also of `*` as its own topic | intentions |
| `("record", table)`, `("record", table, key)` | another room's bytes change | authority, access |
| `("roots",)` | a record of the table `roots` changes | connect/ca/roots |
| `("leases",)`, `("lease", n)` | a lease is granted, lapses, returns, goes | the engine |
| `("key", k)` | the key k is written, locked, released or deleted; never by another key | kv/:key |
| `("keys", p)` | any key that begins with p is; who waits for it is woken by the `("key", k)` that was touched | kv/:key?recurse, ?keys |
| `("keys",)` | any key at all is; the same as `("keys", "")` | the engine |
| `("sessions",)`, `("sessions", n)` | a session, or one on the node n, begins or ends | session/list, session/node |
| `("session", id)` | that session begins or ends | session/info, the engine |

A keyed topic whose last row is gone answers with the index at which the last of its family went (Consul's "last
extinction"), and forgets its own: memory is bounded by what exists. Indexes never go backwards and never are 0.

Keys differ: their own index is their row's, and a missing key or an emptied prefix answers with the index of its own
last deletion (`catalog.state.kv.graves`), so that one who waits for it is not sent home by the end of another. Their
topics are not kept: there may be very many, and of prefixes any number. `("keys", p)` is in no change's topics.
"""

from collections.abc import Callable, Iterable

from catalog.state.kv.graves import Graves
from catalog.state.records import (
    SERVICE_INTENTIONS,
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
from catalog.state.tables import Changed, Tables

Topic = tuple[str, ...]

FIRST_INDEX = 1
"""The index of the empty catalog; the first change gets 2, so that one who waits after 1 wakes."""

ROOTS_TABLE = "roots"


class TopicIndexes:
    """The index of every topic that has rows, of the last extinction of every family, and of the keys that are gone."""

    def __init__(
        self,
        live: dict[Topic, int] | None = None,
        extinct: dict[Topic, int] | None = None,
        graves: Graves | None = None,
        floor: int = FIRST_INDEX,
    ) -> None:
        self.live = live if live is not None else {}
        self.extinct = extinct if extinct is not None else {}
        self.graves = graves if graves is not None else Graves()
        self.floor = floor

    def of(self, topic: Topic, tables: Tables) -> int:
        """The topic's index, at least `floor`: that of the last restore. Of a prefix it costs a walk over the keys under it."""
        return max(self._of(topic, tables), self.floor)

    def _of(self, topic: Topic, tables: Tables) -> int:
        match topic:
            case ("key", key):
                row = tables.keys.rows.get(key)
                return self.graves.of(key) if row is None else row.modify_index
            case ("keys", prefix) if prefix:
                newest = max((row.modify_index for row in tables.keys.under(prefix)), default=FIRST_INDEX)
                return self.graves.under(prefix, newest)
            case ("keys", _):
                topic = ("keys",)
        index = self.live.get(topic)
        if index is None:
            index = self.extinct.get(topic[:-1], FIRST_INDEX)
        return index

    def bump(self, topics: Iterable[Topic], index: int, tables: Tables) -> None:
        """Move the topics to `index`; those without rows are forgotten and move their family's extinction."""
        for topic in topics:
            if topic[0] == "key":
                if topic[1] in tables.keys.rows:
                    self.graves.lift(topic[1])
                else:
                    self.graves.bury(topic[1], index)
            elif _has_rows(topic, tables):
                self.live[topic] = index
            else:
                self.live.pop(topic, None)
                self.extinct[topic[:-1]] = index


_MEMBERS: dict[str, Callable[[Tables, str], object]] = {
    "node": lambda tables, name: name in tables.nodes.rows,
    "service": lambda tables, name: tables.instances.by("service", name),
    "instances": lambda tables, name: tables.instances.by("service", name),
    "connect": lambda tables, name: tables.instances.by("destination", name),
    "kind": lambda tables, kind: tables.instances.by("kind", kind),
    "intentions": lambda tables, name: (SERVICE_INTENTIONS, name) in tables.config.rows,
    "lease": lambda tables, name: name in tables.leases.rows,
    "session": lambda tables, session: session in tables.sessions.rows,
    "sessions": lambda tables, node: tables.sessions.by("node", node),
}


def _has_rows(topic: Topic, tables: Tables) -> bool:
    """Whether a keyed topic has rows. List-all topics and families whose names the code fixes are always kept."""
    if len(topic) == 3:
        rows: object = tables.config.rows if topic[0] == "config" else tables.records.rows
        return topic[1:] in rows  # type: ignore[operator]
    if len(topic) == 2 and topic[0] in _MEMBERS:
        return bool(_MEMBERS[topic[0]](tables, topic[1]))
    return True


def touched_topics(changed: Iterable[Changed], tables: Tables) -> frozenset[Topic]:
    """The topics that a change touched; `tables` is the state after it."""
    topics: set[Topic] = set()
    checked: set[str] = set()
    for change in changed:
        for row in (change.before, change.after):
            if isinstance(row, Check) and not row.service_id:
                checked.add(row.node)
            if row is not None:
                _OF[change.table](row, tables, topics)
    for node in checked:  # once a node, however many of its own checks changed
        for instance in tables.instances.by("node", node).values():
            _instance_topics(instance, topics, check_only=True)
    return frozenset(topics)


def _instance_topics(instance: ServiceInstance, topics: set[Topic], *, check_only: bool = False) -> None:
    topics.add(("service", instance.service))
    if not check_only:
        topics.add(("instances", instance.service))
    if instance.destination:
        topics.add(("connect", instance.destination))
    if instance.kind:
        topics.add(("kind", instance.kind))


def _of_node(row: Node, tables: Tables, topics: set[Topic]) -> None:
    topics.update((("nodes",), ("node", row.node)))
    for instance in tables.instances.by("node", row.node).values():
        _instance_topics(instance, topics)


def _of_instance(row: ServiceInstance, _tables: Tables, topics: set[Topic]) -> None:
    topics.update((("services",), ("node", row.node)))
    _instance_topics(row, topics)


def _of_check(row: Check, tables: Tables, topics: set[Topic]) -> None:
    topics.add(("checks",))
    instance = tables.instances.rows.get((row.node, row.service_id)) if row.service_id else None
    if instance is not None:
        _instance_topics(instance, topics, check_only=True)


def _of_config(row: ConfigEntry, _tables: Tables, topics: set[Topic]) -> None:
    topics.update((("config",), ("config", row.kind), ("config", row.kind, row.name)))
    if row.kind == SERVICE_INTENTIONS:
        topics.add(("intentions", row.name))


def _of_record(row: Record, _tables: Tables, topics: set[Topic]) -> None:
    topics.update((("record", row.table), ("record", row.table, row.key)))
    if row.table == ROOTS_TABLE:
        topics.add(("roots",))


def _of_lease(row: Lease, _tables: Tables, topics: set[Topic]) -> None:
    topics.update((("leases",), ("lease", row.node)))


def _of_key(row: KeyEntry, _tables: Tables, topics: set[Topic]) -> None:
    topics.update((("keys",), ("key", row.key)))


def _of_session(row: Session, _tables: Tables, topics: set[Topic]) -> None:
    topics.update((("sessions",), ("sessions", row.node), ("session", row.id)))


def _of_delay(_row: LockDelay, _tables: Tables, _topics: set[Topic]) -> None:
    """Nobody reads these: they only ever begin with a session's end and end with another change."""


_OF: dict[str, Callable[..., None]] = {
    "nodes": _of_node,
    "instances": _of_instance,
    "checks": _of_check,
    "config": _of_config,
    "records": _of_record,
    "leases": _of_lease,
    "keys": _of_key,
    "sessions": _of_session,
    "delays": _of_delay,
}
