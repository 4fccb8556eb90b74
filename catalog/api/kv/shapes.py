"""What keys and sessions print as, and the headers beside them: Consul's fields, an empty value null, its durations."""

from typing import Any

from catalog.access.callers import CallerKind
from catalog.api.blocking import Found
from catalog.api.http.answer import Meta
from catalog.api.http.call import Call
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


def read_meta(call: Call, found: Found) -> Meta:
    """What the headers of a settled read say; that something is hidden, only to those with a token (as Consul does)."""
    filtered = found.hidden and call.caller.kind is not CallerKind.ANONYMOUS
    return Meta(found.index, call.query.consistency, cached=call.query.cached, filtered=filtered)
