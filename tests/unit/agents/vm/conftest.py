"""The parts every test of the host agent's API needs: a host without a catalog, and a client without sockets."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from agents.vm.api.host import Host
from tests.fakes.agent.host import build_host


@pytest.fixture
def make_host() -> Callable[..., Host]:
    """Builds a host; keyword arguments replace its parts."""
    return build_host


@pytest.fixture
def client_of() -> Callable[[Any], httpx2.AsyncClient]:
    """Builds a client of an ASGI app."""
    return lambda app: httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://agent")
