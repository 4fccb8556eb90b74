"""What the API's handlers work on: the local state, the way to the catalog, and the host's own verbs."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Protocol

import msgspec
import trio

from agents.vm.local.entries import Change
from agents.vm.local.forms import NodeFacts
from agents.vm.local.state import LocalState

CONSUL_API = "1.21.4"
"""The Consul whose API this agent speaks: clients gate features on the number they find in `agent/self`."""
TOLD_WITHIN_S = 0.25

Filter = Callable[[str, dict[str, Any]], dict[str, Any]]


class Teller(Protocol):
    """The side of anti-entropy that the API needs."""

    async def wait_told(self, timeout_s: float) -> bool:
        """Wait until the catalog knows what happened so far."""
        ...


class News:
    """Wakes whoever waits for a change of the local state."""

    def __init__(self, state: LocalState) -> None:
        self._event = trio.Event()
        state.subscribe(self._on_change)

    def _on_change(self, _: Change) -> None:
        self._event.set()
        self._event = trio.Event()

    async def wait(self) -> None:
        """Return at the next change."""
        await self._event.wait()


class Host(msgspec.Struct, frozen=True):
    """One agent as its API sees it. `filter_items` evaluates `?filter=`; without one, filters are refused."""

    state: LocalState
    node: NodeFacts
    teller: Teller
    news: News
    reload: Callable[[], Awaitable[None]]
    leave: Callable[[], Awaitable[None]]
    is_server: bool = False
    api_scripts: bool = False
    filter_items: Filter | None = None

    async def told(self) -> None:
        """Give the catalog a moment to learn of a change, so that callers read their own writes."""
        await self.teller.wait_told(TOLD_WITHIN_S)


def linkspan_version() -> str:
    """The version of this installation."""
    return version("linkspan")
