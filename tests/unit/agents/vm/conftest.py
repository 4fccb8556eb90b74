"""The parts every test of the host agent's API needs: a host without a catalog, and a client without sockets."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from agents.vm.api.host import Host, News
from agents.vm.local.forms import NodeFacts
from agents.vm.local.state import LocalState


class NoTeller:
    """A catalog that knows everything at once."""

    async def wait_told(self, timeout_s: float) -> bool:
        return timeout_s > 0


def build_host(**changes: Any) -> Host:
    state = LocalState()
    host = {
        "state": state,
        "node": NodeFacts("vm1", "10.0.0.1", meta={"linkspan-network": "vm-paris"}),
        "teller": NoTeller(),
        "news": News(state),
        "reload": _nothing,
        "leave": _nothing,
    }
    return Host(**(host | changes))


async def _nothing() -> None:
    """A verb that does nothing."""


@pytest.fixture
def make_host() -> Callable[..., Host]:
    """Builds a host; keyword arguments replace its parts."""
    return build_host


@pytest.fixture
def client_of() -> Callable[[Any], httpx2.AsyncClient]:
    """Builds a client of an ASGI app."""
    return lambda app: httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://agent")
