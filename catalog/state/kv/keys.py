"""Keys: written, compared, locked, released, deleted.

Which write keeps what was measured (reference: measured traps 7): a plain one keeps the lock but sets its count to 0.
"""

import msgspec

from catalog.state import changes as c
from catalog.state import limits
from catalog.state.errors import InvalidChangeError, UnknownSubjectError
from catalog.state.records import KeyEntry
from catalog.state.scene import Scene, matches, put_row


def put_key(scene: Scene, change: c.PutKey) -> bool:
    """Write a key, with a compare, a lock or a release if asked."""
    limits.check_key(change.key, change.value, change.flags)
    if (change.cas is not None) + bool(change.acquire) + bool(change.release) > 1:
        raise InvalidChangeError("cas, acquire and release", "exclude each other: give one of them")
    if change.acquire:
        return acquire_key(scene, change)
    if change.release:
        return release_key(scene, change)
    before = scene.tables.keys.rows.get(change.key)
    if not matches(change.cas, before):
        return False
    session = before.session if before else ""
    put_row(scene, scene.tables.keys, change.key, KeyEntry(change.key, change.value, change.flags, session=session))
    return True


def acquire_key(scene: Scene, change: c.PutKey) -> bool:
    """Take the lock of a key and write it; the holder may again. False if another session has it, or its delay runs."""
    if change.acquire not in scene.tables.sessions.rows:
        raise UnknownSubjectError("Session", f"{change.acquire!r} is not there: it ended, or never was")
    before = scene.tables.keys.rows.get(change.key)
    holder = before.session if before else ""
    if holder != change.acquire and (holder or is_delayed(scene, change.key)):
        return False
    count = before.lock_index if before else 0
    taken = KeyEntry(
        change.key,
        change.value,
        change.flags,
        lock_index=count if holder else count + 1,
        session=change.acquire,
    )
    put_row(scene, scene.tables.keys, change.key, taken)
    if change.key in scene.tables.delays.rows:  # it is over
        scene.tables.delays.remove(change.key)
    return True


def release_key(scene: Scene, change: c.PutKey) -> bool:
    """Give the lock of a key up and write it. False if that session does not have it."""
    before = scene.tables.keys.rows.get(change.key)
    if before is None or before.session != change.release:
        return False
    free = KeyEntry(change.key, change.value, change.flags, lock_index=before.lock_index)
    put_row(scene, scene.tables.keys, change.key, free)
    return True


def delete_key(scene: Scene, change: c.DeleteKey) -> bool:
    """Delete a key, with a compare if asked; a missing one is deleted already."""
    before = scene.tables.keys.rows.get(change.key)
    if before is None:
        return True
    if change.cas is not None and change.cas != before.modify_index:
        return False
    scene.tables.keys.remove(change.key)
    return True


def delete_keys(scene: Scene, change: c.DeleteKeys) -> bool:
    """Delete every key under a prefix, locked or not."""
    for row in tuple(scene.tables.keys.under(change.prefix)):
        scene.tables.keys.remove(row.key)
    return True


def is_delayed(scene: Scene, key: str) -> bool:
    """Whether a key may not be locked yet. Either way round, so that a wall clock set back cannot hold it up for long."""
    delay = scene.tables.delays.rows.get(key)
    return delay is not None and abs(scene.now_s - delay.since_s) < delay.delay_s


def free_key(scene: Scene, row: KeyEntry) -> None:
    """Release a key whose session ended; its value and count stay."""
    put_row(scene, scene.tables.keys, row.key, msgspec.structs.replace(row, session=""))
