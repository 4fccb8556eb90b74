"""Transactions: operations on keys, nodes, instances and checks, all or none, with every failure named.

What an operation does alone stands with its table; here are only its verbs. Nothing is undone here: whoever raises
`TransactionError` through `State` leaves nothing behind.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

import msgspec

from catalog.state import changes as c
from catalog.state import limits
from catalog.state.errors import InvalidChangeError, OperationError, TransactionError
from catalog.state.kv import keys
from catalog.state.records import Check, KeyEntry, Node, ServiceInstance
from catalog.state.registration import put_check, put_instance, remove_instance, remove_node
from catalog.state.scene import Scene, put_row

Given = tuple[KeyEntry | Node | ServiceInstance | Check, ...]


def transact(scene: Scene, change: c.Transact) -> Given:
    """Do all operations, each on what those before it left, and return the rows they give.

    Raises:
        TransactionError: some of them failed.
        InvalidChangeError: there are too many.
    """
    limits.check_count("Operations", len(change.operations), limits.MAX_OPERATIONS)
    given: list[KeyEntry | Node | ServiceInstance | Check] = []
    failures = []
    for position, operation in enumerate(change.operations):
        try:
            given += _DO[type(operation)](scene, operation)
            _need(
                len(given) <= limits.MAX_GIVEN_ROWS,
                f"more than {limits.MAX_GIVEN_ROWS} rows are given: read them alone",
            )
        except (OperationError, InvalidChangeError) as error:
            failures.append((position, str(error)))
        if len(given) > limits.MAX_GIVEN_ROWS:
            break  # what follows would only cost more
    if failures:
        raise TransactionError(tuple(failures))
    return tuple(given)


# Keys.


def _on_key(scene: Scene, op: c.KeyOp) -> Given:
    limits.check_key(op.key or ("?" if op.verb in _WHOLE_TREE else ""), op.value, op.flags)
    work = _KEY_VERBS.get(op.verb)
    if work is None:
        raise OperationError(f"unknown KV verb {op.verb[:40]!r}")
    return work(scene, op)


def _row(scene: Scene, op: c.KeyOp) -> KeyEntry:
    row = scene.tables.keys.rows.get(op.key)
    if row is None:
        raise OperationError(f'key "{op.key}" doesn\'t exist')
    return row


def _bare(scene: Scene, op: c.KeyOp) -> Given:
    """The key's row without its value: what writes and checks give."""
    return (msgspec.structs.replace(_row(scene, op), value=b""),)


def _need(fulfilled: bool, text: str) -> None:
    if not fulfilled:
        raise OperationError(text)


def _set(scene: Scene, op: c.KeyOp) -> Given:
    keys.put_key(scene, c.PutKey(op.key, op.value, op.flags))
    return _bare(scene, op)


def _cas(scene: Scene, op: c.KeyOp) -> Given:
    written = keys.put_key(scene, c.PutKey(op.key, op.value, op.flags, cas=op.index))
    _need(written, f'failed to set key "{op.key}", index is stale')
    return _bare(scene, op)


def _lock(scene: Scene, op: c.KeyOp) -> Given:
    _need(bool(op.session), f'failed to lock key "{op.key}", missing session')
    taken = keys.put_key(scene, c.PutKey(op.key, op.value, op.flags, acquire=op.session))
    why = "the lock-delay is not over" if keys.is_delayed(scene, op.key) else "lock is already held"
    _need(taken, f'failed to lock key "{op.key}", {why}')
    return _bare(scene, op)


def _unlock(scene: Scene, op: c.KeyOp) -> Given:
    freed = bool(op.session) and keys.put_key(scene, c.PutKey(op.key, op.value, op.flags, release=op.session))
    _need(freed, f'failed to unlock key "{op.key}", lock isn\'t held, or is held by another session')
    return _bare(scene, op)


def _get_or_empty(scene: Scene, op: c.KeyOp) -> Given:
    return (scene.tables.keys.rows.get(op.key) or KeyEntry(op.key),)


def _get_tree(scene: Scene, op: c.KeyOp) -> Given:
    return tuple(islice(scene.tables.keys.under(op.key), limits.MAX_GIVEN_ROWS + 1))


def _check_index(scene: Scene, op: c.KeyOp) -> Given:
    index = _row(scene, op).modify_index
    _need(index == op.index, f'failed index check for key "{op.key}", current modify index {index} != {op.index}')
    return _bare(scene, op)


def _check_session(scene: Scene, op: c.KeyOp) -> Given:
    session = _row(scene, op).session
    _need(
        session == op.session,
        f'failed session check for key "{op.key}", current session "{session}" != "{op.session}"',
    )
    return _bare(scene, op)


