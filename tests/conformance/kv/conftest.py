"""A catalog in dev mode with its own node, as clients of `kv`, `session` and `txn` find it."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.catalog_site import Site, open_site


@pytest.fixture
async def own() -> AsyncIterator[Site]:
    """An open catalog on whose node sessions are made by default."""
    async with open_site(everyone_operates=True, with_own=True) as running:
        yield running
