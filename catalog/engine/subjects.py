"""Which rows a change reads and writes, coarsely: changes without a subject in common cannot affect each other.

Pure. Too coarse costs a disk write for a change that does nothing; too fine would answer one wrongly. What a node's or a
check's end does to sessions and their keys is no subject: who asks for the key meanwhile was there first.
"""

from collections.abc import Callable, Iterable
from typing import Any

from catalog.state import changes as c
from catalog.state.records import SERVICE_INTENTIONS

Subject = tuple[str, ...]
"""A row, or by its family's name alone all rows of a family."""


class Claims:
    """The subjects of the changes before, as far as they are being written."""

    def __init__(self) -> None:
        self._taken: set[Subject] = set()
        self._families: set[str] = set()

    def meet(self, subjects: Iterable[Subject]) -> bool:
        """Whether one of these, or its whole family, is claimed; of a whole family, whether any of it is."""
        return any(
            subject in self._taken
            or (subject[0],) in self._taken
            or (len(subject) == 1 and subject[0] in self._families)
            for subject in subjects
        )

    def add(self, subjects: Iterable[Subject]) -> None:
        """Claim these."""
        for subject in subjects:
            self._taken.add(subject)
            self._families.add(subject[0])


def subjects_of(change: c.AnyChange) -> frozenset[Subject]:
    """The subjects of a change: a node with all that is on it, a config entry, a record, a key, a session."""
    match change:
        case c.Batch():
            return frozenset(subject for single in change.changes for subject in _subjects(single))
        case c.Transact():
            return frozenset(subject for operation in change.operations for subject in _operands(operation))
        case _:
            return frozenset(_subjects(change))


def _subjects(change: c.Single) -> tuple[Subject, ...]:
    return _OF[type(change)](change)


def _on_node(change: Any) -> tuple[Subject, ...]:
    return (("node", change.node),)


def _on_config(change: Any) -> tuple[Subject, ...]:
    return (("config", change.kind, change.name),)


def _on_intention(change: Any) -> tuple[Subject, ...]:
    return (("config", SERVICE_INTENTIONS, change.destination),)


def _on_record(change: Any) -> tuple[Subject, ...]:
    return (("record", change.table, change.key),)


def _on_key(change: c.PutKey) -> tuple[Subject, ...]:
    holder = change.acquire or change.release
    return (("key", change.key), ("session", holder)) if holder else (("key", change.key),)


_OF: dict[type, Callable[[Any], tuple[Subject, ...]]] = {
    c.Register: lambda change: (("node", change.node.node),),
    c.Deregister: _on_node,
    c.UpdateCheck: _on_node,
    c.GrantLease: _on_node,
    c.LeaseExpired: _on_node,
    c.LeaseRestored: _on_node,
    c.ReapNode: _on_node,
    c.PutConfig: _on_config,
    c.DeleteConfig: _on_config,
    c.PutIntention: _on_intention,
    c.DeleteIntention: _on_intention,
    c.PutRecord: _on_record,
    c.DeleteRecord: _on_record,
    c.PutKey: _on_key,
    c.DeleteKey: lambda change: (("key", change.key),),
    c.DeleteKeys: lambda _change: (("key",),),
    c.CreateSession: lambda change: (("session", change.session.id), ("node", change.session.node)),
    c.DestroySession: lambda change: (("session", change.id), ("key",)),
}


def _operands(operation: c.Operation) -> tuple[Subject, ...]:
    match operation:
        case c.KeyOp() if operation.verb.endswith("-tree"):
            return (("key",),)
        case c.KeyOp():
            key = ("key", operation.key)
            return (key, ("session", operation.session)) if operation.session else (key,)
        case c.NodeOp():
            return (("node", operation.node.node),)
        case c.ServiceOp():
            return (("node", operation.node),)
        case c.CheckOp():
            return (("node", operation.check.node),)


def lease_holders(change: c.AnyChange) -> tuple[str, ...]:
    """The nodes whose lease the change grants or restores, so that one that changed nothing still renews."""
    changes = change.changes if isinstance(change, c.Batch) else (change,)
    return tuple(holder for single in changes if (holder := _holder(single)))


def _holder(change: c.AnyChange) -> str:
    if isinstance(change, c.Register):
        return change.node.node if change.lease_ttl_s else ""
    return change.node if isinstance(change, c.GrantLease | c.LeaseRestored) else ""
