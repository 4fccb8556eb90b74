"""What each change does to the tables. Called by `State` alone, inside a journal that undoes a change that is refused.

Registrations, leases, keys and sessions have modules of their own; here are the policy objects, other rooms' records,
and the table of them all.
"""

from collections.abc import Callable, Mapping
from typing import Any

from catalog.state import changes as c
from catalog.state import leases, limits, registration
from catalog.state.errors import ConflictError, InvalidChangeError
from catalog.state.kv import keys, sessions, transact
from catalog.state.records import SERVICE_INTENTIONS, ConfigEntry, Record
from catalog.state.scene import Scene, matches, put_row


def perform(scene: Scene, change: c.AnyChange) -> Any:
    """Do the change, end the sessions that it left without a node or a healthy check, and return its result.

    Raises:
        InvalidChangeError: a field of it is missing or out of bounds.
        ConflictError: a compare in a batch failed.
        TransactionError: operations of a transaction failed.
    """
    if isinstance(change, c.Batch):
        limits.check_count("Batch", len(change.changes), limits.MAX_BATCH)
        result: Any = tuple(_in_batch(scene, position, single) for position, single in enumerate(change.changes))
    else:
        result = _PERFORM[type(change)](scene, change)
    sessions.end_orphans(scene)
    return result


def _in_batch(scene: Scene, position: int, change: c.Single) -> Any:
    result = _PERFORM[type(change)](scene, change)
    if result is False and getattr(change, "cas", None) is not None:
        raise ConflictError(position)
    return result


def _put_config(scene: Scene, change: c.PutConfig) -> bool:
    limits.check_name("Kind", change.kind)
    limits.check_name("Name", change.name)
    before = scene.tables.config.rows.get((change.kind, change.name))
    if not matches(change.cas, before):
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
    if not matches(change.cas, before):
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
    if not matches(change.cas, scene.tables.records.rows.get(key)):
        return False
    put_row(scene, scene.tables.records, key, Record(change.table, change.key, change.value))
    return True


def _delete_record(scene: Scene, change: c.DeleteRecord) -> bool:
    key = (change.table, change.key)
    before = scene.tables.records.rows.get(key)
    if before is None or not matches(change.cas, before):
        return False
    scene.tables.records.remove(key)
    return True


_PERFORM: dict[type, Callable[[Scene, Any], Any]] = {
    c.Register: registration.register,
    c.Deregister: registration.deregister,
    c.UpdateCheck: registration.update_check,
    c.PutConfig: _put_config,
    c.DeleteConfig: _delete_config,
    c.PutIntention: _put_intention,
    c.DeleteIntention: _delete_intention,
    c.PutRecord: _put_record,
    c.DeleteRecord: _delete_record,
    c.GrantLease: leases.grant_lease,
    c.LeaseExpired: leases.lease_expired,
    c.LeaseRestored: leases.lease_restored,
    c.ReapNode: leases.reap_node,
    c.PutKey: keys.put_key,
    c.DeleteKey: keys.delete_key,
    c.DeleteKeys: keys.delete_keys,
    c.CreateSession: sessions.create_session,
    c.DestroySession: sessions.destroy_session,
    c.Transact: transact.transact,
}
