"""What each change does to the tables. Called by `State` alone, inside a journal that undoes a change that is refused.

An equal row is never written again, so that its index stays (reference/consul.md 9a.4); config entries are the exception.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from catalog.state import changes as c
from catalog.state import limits
from catalog.state.errors import ConflictError, InvalidChangeError, UnknownSubjectError
from catalog.state.records import (
    DEFAULT_DEREGISTER_AFTER_S,
    META_DEREGISTER_AFTER_S,
    SERF_HEALTH,
    SERVICE_INTENTIONS,
    Check,
    ConfigEntry,
    Lease,
    Node,
    Record,
    ServiceInstance,
)
from catalog.state.tables import Table, Tables
from mesh.model.endpoint import Health

Row = TypeVar("Row", Node, ServiceInstance, Check, Record, Lease)

ALIVE = "Agent alive and reachable"
GONE = "Agent not live or unreachable"


class Scene(msgspec.Struct, frozen=True):
    """What a change is applied to, as which index, and when (seconds since the epoch)."""

    tables: Tables
    index: int
    now_s: float


def perform(scene: Scene, change: c.AnyChange) -> Any:
    """Do the change and return its result.

    Raises:
        InvalidChangeError: a field of it is missing or out of bounds.
        ConflictError: a compare in a batch failed.
    """
    if isinstance(change, c.Batch):
        limits.check_count("Batch", len(change.changes), limits.MAX_BATCH)
        return tuple(_in_batch(scene, position, single) for position, single in enumerate(change.changes))
    return _PERFORM[type(change)](scene, change)


def _in_batch(scene: Scene, position: int, change: c.Single) -> Any:
    result = _PERFORM[type(change)](scene, change)
    if result is False and getattr(change, "cas", None) is not None:
        raise ConflictError(position)
    return result


def deregister_after_s(node: Node) -> float:
    """Seconds between a lapsed lease and the node's removal, from its meta; what does not parse is the default."""
    try:
        delay_s = float(node.meta.get(META_DEREGISTER_AFTER_S, DEFAULT_DEREGISTER_AFTER_S))
    except ValueError:
        return DEFAULT_DEREGISTER_AFTER_S
    return delay_s if math.isfinite(delay_s) and delay_s >= 0 else DEFAULT_DEREGISTER_AFTER_S


def _put(scene: Scene, table: Table[Any, Row], key: Any, row: Row) -> None:
    """Write `row` with its indexes, unless it equals what is there."""
    before = table.rows.get(key)
    if before is None:
        table.put(msgspec.structs.replace(row, create_index=scene.index, modify_index=scene.index))
        return
    same = msgspec.structs.replace(row, create_index=before.create_index, modify_index=before.modify_index)
    if same != before:
        table.put(msgspec.structs.replace(same, modify_index=scene.index))


def _register(scene: Scene, change: c.Register) -> bool:
    node, known = change.node, scene.tables.nodes.rows.get(change.node.node)
    limits.check_registered_node(node)
    limits.check_count("Services", len(change.services), limits.MAX_REGISTRATION)
    limits.check_count("Checks", len(change.checks), limits.MAX_REGISTRATION)
    if known is None or not change.skip_node_update:
        if not node.address:
            raise InvalidChangeError("Address", "must be given unless SkipNodeUpdate is set and the node is known")
        _put(scene, scene.tables.nodes, node.node, node)
    for instance in change.services:
        _put_instance(scene, node.node, instance)
    for check in change.checks:
        _put_check(scene, node.node, check)
    if change.lease_ttl_s:
        _hold_lease(scene, node.node, change.lease_ttl_s)
    return True


def _put_instance(scene: Scene, node: str, given: ServiceInstance) -> None:
    if given.node not in {"", node}:
        raise InvalidChangeError("Service.Node", f"must be {node!r} or empty, not {given.node!r}")
    instance = msgspec.structs.replace(given, node=node, id=given.id or given.service)
    limits.check_instance(instance)
    if (node, instance.id) not in scene.tables.instances.rows:
        limits.check_count("Services", len(scene.tables.instances.by("node", node)) + 1, limits.MAX_ON_NODE)
    _put(scene, scene.tables.instances, (node, instance.id), instance)
    for check in tuple(scene.tables.checks.by("instance", (node, instance.id)).values()):
        # A check carries its service's name and tags, so that lists of checks need no join: keep them true.
        _put_check(scene, node, check)


