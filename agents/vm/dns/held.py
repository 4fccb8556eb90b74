"""What the agent last knew of the catalog's lists, by path: asked anew when it is old, kept when the catalog is away.

They are read with a token, the anonymous one unless another was set: the node's own rights are not for whoever asks for a
name. What was refused or is gone is forgotten; only silence and faults of the catalog keep the last known good. Bounded:
lists of something and empty lists each have their own bound, so that asking for thousands of names that do not exist pushes
nothing out.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import trio

from agents.vm.api.forward import TOKEN_HEADER, CatalogAwayError, Upstream
from catalog.dns.answer.directory import NotHeldError

log = logging.getLogger("linkspan.agent.dns")

FRESH_S = 1.0
ASK_S = 2.0
AWAY_S = 2.0
FULL_LIMIT = 8192
EMPTY_LIMIT = 1024
ANONYMOUS = "anonymous"
"""The secret of those who have none, as Consul names it."""
_BUSY = 429


class _Held(msgspec.Struct, frozen=True):
    rows: Any
    at_s: float
    fresh_until_s: float


class HeldLists:
    """The lists. `read` is for the answering code, `fill` for whoever must wait on its behalf.

    `tokens` are the agent's own by kind, as they are at the moment: `dns` counts, else `default`.
    """

    def __init__(
        self,
        upstream: Upstream,
        tokens: Mapping[str, str],
        max_stale_s: float,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._upstream = upstream
        self._tokens = tokens
        self._max_stale_s = max_stale_s
        self._clock = clock
        self._full: OrderedDict[str, _Held] = OrderedDict()
        self._empty: OrderedDict[str, _Held] = OrderedDict()
        self._asking: dict[str, trio.Event] = {}
        self._away_until_s = float("-inf")
        self.problem = ""

    def read(self, path: str) -> Any:
        """The JSON last answered for a path: fresh, or any if the catalog is away.

        Raises:
            NotHeldError: it must be asked for first.
        """
        held = self._full.get(path) or self._empty.get(path)
        now_s = self._clock()
        if held is None or not (now_s < held.fresh_until_s or (self._is_away(now_s) and self._is_usable(held, now_s))):
            raise NotHeldError(path)
        if held.rows:
            self._full.move_to_end(path)
        return held.rows

    async def fill(self, path: str) -> bool:
        """Ask for a path; True if `read` has something for it now. Whoever else asks for it waits along."""
        asking = self._asking.get(path)
        if asking is not None:
            await asking.wait()
        elif not self._is_away(self._clock()):
            self._asking[path] = asking = trio.Event()
            try:
                await self._ask(path)
            finally:
                del self._asking[path]
                asking.set()
        try:
            self.read(path)
        except NotHeldError:
            return False
        return True

    @property
    def _token(self) -> str:
        return self._tokens.get("dns") or self._tokens.get("default") or ANONYMOUS

    def _is_away(self, now_s: float) -> bool:
        return now_s < self._away_until_s

    def _is_usable(self, held: _Held, now_s: float) -> bool:
        return now_s - held.at_s <= self._max_stale_s

    async def _ask(self, path: str) -> None:
        if self.problem:  # it was away: one asks, the others go on with what is held
            self._away_until_s = self._clock() + ASK_S
        start_s = self._clock()
        problem = f"no answer within {ASK_S:g} s"
        with trio.move_on_after(ASK_S):
            problem = await self._exchange(path)
        now_s = self._clock()
        if problem:
            if not self.problem:
                log.warning("names are answered from what was last known: %s", problem)
            self._away_until_s = now_s + AWAY_S
        else:
            if self.problem:
                log.info("names are answered from the catalog again")
            self._away_until_s = float("-inf")
            self._freshen(path, start_s, now_s)
        self.problem = problem

    async def _exchange(self, path: str) -> str:
        """Ask and hold; why it failed, empty if it did not."""
        try:
            passed = await self._upstream("GET", path, ((TOKEN_HEADER, self._token),), b"")
        except CatalogAwayError as error:
            return str(error)
        if passed.status not in {200, _BUSY} and passed.status < 500:
            self._hold(path, None)
            return ""
        try:
            if passed.status == 200:
                self._hold(path, msgspec.json.decode(passed.body))
                return ""
        except (msgspec.DecodeError, RecursionError):
            log.debug("%s: the catalog's answer could not be read", path)
        self._keep(path)
        return ""

    def _keep(self, path: str) -> None:
        """Go on with what is held for this path alone: a question that the catalog stumbles over says nothing of others."""
        now_s = self._clock()
        for lists in (self._full, self._empty):
            held = lists.get(path)
            if held is not None and self._is_usable(held, now_s):
                lists[path] = _Held(held.rows, held.at_s, now_s + AWAY_S)

    def _hold(self, path: str, rows: Any) -> None:
        now_s = self._clock()
        self._full.pop(path, None)
        self._empty.pop(path, None)
        lists, limit = (self._full, FULL_LIMIT) if rows else (self._empty, EMPTY_LIMIT)
        lists[path] = _Held(rows, now_s, now_s + FRESH_S)
        if len(lists) > limit:
            lists.popitem(last=False)

    def _freshen(self, path: str, start_s: float, now_s: float) -> None:
        """A slow catalog's answers stay fresh for longer: a question that needs several must come to its end."""
        for lists in (self._full, self._empty):
            held = lists.get(path)
            if held is not None and held.at_s >= start_s:  # of this call, not kept from before
                lists[path] = _Held(held.rows, now_s, now_s + FRESH_S + 3 * (now_s - start_s))
