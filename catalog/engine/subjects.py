"""Which rows a change reads and writes, coarsely: changes without a subject in common cannot affect each other.

Pure. Too coarse costs a disk write for a change that does nothing; too fine would answer one wrongly.
"""

from catalog.state import changes as c

Subject = tuple[str, ...]


def subjects_of(change: c.AnyChange) -> frozenset[Subject]:
    """The subjects of a change: a node with all that is on it, a config entry, a record."""
    if isinstance(change, c.Batch):
        return frozenset(_subject(single) for single in change.changes)
    return frozenset((_subject(change),))


def _subject(change: c.Single) -> Subject:
    match change:
        case c.Register():
            return ("node", change.node.node)
        case c.PutConfig() | c.DeleteConfig():
            return ("config", change.kind, change.name)
        case c.PutIntention() | c.DeleteIntention():
            return ("config", "service-intentions", change.destination)
        case c.PutRecord() | c.DeleteRecord():
            return ("record", change.table, change.key)
        case _:
            return ("node", change.node)


def lease_holders(change: c.AnyChange) -> tuple[str, ...]:
    """The nodes whose lease the change grants or restores, so that one that changed nothing still renews."""
    changes = change.changes if isinstance(change, c.Batch) else (change,)
    return tuple(holder for single in changes if (holder := _holder(single)))


def _holder(change: c.Single) -> str:
    if isinstance(change, c.Register):
        return change.node.node if change.lease_ttl_s else ""
    return change.node if isinstance(change, c.GrantLease | c.LeaseRestored) else ""
