"""Resources as callers get them: a version, a body encoded once, and the long poll that wakes on a true change.

A version is a digest of the body without its index: it is the same on every replica and after every restart, and a
registration that changes nothing of a resource wakes nobody. The work is done once for each index of the state, however many
callers wait.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

import msgspec
import trio

from catalog.compile.entry_view import StoredEntries, Topic
from catalog.sync.compiled import Facts, ReadState, UnknownResourceError, check_resource_name, compile_resource
from mesh.wire.sync import MAX_WAIT_S, MAX_WANTS, Resource, SyncRequest, SyncResponse

CACHE_LIMIT = 20_000


class SyncRefusedError(Exception):
    """The caller's request names what cannot be, or too much; the text says which."""


class Engine(Protocol):
    """The catalog's engine as sync needs it (`catalog.engine.Catalog` is one)."""

    @property
    def state(self) -> ReadState:
        """What was applied so far."""
        ...

    async def wait(self, topics: Iterable[Topic], min_index: int, timeout_s: float) -> None:
        """Return when one of the topics moves above `min_index`, or after `timeout_s`."""
        ...


class _Held:
    """One encoded resource, what it depends on, and the state's index at which it was last seen to be right."""

    __slots__ = ("checked_at", "resource", "topics")

    def __init__(self, resource: Resource, topics: frozenset[Topic], checked_at: int) -> None:
        self.resource = resource
        self.topics = topics
        self.checked_at = checked_at


class Resources:
    """Every resource of the catalog, by name."""

    def __init__(self, engine: Engine, facts: Facts, *, cache_limit: int = CACHE_LIMIT) -> None:
        self._engine = engine
        self._facts = facts
        self._entries = StoredEntries(engine.state)
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._cache_limit = cache_limit
        self.encoded = 0

    def get(self, name: str) -> Resource:
        """The resource as it is now.

        Raises:
            UnknownResourceError: there cannot be one of that name.
        """
        return self._fresh(name).resource

    def topics(self, name: str) -> frozenset[Topic]:
        """The topics of the state that the resource depends on now.

        Raises:
            UnknownResourceError: as `get`.
        """
        return self._fresh(name).topics

    async def answer(self, request: SyncRequest) -> SyncResponse:
        """Answer a sync request: what changed against the versions it names, waiting up to its `wait_s` for something.

        Rights are judged before (`catalog.access.may` with the verb `SYNC`), and the lease is renewed by the caller.

        Raises:
            SyncRefusedError: too many wants, one twice, or one that cannot be.
        """
        check_sync_request(request)
        deadline_s = trio.current_time() + min(max(request.wait_s, 0.0), MAX_WAIT_S)
        while True:
            index = self._engine.state.index
            changed = self._changed(request)
            left_s = deadline_s - trio.current_time()
            if changed or left_s <= 0:
                await trio.lowlevel.checkpoint()
                return SyncResponse(index, changed)
            topics = frozenset().union(*(self._fresh(want.name).topics for want in request.wants))
            await self._engine.wait(topics, index, left_s)
            if self._engine.state.index == index:  # time is up, or the engine stops and lets everybody go
                return SyncResponse(index)

    def _changed(self, request: SyncRequest) -> tuple[Resource, ...]:
        found = ((want, self._fresh(want.name).resource) for want in request.wants)
        return tuple(resource for want, resource in found if resource.version != want.version)

    def _fresh(self, name: str) -> _Held:
        """The held resource, compiled anew only if one of its topics moved since it was last right."""
        state = self._engine.state
        held = self._held.get(name)
        if held is None:
            held = self._make(name, None)
            self._held[name] = held
            if len(self._held) > self._cache_limit:
                self._held.popitem(last=False)
        elif held.checked_at != state.index:
            if state.index_of(*held.topics) > held.checked_at:
                held = self._held[name] = self._make(name, held)
            else:
                held.checked_at = state.index
        return held

    def _make(self, name: str, before: _Held | None) -> _Held:
        state = self._engine.state
        compiled = compile_resource(name, state, self._entries, self._facts)
        version = hashlib.blake2b(msgspec.json.encode(compiled.value), digest_size=12).hexdigest()
        if before is not None and before.resource.version == version:
            return _Held(before.resource, compiled.topics, state.index)
        made_at = state.index_of(*compiled.topics)
        body = msgspec.json.encode(msgspec.structs.replace(compiled.value, index=made_at))
        self.encoded += 1
        return _Held(Resource(name, version, msgspec.Raw(body)), compiled.topics, state.index)


def check_sync_request(request: SyncRequest) -> None:
    """Judge the shape of a request.

    Raises:
        SyncRefusedError: too many wants, one twice, or one that cannot be.
    """
    if len(request.wants) > MAX_WANTS:
        raise SyncRefusedError(f"a request can follow at most {MAX_WANTS} resources, not {len(request.wants)}")
    seen: set[str] = set()
    for want in request.wants:
        try:
            check_resource_name(want.name)
        except UnknownResourceError as error:
            raise SyncRefusedError(str(error)) from error
        if want.name in seen:
            raise SyncRefusedError(f"resource {want.name!r} is wanted twice")
        seen.add(want.name)
