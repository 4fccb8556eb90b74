"""The app in a thread of its own with a clock that stands still, for tests that must not be async themselves.

It must never be imported by anything but tests.
"""

import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio
from trio.testing import MockClock

from catalog.store import Store
from tests.fakes.app.in_process import AppAnswer, CatalogApp, open_app

T = TypeVar("T")


class Portal:
    """Requests from a plain thread; `restart` closes the store and opens what it left."""

    def __init__(self, open_store: Callable[[], Awaitable[Store]]) -> None:
        self._open_store = open_store
        self._clock = MockClock()
        self._token: trio.lowlevel.TrioToken | None = None
        self._app: CatalogApp | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="catalog", daemon=True)
        self._thread.start()
        self._ready.wait(10)
        self._call(self._start)

    @property
    def app(self) -> CatalogApp:
        """The app of now."""
        assert self._app is not None
        return self._app

    def request(self, method: str, target: str, body: Any = b"") -> AppAnswer:
        """One request."""
        return self._call(self.app.request, method, target, body)

    def advance(self, seconds: float, gone: list[str]) -> None:
        """Let time pass, and return when these sessions are gone, which the engine does by itself."""
        self._call(self._advance, seconds, gone)

    def restart(self) -> None:
        """Stop the catalog and start it anew from its store."""
        self._call(self._stop)
        self._call(self._start)

    def close(self) -> None:
        """End the thread."""
        self._call(self._stop)
        self._call(self._end)
        self._thread.join(10)

    def _run(self) -> None:
        trio.run(self._main, clock=self._clock)

    async def _main(self) -> None:
        self._over, self._token = trio.Event(), trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._ready.set()
            await self._over.wait()

    def _call(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        return trio.from_thread.run(work, *args, trio_token=self._token)

    async def _start(self) -> None:
        self._stopping, self._stopped = trio.Event(), trio.Event()
        self._app = await self._nursery.start(self._serve)

    async def _serve(self, task_status: trio.TaskStatus[CatalogApp]) -> None:
        store = await self._open_store()
        async with open_app(store) as app:
            task_status.started(app)
            await self._stopping.wait()
        await store.close()
        self._stopped.set()

    async def _stop(self) -> None:
        self._stopping.set()
        await self._stopped.wait()

    async def _end(self) -> None:
        await trio.lowlevel.checkpoint()
        self._over.set()

    async def _advance(self, seconds: float, gone: list[str]) -> None:
        await trio.testing.wait_all_tasks_blocked()
        self._clock.jump(seconds)
        for _ in range(100_000):
            if not any(self.app.engine.state.session(session) for session in gone):
                break
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
