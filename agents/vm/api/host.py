"""What the API's handlers work on: the local state, the way to the catalog, and the host's own verbs."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any, Protocol

import msgspec
import trio

from agents.vm.api.call import CallError
from agents.vm.api.forward import TOKEN_HEADER, CatalogAwayError, Passed, Upstream
from agents.vm.api.rights import REFUSING, TRUSTING, Rights
from agents.vm.local.entries import Change
from agents.vm.local.forms import NodeFacts
from agents.vm.local.registrar import CatalogCall, RegistrarError
from agents.vm.local.state import LocalState

CONSUL_API = "1.21.4"
"""The Consul whose API this agent speaks: clients gate features on the number they find in `agent/self`."""
TOLD_WITHIN_S = 0.25

Filter = Callable[[str, str, dict[str, Any]], dict[str, Any]]
"""The expression, the listing it is over (`services` or `checks`), and the listing: what it keeps."""


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
    """One agent as its API sees it. `filter_items` evaluates `?filter=`; without one, filters are refused.

    `upstream` is the way to the catalog for callers' questions, `own_call` the agent's own, with the node's rights: nothing
    of a caller's may go that way unjudged. `rights` are for all verbs; `key_rights` say who may
    have a service's private key, which is more than the right to register it. `tokens` are the agent's own, by kind.
    """

    state: LocalState
    node: NodeFacts
    teller: Teller
    news: News
    reload: Callable[[], Awaitable[None]]
    leave: Callable[[], Awaitable[None]]
    is_server: bool = False
    api_scripts: bool = False
    filter_items: Filter | None = None
    upstream: Upstream | None = None
    own_call: CatalogCall | None = None
    rights: Rights = TRUSTING
    key_rights: Rights = REFUSING
    tokens: dict[str, str] = msgspec.field(default_factory=dict)

    async def catalog(self, method: str, target: str, *, token: str = "", body: bytes = b"") -> Passed:
        """The catalog's answer to a call with the caller's token, whatever its status.

        Raises:
            CallError: the catalog cannot be reached (503).
        """
        if self.upstream is None:
            raise CallError(503, "the catalog cannot be reached from this agent")
        try:
            return await self.upstream(method, target, ((TOKEN_HEADER, token),) if token else (), body)
        except CatalogAwayError as error:
            raise CallError(503, f"the catalog cannot be reached: {error}") from error

    async def as_node(self, method: str, target: str, body: bytes = b"") -> Passed:
        """The catalog's answer to a call with the node's own rights: judge before who wants it.

        Raises:
            CallError: the catalog cannot be reached (503).
        """
        if self.own_call is None:
            raise CallError(503, "the catalog cannot be reached from this agent")
        try:
            status, answer = await self.own_call(method, target, body)
        except RegistrarError as error:
            raise CallError(503, f"the catalog cannot be reached: {error}") from error
        return Passed(status, (), answer)

    async def told(self) -> None:
        """Give the catalog a moment to learn of a change, so that callers read their own writes."""
        await self.teller.wait_told(TOLD_WITHIN_S)


def linkspan_version() -> str:
    """The version of this installation."""
    return version("linkspan")
