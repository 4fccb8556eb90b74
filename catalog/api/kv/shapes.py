"""What keys and sessions print as: Consul's fields, an empty value null, durations as it has them."""

from typing import Any

from catalog.state.records import KeyEntry, Session

Json = dict[str, Any]


def key_json(row: KeyEntry) -> Json:
    """A key as `kv` lists it; `Value` is base64, null if empty; `Session` only while it is locked."""
    shown: Json = {"LockIndex": row.lock_index, "Key": row.key, "Flags": row.flags, "Value": row.value or None}
    if row.session:
        shown["Session"] = row.session
    shown["CreateIndex"] = row.create_index
    shown["ModifyIndex"] = row.modify_index
    return shown


def session_json(session: Session) -> Json:
    """A session as `session/list` lists it; `LockDelay` in nanoseconds, `TTL` as its maker wrote it."""
    return {
        "ID": session.id,
        "Name": session.name,
        "Node": session.node,
        "LockDelay": session.lock_delay_ns,
        "Behavior": session.behavior,
        "TTL": session.ttl,
        "NodeChecks": session.node_checks,
        "ServiceChecks": [{"ID": check.id, "Namespace": check.namespace} for check in session.service_checks] or None,
        "CreateIndex": session.create_index,
        "ModifyIndex": session.modify_index,
    }
