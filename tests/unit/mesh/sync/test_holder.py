"""The snapshot in use."""

import pytest
import trio

from mesh.model.snapshot import Local, MeshSettings, Snapshot
from mesh.sync.holder import SnapshotHolder

LOCAL = Local("web", "vm", "dc1", "test.linkspan")
FIRST = Snapshot(LOCAL)
SECOND = Snapshot(LOCAL, mesh=MeshSettings("dc1", "test.linkspan"))


def test_subscribers_hear_at_once_and_in_order():
    """Every subscriber is called inside `replace`, with the new snapshot already current; after unsubscribing no more."""
    holder = SnapshotHolder(FIRST)
    heard: list[tuple[str, bool]] = []
    stop = holder.subscribe(lambda snapshot: heard.append(("a", holder.current is snapshot)))
    holder.subscribe(lambda snapshot: heard.append(("b", holder.current is snapshot)))
    holder.replace(SECOND)
    stop()
    stop()
    holder.replace(FIRST)
    assert heard == [("a", True), ("b", True), ("b", True)]
    assert holder.version == 3


def test_one_failing_subscriber_does_not_silence_the_next():
    """All are called, and what one raised is raised in the end."""
    holder = SnapshotHolder(FIRST)
    heard: list[Snapshot] = []

    def fail(snapshot: Snapshot) -> None:
        raise ValueError(snapshot.local.service)

    holder.subscribe(fail)
    holder.subscribe(heard.append)
    with pytest.raises(ExceptionGroup):
        holder.replace(SECOND)
    assert heard == [SECOND]
    assert holder.current is SECOND


async def test_waiters_get_the_newest(autojump_clock: trio.testing.MockClock):
    """`wait_newer` returns at once when behind, else at the next replacement."""
    holder = SnapshotHolder(FIRST)
    assert await holder.wait_newer(0) is FIRST

    async def replace() -> None:
        await trio.sleep(3)
        holder.replace(SECOND)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(replace)
        assert await holder.wait_newer(1) is SECOND
    assert autojump_clock.current_time() >= 3
