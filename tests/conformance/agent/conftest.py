"""What the agent's tables run against: a whole `linkspan dev`, and a client of its API."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.fakes.agent.dev import Dev, open_dev


@pytest.fixture
async def dev() -> AsyncIterator[Dev]:
    """A running dev process's insides, on free ports."""
    async with open_dev() as running:
        yield running


@pytest.fixture
async def api(dev: Dev) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of its API."""
    async with httpx2.AsyncClient(base_url=f"http://{dev.address}", timeout=10, trust_env=False) as client:
        yield client
