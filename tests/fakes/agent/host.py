"""A host agent as its API sees it, without a catalog. It must never be imported by anything but tests."""

from typing import Any

import trio

from agents.vm.api.host import Host, News
from agents.vm.local.forms import NodeFacts
from agents.vm.local.state import LocalState


class NoTeller:
    """A catalog that knows everything at once."""

    async def wait_told(self, timeout_s: float) -> bool:
        await trio.lowlevel.checkpoint()
        return timeout_s > 0


def build_host(**changes: Any) -> Host:
    """A host; keyword arguments replace its parts."""
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
