"""A whole bridge on real sockets: failures come out one by one, not as groups."""

import pytest
import trio

from agents.bridge.assembly import run_bridge
from agents.bridge.mirror import SameCatalogError
from agents.bridge.settings import Place, Settings
from agents.bridge.side import SideError
from agents.bridge.source import Wanted
from mesh.sync.link.address import HostPort
from tests.fakes.catalog_site import open_site


async def test_one_catalog_twice_is_refused() -> None:
    """Once or for good."""
    async with open_site(everyone_operates=True, with_own=True) as site:
        place = Place(f"http://{site.address}", "")
        for once in (True, False):
            with pytest.raises(SameCatalogError), trio.fail_after(10):
                await run_bridge(Settings("b", place, place, Wanted(), once=once), print)


async def test_a_side_that_is_away() -> None:
    """Ends a single pass; a running bridge waits for it, and says so on its pages."""
    nowhere = Place("http://127.0.0.1:1", "")
    with pytest.raises(SideError):
        await run_bridge(Settings("b", nowhere, nowhere, Wanted(), once=True), print)
    said: list[str] = []
    with trio.move_on_after(0.2) as scope:
        await run_bridge(Settings("b", nowhere, nowhere, Wanted(), admin=HostPort("127.0.0.1", 0)), said.append)
    assert scope.cancelled_caught
    assert said[0].startswith("linkspan bridge: pages on http://127.0.0.1:")
