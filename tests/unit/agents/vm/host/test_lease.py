"""The lease under virtual time: renewed in time, patient in an outage, and followed by a full registration."""

import trio
import trio.testing

from agents.vm.host.lease import LEASE_TTL_S, Lease
from mesh.sync.link.errors import UnreachableError
from mesh.sync.link.http import HttpAnswer


class FakeCatalog:
    """Counts renewals; can be away, forgetful or silent."""

    def __init__(self) -> None:
        self.renewals: list[float] = []
        self.status = 200
        self.away = False
        self.silent = False

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: object = (), *, timeout_s: float = 15.0
    ) -> HttpAnswer:
        assert (method, path, body, headers, timeout_s > 0) == ("PUT", "/v1/linkspan/lease/vm%201", b"", (), True)
        await trio.lowlevel.checkpoint()
        if self.silent:
            await trio.sleep_forever()
        if self.away:
            raise UnreachableError("away")
        self.renewals.append(trio.current_time())
        return HttpAnswer(self.status, (), b"true")


async def test_it_is_renewed_well_within_its_life(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """Three times and more before it would lapse; nothing has to be registered again."""
    del autojump_clock
    catalog, lapses = FakeCatalog(), []
    lease = Lease(catalog, "vm 1", lambda: lapses.append(1))
    nursery.start_soon(lease.run)
    await trio.sleep(61)
    gaps = [b - a for a, b in zip(catalog.renewals, catalog.renewals[1:], strict=False)]
    assert max(gaps) <= LEASE_TTL_S / 3
    assert not lapses


async def test_after_an_outage_everything_is_registered_again(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """Tried every second while away; a call that never ends counts as away."""
    del autojump_clock
    catalog, lapses = FakeCatalog(), []
    lease = Lease(catalog, "vm 1", lambda: lapses.append(trio.current_time()))
    nursery.start_soon(lease.run)
    await trio.sleep(1)
    catalog.away = True
    await trio.sleep(20)
    assert lease.problem == "away"
    catalog.away = False
    await trio.sleep(1.1)
    assert not lease.problem
    assert len(lapses) == 1
    catalog.silent = True
    await trio.sleep(12)
    assert "no answer" in lease.problem


async def test_a_forgotten_node_is_registered_again(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """404 means that there is nothing to hold."""
    del autojump_clock
    catalog, lapses = FakeCatalog(), []
    catalog.status = 404
    lease = Lease(catalog, "vm 1", lambda: lapses.append(1))
    nursery.start_soon(lease.run)
    await trio.sleep(0.5)
    assert lapses
    assert "404" in lease.problem
