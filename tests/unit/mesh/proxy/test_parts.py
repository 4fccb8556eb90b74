"""Errands: the ring knows of every coroutine that sets a connection up, for exactly as long as it runs."""

import trio
from trio.testing import wait_all_tasks_blocked

from tests.fakes.mesh_world import open_parts


async def test_an_errand_counts_until_it_ends_also_when_it_is_cancelled() -> None:
    """While one runs the ring does not linger; none is counted for ever."""
    async with open_parts("web") as parts:
        gate, scope = trio.Event(), trio.CancelScope()

        async def wait(gate: trio.Event) -> None:
            await gate.wait()

        async def cancelled() -> None:
            with scope:
                await trio.sleep_forever()

        async def errand() -> None:
            await cancelled()

        parts.start(wait, gate)
        parts.start(errand)
        assert parts.ring.errands == 2
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        assert parts.ring.errands == 1
        gate.set()
        await wait_all_tasks_blocked()
        assert parts.ring.errands == 0
