"""Intentions between two catalogs: which are mirrored, how they read at the target, and what brings them there.

Pure. Precedence needs nothing: both sides derive it from the same two names. An intention that the target has of its
own for the same pair wins.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from agents.bridge.rules.marks import Mark, describe, description_mark
from agents.bridge.rules.rows import Json, ShapeError

Pair = tuple[str, str]


class IntentionRow(msgspec.Struct, frozen=True):
    """One intention: `action`, or `permissions` as canonical JSON in their order."""

    source: str
    destination: str
    action: str
    permissions: tuple[bytes, ...] = ()
    description: str = ""

    @property
    def pair(self) -> Pair:
        """Source and destination: what names an intention."""
        return self.source, self.destination

    def body(self) -> Json:
        """What is put to `connect/intentions/exact`."""
        body: Json = {"SourceType": "consul", "Description": self.description}
        if self.permissions:
            return {**body, "Permissions": [msgspec.json.decode(one) for one in self.permissions]}
        return {**body, "Action": self.action}


def intention(row: Any) -> IntentionRow | None:
    """A row of `connect/intentions`; None: one that names another tenant or a peer, which no other catalog has.

    Raises:
        ShapeError: it is no intention.
    """
    try:
        tenants = (
            row.get(key) or "" for key in ("SourceNS", "DestinationNS", "SourcePartition", "DestinationPartition")
        )
        if (
            row.get("SourcePeer")
            or row.get("SourceSamenessGroup")
            or any(one not in {"", "default"} for one in tenants)
        ):
            return None
        permissions = tuple(
            msgspec.json.encode(_canonical(one), order="sorted") for one in row.get("Permissions") or ()
        )
        return IntentionRow(
            str(row["SourceName"]),
            str(row["DestinationName"]),
            "" if permissions else str(row["Action"]),
            permissions,
            str(row.get("Description") or ""),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ShapeError(f"an intention cannot be read: {type(error).__name__} {error}") from error


def _canonical(value: Any) -> Any:
    """JSON without what says nothing: null, false, empty texts, lists and maps."""
    if isinstance(value, dict):
        parts = {key: _canonical(one) for key, one in value.items()}
        return {key: one for key, one in parts.items() if one or (one == 0 and not isinstance(one, bool))}
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    return value


def mirrored_intention(found: IntentionRow, mark: Mark) -> IntentionRow | None:
    """How an intention of the source should read at the target; None: a bridge wrote it."""
    if description_mark(found.description) is not None:
        return None
    return msgspec.structs.replace(found, description=describe(found.description, mark))


class PutIntention(msgspec.Struct, frozen=True):
    """Write this one."""

    row: IntentionRow


class RemoveIntention(msgspec.Struct, frozen=True):
    """Take the one of this pair out."""

    pair: Pair


IntentionAction = PutIntention | RemoveIntention


class IntentionPlan(msgspec.Struct, frozen=True):
    """What to do; `withheld`: something should go that may not go yet."""

    actions: tuple[IntentionAction, ...] = ()
    withheld: bool = False
    conflicts: frozenset[str] = frozenset()


def reconcile_intentions(
    desired: Mapping[Pair, IntentionRow],
    owned: Mapping[Pair, IntentionRow],
    taken: AbstractSet[Pair],
    may_remove: Callable[[Pair], bool],
) -> IntentionPlan:
    """The plan; `taken` are the pairs of intentions that are not ours."""
    puts = [PutIntention(one) for pair, one in desired.items() if pair not in taken and owned.get(pair) != one]
    gone = [pair for pair in owned if pair not in desired and pair not in taken]
    removals = [RemoveIntention(pair) for pair in gone if may_remove(pair)]
    conflicts = frozenset(
        f"the intention {source} => {destination} is there and is not ours: it is left alone"
        for source, destination in desired.keys() & taken
    )
    return IntentionPlan((*puts, *removals), len(removals) < len(gone), conflicts)