def _put_check(scene: Scene, node: str, given: Check) -> None:
    if given.node not in {"", node}:
        raise InvalidChangeError("Check.Node", f"must be {node!r} or empty, not {given.node!r}")
    name = ""
    tags: tuple[str, ...] = ()
    if given.service_id:
        instance = scene.tables.instances.rows.get((node, given.service_id))
        if instance is None:
            raise UnknownSubjectError("Check.ServiceID", f"{given.service_id!r} is not registered on node {node!r}")
        name, tags = instance.service, instance.tags
    check_id = given.check_id or given.name
    check = msgspec.structs.replace(given, node=node, check_id=check_id, service_name=name, service_tags=tags)
    limits.check_check(check)
    if (node, check_id) not in scene.tables.checks.rows:
        limits.check_count("Checks", len(scene.tables.checks.by("node", node)) + 1, limits.MAX_ON_NODE)
    _put(scene, scene.tables.checks, (node, check_id), check)


def _deregister(scene: Scene, change: c.Deregister) -> bool:
    tables, node = scene.tables, change.node
    limits.check_node_name(node)
    if change.service_id:
        if (node, change.service_id) in tables.instances.rows:
            _remove_instance(tables, node, change.service_id)
    elif change.check_id:
        if (node, change.check_id) in tables.checks.rows:
            tables.checks.remove((node, change.check_id))
    elif node in tables.nodes.rows:
        _remove_node(tables, node)
    return True


def _remove_instance(tables: Tables, node: str, service_id: str) -> None:
    for key in tuple(tables.checks.by("instance", (node, service_id))):
        tables.checks.remove(key)
    tables.instances.remove((node, service_id))


def _remove_node(tables: Tables, node: str) -> None:
    for key in tuple(tables.checks.by("node", node)):
        tables.checks.remove(key)
    for key in tuple(tables.instances.by("node", node)):
        tables.instances.remove(key)
    if node in tables.leases.rows:
        tables.leases.remove(node)
    tables.nodes.remove(node)


def _update_check(scene: Scene, change: c.UpdateCheck) -> bool:
    limits.check_output(change.output)
    check = scene.tables.checks.rows.get((change.node, change.check_id))
    if check is None:
        raise UnknownSubjectError("CheckID", f"{change.check_id!r} is not registered on node {change.node!r}")
    updated = msgspec.structs.replace(check, status=change.status, output=change.output)
    _put(scene, scene.tables.checks, (check.node, check.check_id), updated)
    return True


def _matches(cas: int | None, row: ConfigEntry | Record | None) -> bool:
    """Whether a compare-and-set may write: no compare, or 0 and no row, or the row's modify index."""
    return cas is None or cas == (0 if row is None else row.modify_index)


def _put_config(scene: Scene, change: c.PutConfig) -> bool:
    limits.check_name("Kind", change.kind)
    limits.check_name("Name", change.name)
    before = scene.tables.config.rows.get((change.kind, change.name))
    if not _matches(change.cas, before):
        return False
    _write_config(scene, change.kind, change.name, change.body)
    return True


def _write_config(scene: Scene, kind: str, name: str, body: Mapping[str, Any]) -> None:
    limits.check_depth("Body", body)
    limits.check_size("Body", body, limits.MAX_CONFIG_BYTES)
    before = scene.tables.config.rows.get((kind, name))
    created = scene.index if before is None else before.create_index
    scene.tables.config.put(ConfigEntry(kind, name, body, created, scene.index))


def _delete_config(scene: Scene, change: c.DeleteConfig) -> bool:
    key = (change.kind, change.name)
    before = scene.tables.config.rows.get(key)
    if before is None:
        return change.cas in {None, 0}
    if not _matches(change.cas, before):
        return False
    scene.tables.config.remove(key)
    return True


_SOURCE_IDENTITY = ("Name", "Namespace", "Partition", "Peer", "SamenessGroup")


