"""What the conformance tables run against: a catalog in dev mode (`site`), and one with access rules (`guarded`)."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.catalog_site import Site, open_site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """An open catalog with nothing in it, as in `linkspan dev`."""
    async with open_site(everyone_operates=True) as running:
        yield running


@pytest.fixture
async def guarded() -> AsyncIterator[Site]:
    """A catalog with access rules, as `linkspan catalog` runs it."""
    async with open_site() as running:
        yield running
