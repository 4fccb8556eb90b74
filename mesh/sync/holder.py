"""The snapshot in use: one immutable value, replaced whole.

Subscribers are called at once, in the call that replaces, so that a revocation bites before the next byte is moved.
"""

from collections.abc import Callable

import trio

from mesh.model.snapshot import Snapshot


class SnapshotHolder:
    """Holds the current snapshot. `version` grows at each replacement."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.current = snapshot
        self.version = 1
        self._subscribers: list[Callable[[Snapshot], None]] = []
        self._changed = trio.Event()

    def replace(self, snapshot: Snapshot) -> None:
        """Use `snapshot` from now on, call every subscriber with it in order of subscription, and wake those who wait.

        What a subscriber raises passes through to the caller, after all others were called.
        """
        self.current = snapshot
        self.version += 1
        changed, self._changed = self._changed, trio.Event()
        changed.set()
        errors: list[Exception] = []
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(snapshot)
            except Exception as error:  # noqa: BLE001 - one room's fault must not keep a revocation from the next; raised below
                errors.append(error)
        if errors:
            raise ExceptionGroup("subscribers failed on a new snapshot", errors)

    def subscribe(self, callback: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Call `callback` with every later snapshot, in the call that replaces; returns what ends that."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    async def wait_newer(self, version: int) -> Snapshot:
        """Wait until `self.version` is greater than `version`; return the snapshot then in use."""
        while self.version <= version:
            await self._changed.wait()
        return self.current