def _source_identity(source: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(source.get(field) or "" for field in _SOURCE_IDENTITY)


def _sources(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    sources = body.get("Sources") or ()
    if not isinstance(sources, list | tuple) or not all(isinstance(source, Mapping) for source in sources):
        raise InvalidChangeError("Sources", "of the stored entry must be a list of objects: write the whole entry anew")
    return list(sources)


def _put_intention(scene: Scene, change: c.PutIntention) -> bool:
    limits.check_name("DestinationName", change.destination)
    limits.check_name("SourceName", str(change.source.get("Name") or ""))
    before = scene.tables.config.rows.get((SERVICE_INTENTIONS, change.destination))
    body = dict(before.body) if before else {"Kind": SERVICE_INTENTIONS, "Name": change.destination}
    sources = _sources(body)
    identity = _source_identity(change.source)
    for position, source in enumerate(sources):
        if _source_identity(source) == identity:
            if source == change.source:
                return True
            sources[position] = change.source
            break
    else:
        sources.append(change.source)
    _write_config(scene, SERVICE_INTENTIONS, change.destination, body | {"Sources": sources})
    return True


def _delete_intention(scene: Scene, change: c.DeleteIntention) -> bool:
    before = scene.tables.config.rows.get((SERVICE_INTENTIONS, change.destination))
    sources = _sources(before.body) if before else []
    identity = _source_identity(change.source)
    kept = [source for source in sources if _source_identity(source) != identity]
    if before is None or len(kept) == len(sources):
        return True
    if kept:
        _write_config(scene, SERVICE_INTENTIONS, change.destination, dict(before.body) | {"Sources": kept})
    else:
        scene.tables.config.remove((SERVICE_INTENTIONS, change.destination))
    return True


def _put_record(scene: Scene, change: c.PutRecord) -> bool:
    limits.check_name("Table", change.table)
    limits.check_name("Key", change.key)
    limits.check_count("Value", len(change.value), limits.MAX_RECORD_BYTES)
    key = (change.table, change.key)
    if not _matches(change.cas, scene.tables.records.rows.get(key)):
        return False
    _put(scene, scene.tables.records, key, Record(change.table, change.key, change.value))
    return True


def _delete_record(scene: Scene, change: c.DeleteRecord) -> bool:
    key = (change.table, change.key)
    before = scene.tables.records.rows.get(key)
    if before is None or not _matches(change.cas, before):
        return False
    scene.tables.records.remove(key)
    return True


def _hold_lease(scene: Scene, node: str, ttl_s: float) -> None:
    limits.check_ttl(ttl_s)
    _put(scene, scene.tables.leases, node, Lease(node, ttl_s))
    _put_check(scene, node, Check(SERF_HEALTH, "Serf Health Status", status=Health.PASSING, output=ALIVE))


def _grant_lease(scene: Scene, change: c.GrantLease) -> bool:
    if change.node not in scene.tables.nodes.rows:
        raise UnknownSubjectError("Node", f"{change.node!r} is not registered: register it first")
    _hold_lease(scene, change.node, change.ttl_s)
    return True


def _lease_expired(scene: Scene, change: c.LeaseExpired) -> bool:
    lease = scene.tables.leases.rows.get(change.node)
    if lease is None or lease.lapsed_at_s is not None:
        return False
    if deregister_after_s(scene.tables.nodes.rows[change.node]) == 0:
        _remove_node(scene.tables, change.node)
        return True
    _put(scene, scene.tables.leases, lease.node, msgspec.structs.replace(lease, lapsed_at_s=scene.now_s))
    gone = Check(SERF_HEALTH, "Serf Health Status", status=Health.CRITICAL, output=GONE)
    _put_check(scene, lease.node, gone)
    return True


def _lease_restored(scene: Scene, change: c.LeaseRestored) -> bool:
    lease = scene.tables.leases.rows.get(change.node)
    if lease is None:
        return False
    _hold_lease(scene, lease.node, lease.ttl_s)
    return True


def _reap_node(scene: Scene, change: c.ReapNode) -> bool:
    lease = scene.tables.leases.rows.get(change.node)
    if lease is None or lease.lapsed_at_s is None:
        return False
    if scene.now_s < lease.lapsed_at_s + deregister_after_s(scene.tables.nodes.rows[change.node]):
        return False
    _remove_node(scene.tables, change.node)
    return True


_PERFORM: dict[type, Callable[[Scene, Any], Any]] = {
    c.Register: _register,
    c.Deregister: _deregister,
    c.UpdateCheck: _update_check,
    c.PutConfig: _put_config,
    c.DeleteConfig: _delete_config,
    c.PutIntention: _put_intention,
    c.DeleteIntention: _delete_intention,
    c.PutRecord: _put_record,
    c.DeleteRecord: _delete_record,
    c.GrantLease: _grant_lease,
    c.LeaseExpired: _lease_expired,
    c.LeaseRestored: _lease_restored,
    c.ReapNode: _reap_node,
}