def _check_not_exists(scene: Scene, op: c.KeyOp) -> Given:
    _need(op.key not in scene.tables.keys.rows, f'key "{op.key}" exists')
    return ()


def _delete(scene: Scene, op: c.KeyOp) -> Given:
    keys.delete_key(scene, c.DeleteKey(op.key))
    return ()


def _delete_cas(scene: Scene, op: c.KeyOp) -> Given:
    deleted = keys.delete_key(scene, c.DeleteKey(op.key, cas=op.index))
    _need(deleted, f'failed to delete key "{op.key}", index is stale')
    return ()


def _delete_tree(scene: Scene, op: c.KeyOp) -> Given:
    keys.delete_keys(scene, c.DeleteKeys(op.key))
    return ()


_WHOLE_TREE = frozenset({"get-tree", "delete-tree"})
"""What takes a prefix, which may be empty."""

_KEY_VERBS: dict[str, Callable[[Scene, c.KeyOp], Given]] = {
    "set": _set,
    "cas": _cas,
    "lock": _lock,
    "unlock": _unlock,
    "get": lambda scene, op: (_row(scene, op),),
    "get-or-empty": _get_or_empty,
    "get-tree": _get_tree,
    "check-index": _check_index,
    "check-session": _check_session,
    "check-not-exists": _check_not_exists,
    "delete": _delete,
    "delete-tree": _delete_tree,
    "delete-cas": _delete_cas,
}

# Nodes, instances and checks: the same five verbs.


class _Subject(msgspec.Struct, frozen=True):
    """What one operation is about: how to find it, how to write it, how to remove it, and what to call it."""

    what: str
    find: Callable[[], Any]
    put: Callable[[], None]
    remove: Callable[[], None]


def _perform(subject: _Subject, verb: str, index: int) -> Given:
    before = subject.find()
    match verb:
        case "get" if before is None:
            raise OperationError(f"{subject.what} doesn't exist")
        case "get":
            return (before,)
        case "set":
            subject.put()
        case "cas":
            _need(
                index == (0 if before is None else before.modify_index), f"failed to set {subject.what}, index is stale"
            )
            subject.put()
        case "delete" | "delete-cas":
            fits = verb == "delete" or (before is not None and before.modify_index == index)
            _need(fits, f"failed to delete {subject.what}, index is stale")
            if before is not None:
                subject.remove()
            return ()
        case _:
            raise OperationError(f"unknown verb {verb[:40]!r}")
    return (subject.find(),)


def _on_node(scene: Scene, op: c.NodeOp) -> Given:
    node, rows = op.node, scene.tables.nodes.rows

    def put() -> None:
        limits.check_registered_node(node)
        put_row(scene, scene.tables.nodes, node.node, node)

    limits.check_node_name(node.node)
    subject = _Subject(
        f'node "{node.node}"', lambda: rows.get(node.node), put, lambda: remove_node(scene.tables, node.node)
    )
    return _perform(subject, op.verb, op.index)


def _on_service(scene: Scene, op: c.ServiceOp) -> Given:
    node, rows = op.node, scene.tables.instances.rows
    service_id = op.service.id or op.service.service
    _need(bool(op.service.service) or op.verb == "get", "Service.Service must be given, also to delete")  # measured

    def put() -> None:
        _need(node in scene.tables.nodes.rows, f'node "{node}" doesn\'t exist')
        put_instance(scene, node, op.service)

    subject = _Subject(
        f'service "{service_id}" on node "{node}"',
        lambda: rows.get((node, service_id)),
        put,
        lambda: remove_instance(scene.tables, node, service_id),
    )
    return _perform(subject, op.verb, op.index)


def _on_check(scene: Scene, op: c.CheckOp) -> Given:
    node, check_id = op.check.node, op.check.check_id or op.check.name
    table = scene.tables.checks

    def put() -> None:
        _need(node in scene.tables.nodes.rows, f'node "{node}" doesn\'t exist')
        put_check(scene, node, op.check)

    subject = _Subject(
        f'check "{check_id}" on node "{node}"',
        lambda: table.rows.get((node, check_id)),
        put,
        lambda: table.remove((node, check_id)),
    )
    return _perform(subject, op.verb, op.index)


_DO: dict[type, Callable[[Scene, Any], Given]] = {
    c.KeyOp: _on_key,
    c.NodeOp: _on_node,
    c.ServiceOp: _on_service,
    c.CheckOp: _on_check,
}
