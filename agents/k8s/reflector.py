"""A reflector: an exact copy of one kind of Kubernetes object, kept by list and watch.

What the API server promises (Kubernetes API concepts, "Efficient detection of changes") and what follows from it:

- lists come in pages; a page token may expire (410) and then the list starts again;
- a watch resumes after the last `resourceVersion` seen, bookmarks included;
- 410 on a watch, as a status or as an ERROR event, means events were lost: list again and *diff*, so that an object deleted meanwhile is reported deleted;
- everything else is tried again with back-off: a server that is away is never asked in a loop.

It must never drop a delete and never report an object twice in one state. No Kubernetes client here: a `Source` brings JSON.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec
import trio

PAGE = 500
FIRST_BACKOFF_S = 0.2
MOST_BACKOFF_S = 30.0
LONG_WATCH_S = 5.0

Json = dict[str, Any]
Key = tuple[str, str]


class GoneError(Exception):
    """The server no longer has the history that was asked for (410): list again."""


class UnavailableError(Exception):
    """The server did not answer as asked: its fault or the network's; try again later."""


class Source(Protocol):
    """Where JSON objects come from. Both raise GoneError and UnavailableError and nothing else."""

    async def list_page(self, continue_token: str) -> Json:
        """One page of the list: `{"metadata": {"resourceVersion", "continue"?}, "items": [...]}`."""
        ...

    def watch(self, resource_version: str) -> AbstractAsyncContextManager[AsyncIterator[Json]]:
        """Watch events after a version, until the server ends the watch; bookmarks are asked for."""
        ...


class Change(msgspec.Struct, frozen=True):
    """One object that appeared, changed (`deleted` false) or went (`deleted` true; `object` is its last known form)."""

    key: Key
    object: Json
    deleted: bool


def key_of(item: Json) -> Key:
    """Namespace and name."""
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def version_of(item: Json) -> str:
    """The object's resourceVersion, an opaque text."""
    return str(item["metadata"]["resourceVersion"])


def diff(held: Mapping[Key, Json], listed: Mapping[Key, Json]) -> list[Change]:
    """What turns the copy held into the list: deletes first, so that a name may be taken over."""
    gone = [Change(key, item, deleted=True) for key, item in held.items() if key not in listed]
    # A new uid under the old name is another object: the old one went.
    replaced = [
        Change(key, held[key], deleted=True)
        for key, item in listed.items()
        if key in held and held[key]["metadata"].get("uid") != item["metadata"].get("uid")
    ]
    fresh = [
        Change(key, item, deleted=False)
        for key, item in listed.items()
        if key not in held or version_of(held[key]) != version_of(item)
    ]
    return gone + replaced + fresh


class Reflector:
    """Keeps `objects` equal to the server's and calls `on_change` for each difference, then `on_synced` after every full list."""

    def __init__(
        self,
        source: Source,
        on_change: Callable[[Change], None],
        on_synced: Callable[[], None],
        draw: Callable[[], float],
        on_trouble: Callable[[str], None],
    ) -> None:
        self.objects: dict[Key, Json] = {}
        self._source = source
        self._on_change = on_change
        self._on_synced = on_synced
        self._draw = draw
        self._on_trouble = on_trouble
        self._version = ""

    async def run(self) -> None:
        """Reflect until cancelled."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            try:
                if not self._version:
                    await self._list()
                moved = await self._watch()
            except GoneError as error:
                self._version = ""
                self._on_trouble(f"history gone, listing again: {error}")
                moved = False
            except UnavailableError as error:
                self._on_trouble(f"trying again in at most {backoff_s:.1f} s: {error}")
                moved = False
            # A watch that ended after bringing something is routine; anything else waits, longer each time.
            backoff_s = FIRST_BACKOFF_S if moved else min(backoff_s * 2, MOST_BACKOFF_S)
            await trio.sleep(backoff_s * (0.5 + self._draw() / 2))

    async def _list(self) -> None:
        listed: dict[Key, Json] = {}
        token = ""
        while True:
            page = await self._source.list_page(token)
            for item in page.get("items") or ():
                listed[key_of(item)] = item
            token = page["metadata"].get("continue") or ""
            if not token:
                break
        for change in diff(self.objects, listed):
            self._apply(change)
        self._version = version_of(page)
        self._on_synced()

    async def _watch(self) -> bool:
        """Follow one watch to its end; whether it was worth its connection (brought something, or lasted)."""
        started = trio.current_time()
        moved = False
        async with self._source.watch(self._version) as events:
            async for event in events:
                self._take(event)
                moved = True
        return moved or trio.current_time() - started > LONG_WATCH_S

    def _take(self, event: Json) -> None:
        kind, item = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            text = f"{item.get('code')} {item.get('message')}"
            if item.get("code") == 410:
                raise GoneError(text)
            raise UnavailableError(text)
        self._version = version_of(item)
        if kind == "BOOKMARK":
            return
        key = key_of(item)
        held = self.objects.get(key)
        if kind == "DELETED":
            if held is not None:
                self._apply(Change(key, item, deleted=True))
        elif held is None or version_of(held) != version_of(item):
            self._apply(Change(key, item, deleted=False))

    def _apply(self, change: Change) -> None:
        if change.deleted:
            self.objects.pop(change.key, None)
        else:
            self.objects[change.key] = change.object
        self._on_change(change)
