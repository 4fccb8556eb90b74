"""What a change is applied to, and how a row is written: an equal one never again, so that its index stays.

Consul's rule (an equal PUT or registration leaves the index alone); config entries are the exception and do not come here.
"""

from typing import Any, TypeVar

import msgspec

from catalog.state.records import Check, ConfigEntry, KeyEntry, Lease, Node, Record, ServiceInstance, Session
from catalog.state.tables import Table, Tables

Row = TypeVar("Row", Node, ServiceInstance, Check, Record, Lease, KeyEntry, Session)


class Scene(msgspec.Struct, frozen=True):
    """What a change is applied to, as which index, and when (seconds since the epoch)."""

    tables: Tables
    index: int
    now_s: float


def put_row(scene: Scene, table: Table[Any, Row], key: Any, row: Row) -> None:
    """Write `row` with its indexes, unless it equals what is there."""
    before = table.rows.get(key)
    if before is None:
        table.put(msgspec.structs.replace(row, create_index=scene.index, modify_index=scene.index))
        return
    same = msgspec.structs.replace(row, create_index=before.create_index, modify_index=before.modify_index)
    if same != before:
        table.put(msgspec.structs.replace(same, modify_index=scene.index))


def matches(cas: int | None, row: Node | ServiceInstance | Check | ConfigEntry | Record | KeyEntry | None) -> bool:
    """Whether a compare-and-set may write: no compare, or 0 and no row, or the row's modify index."""
    return cas is None or cas == (0 if row is None else row.modify_index)
