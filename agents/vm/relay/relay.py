"""The relay's tasks: one sync call to the catalog for all proxies of the host, their parked calls, the cache on disk.

It survives every `SyncError`: proxies are answered from the book however long the catalog is away.
"""

import logging
from collections.abc import Callable
from typing import Protocol

import trio

from agents.vm.relay.book import Book
from mesh.sync.cache import CacheRefusedError, ResourceCache
from mesh.sync.link.backoff import Backoff
from mesh.sync.link.errors import SyncError
from mesh.wire.sync import MAX_WAIT_S, Resource, SyncRequest, SyncResponse

log = logging.getLogger("linkspan.agent.relay")

WAIT_S = 50.0
GATHER_S = 0.02
"""New wants are gathered this long before the parked call to the catalog is replaced."""
UNKNOWN_WAIT_S = 5.0
"""How long a proxy waits for the first word on a name before it is answered with what there is."""
SAVE_PAUSE_S = 1.0
RETRY_LAST_S = 5.0
MAX_PARKED = 1024


class BusyError(Exception):
    """More proxies are parked than one agent takes."""


class SyncCaller(Protocol):
    """The way to the catalog."""

    async def call(self, request: SyncRequest) -> SyncResponse:
        """One sync call; raises SyncError."""
        ...


class Relay:
    """Follows the catalog for the proxies of this host. `on_news` is called with the names that changed."""

    def __init__(
        self,
        caller: SyncCaller,
        cache: ResourceCache,
        draw: Callable[[], float],
        on_news: Callable[[set[str]], None] = lambda _: None,
    ) -> None:
        self._caller = caller
        self._cache = cache
        self._backoff = Backoff(draw, last_s=RETRY_LAST_S)
        self._on_news = on_news
        self._book = Book()
        self._news = trio.Event()
        self._wants_grew = trio.Event()
        self._unsaved = trio.Event()
        self._parked = 0
        self.problem = ""
        self.last_answer_s: float | None = None

    async def restore(self) -> None:
        """Begin with what is on disk; a file that cannot be used is said and ignored."""
        try:
            self._book.restore(await trio.to_thread.run_sync(self._cache.load), trio.current_time())
        except CacheRefusedError as error:
            log.warning("the last-known-good is ignored: %s", error)

    def held(self, name: str) -> Resource | None:
        """One resource, if it is held."""
        return self._book.held(name)

    async def answer(self, request: SyncRequest) -> SyncResponse:
        """Answer a proxy: at once if there is something to say, else when there is or when its wait is over.

        Raises:
            BusyError: too many are waiting.
            TooManyWantsError: the host's proxies follow too much.
        """
        now_s = trio.current_time()
        if self._parked >= MAX_PARKED:
            raise BusyError(f"more than {MAX_PARKED} calls are waiting")
        if self._book.want(request, now_s):
            self._wants_grew.set()
        wait_s = max(0.0, min(request.wait_s, MAX_WAIT_S))
        self._parked += 1
        try:
            with trio.move_on_after(max(wait_s, UNKNOWN_WAIT_S if not self.problem else 0.0)):
                while True:
                    response = self._book.answer(request)
                    if response is not None:
                        return response
                    if not wait_s and (self.problem or self._is_known(request)):
                        break
                    await self._news.wait()
        finally:
            self._parked -= 1
            self._book.want(request, trio.current_time())
        last = self._book.answer(request, partial=True)
        assert last is not None
        return last

    def _is_known(self, request: SyncRequest) -> bool:
        return all(self._book.is_known(want.name) for want in request.wants)

    async def run(self) -> None:
        """Follow the catalog and keep the cache until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._save_for_ever)
            while True:
                try:
                    await self._step()
                except SyncError as error:
                    if not self.problem:
                        log.warning("the catalog does not answer, proxies go on with what is held: %s", error)
                    self.problem = str(error)
                    self._wake_proxies()
                    await trio.sleep(self._backoff.next_s())

    async def _step(self) -> None:
        """One call; given up and made anew when a proxy wants something that it does not name."""
        self._wants_grew = trio.Event()
        self._book.forget(trio.current_time())
        request = self._book.request(WAIT_S)
        response: SyncResponse | None = None
        failure: SyncError | None = None
        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_wants_grow, nursery.cancel_scope)
            try:
                response = await self._caller.call(request)
            except SyncError as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if response is None:
            return
        if self.problem:
            log.info("the catalog answers again")
        self.problem = ""
        self.last_answer_s = trio.current_time()
        self._backoff.reset()
        news = self._book.take(request, response)
        if news:
            self._wake_proxies()
            self._unsaved.set()
            self._on_news(news)
        elif request.wait_s and self.last_answer_s - began_s < GATHER_S:
            await trio.sleep(0.1)  # never let the other side make this a loop without a pause

    async def _cancel_when_wants_grow(self, scope: trio.CancelScope) -> None:
        await self._wants_grew.wait()
        await trio.sleep(GATHER_S)
        scope.cancel()

    def _wake_proxies(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def _save_for_ever(self) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved = trio.Event()
            try:
                await trio.to_thread.run_sync(self._cache.save, self._book.resources())
            except CacheRefusedError as error:
                log.warning("the last-known-good is not kept: %s", error)
            await trio.sleep(SAVE_PAUSE_S)
