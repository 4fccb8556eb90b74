"""Blocking queries, to the letter of Consul (reference: blocking-query semantics).

`index=0` or none answers at once; `index=N` answers when the result's index passes N, or when the wait is over. A wait
is stretched by a random 0 to a sixteenth, so that callers spread, except where Consul answers from a stream. A parked
query holds its task and nothing else; a stop of the catalog answers it with what it has.
"""

import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import msgspec
import trio

from catalog.access.callers import CallerKind
from catalog.api.http.answer import Answer, Meta, json_answer, read_headers
from catalog.api.http.call import Call
from catalog.api.http.errors import RefusedError
from catalog.api.shared import SharedAnswers, key_of
from catalog.api.views import Views
from catalog.compile.filter import Filter, FilterError, parse_filter
from catalog.compile.selectors import Field
from catalog.state.index import Topic
from catalog.state.state import State


class Waits(Protocol):
    """What the catalog's engine offers to readers."""

    @property
    def state(self) -> State:
        """What is true now."""

    def wait(self, topics: Iterable[Topic], min_index: int, timeout_s: float) -> Awaitable[None]:
        """Return when a topic's index is above `min_index`, or after `timeout_s`."""


class Found(msgspec.Struct, frozen=True):
    """What a read found and which topics it rests on. `missing` makes the answer a 404 with that text.

    `partial`: the caller might not see all that the topics are about, so that their index is not his to see
    (`catalog.api.views`); `hidden`: something was indeed left out. `index` is filled in by `settle`.
    """

    value: Any
    topics: tuple[Topic, ...]
    missing: str = ""
    partial: bool = False
    hidden: bool = False
    index: int = 0


Read = Callable[[State], Found]


class Parking:
    """Where blocking queries wait. `stop` sends them all home with what there is."""

    def __init__(self, engine: Waits) -> None:
        self._engine = engine
        self._parked: set[trio.CancelScope] = set()
        self.stopped = False
        self.views = Views()
        self.shared = SharedAnswers()

    def __len__(self) -> int:
        return len(self._parked)

    @property
    def state(self) -> State:
        """What is true now."""
        return self._engine.state

    async def wait(self, topics: Iterable[Topic], min_index: int, timeout_s: float) -> None:
        """Park until a topic passes `min_index`, the time is over, or the catalog stops."""
        if self.stopped:
            return
        with trio.CancelScope() as scope:
            self._parked.add(scope)
            try:
                await self._engine.wait(topics, min_index, timeout_s)
            finally:
                self._parked.discard(scope)

    def stop(self) -> None:
        """Answer everybody who is parked, and park nobody any more."""
        self.stopped = True
        for scope in tuple(self._parked):
            scope.cancel()


def jitter_s(wait_s: float) -> float:
    """What is added to a wait: a random 0 to a sixteenth of it."""
    return random.uniform(0, wait_s / 16)  # noqa: S311 - spreads callers; nobody gains by guessing it


async def settle(parking: Parking, call: Call, read: Read, *, streaming: bool = False, quiet: bool = False) -> Found:
    """Read, and if the caller blocks, read again until there is something to say.

    `quiet` reads sleep on through a change that leaves their result as it was (Consul: intention match, config entries),
    but for a restore, which answers everybody;
    `streaming` ones are not stretched by the jitter.
    """
    found = _look(parking, call, read)
    query = call.query
    if not query.index:
        return found
    deadline_s = trio.current_time() + query.wait_s + (0.0 if streaming else jitter_s(query.wait_s))
    seen, min_index = found, query.index
    while found.index <= min_index:
        # Who sees a part sleeps on through changes of the rest: it waits for any later one, not for those it missed.
        parked_at = parking.state.index_of(*found.topics) if found.partial else min_index
        await parking.wait(found.topics, parked_at, deadline_s - trio.current_time())
        found = _look(parking, call, read)
        if found.index <= min_index and parking.state.index_of(*found.topics) <= parked_at:
            break  # the wait is over, or the catalog stops
        same = (found.value, found.missing) == (seen.value, seen.missing)
        if quiet and same and parking.state.restored_at <= min_index:
            min_index = max(min_index, found.index)
    return found


def once_for_all(parking: Parking, call: Call, read: Read, subject: Topic) -> Read:
    """`read`, done once for all callers of the same rights who ask the same of `subject` while nothing changes."""

    def shared(state: State) -> Found:
        key = key_of(call, subject)
        kept = parking.shared.get(key, state)
        if kept is not None:
            return kept.found
        found = read(state)
        if key is not None and not found.partial:
            parking.shared.keep(key, state, found)
        return found

    return shared


def _look(parking: Parking, call: Call, read: Read) -> Found:
    """What is there now, with the index that the caller may be told."""
    found = read(parking.state)
    index = parking.state.index_of(*found.topics)
    if found.partial:
        index = parking.views.index(call, (found.value, found.missing), index)
    return msgspec.structs.replace(found, index=index)


async def answer_read(
    parking: Parking,
    call: Call,
    read: Read,
    *,
    streaming: bool = False,
    quiet: bool = False,
    fields: Field | None = None,
    subject: Topic | None = None,
) -> Answer:
    """The answer to a read: blocking, filtered, with the headers that say what it rests on.

    `fields` are those that `?filter=` may ask about (`catalog.compile.selectors`). `subject` says what is read, if that
    rests on nothing but the state, the query and the caller's rights: such an answer is made once for all who ask it.
    """
    keep = filter_of(call, fields)
    if subject is not None:
        read = once_for_all(parking, call, read, subject)
    found = await settle(parking, call, read, streaming=streaming, quiet=quiet)
    streamed = streaming and call.query.index > 0
    filtered = found.hidden and call.caller.kind is not CallerKind.ANONYMOUS  # Consul tells only those with a token
    meta = Meta(found.index, call.query.consistency, streaming=streamed, cached=call.query.cached, filtered=filtered)
    if found.missing:
        missing = json_answer(None, meta)
        return Answer(404, found.missing.encode(), b"text/plain; charset=utf-8", missing.headers)
    kept = None if subject is None else parking.shared.get(key_of(call, subject), parking.state)
    if kept is not None and kept.body is not None:
        return Answer(200, kept.body, headers=read_headers(meta))
    answer = json_answer(_shown(call, found.value, keep), meta, pretty=call.query.pretty)
    if kept is not None:
        parking.shared.keep_body(kept, answer.body)
    return answer


def _shown(call: Call, value: Any, keep: Filter) -> Any:
    """What of a value the query asks for."""
    if call.query.peer:  # nobody peers with this catalog, so it holds nothing of anybody's
        return {} if isinstance(value, dict) else []
    if isinstance(value, list) and keep.text:
        return keep_items(keep, value)
    return value


def filter_of(call: Call, fields: Field | None = None) -> Filter:
    """The call's `?filter=`, over objects with these `fields`.

    Raises:
        RefusedError: it cannot be read, or asks about what is no field (Consul answers 500 to a bad filter).
    """
    try:
        return parse_filter(call.query.filter, fields)
    except FilterError as error:
        raise RefusedError(f"Failed to create boolean expression evaluator: {error}") from error


def keep_items(keep: Filter, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the JSON objects that a filter keeps.

    Raises:
        RefusedError: the filter asks something that a field's type has no answer for.
    """
    try:
        return [item for item in items if keep(item)]
    except FilterError as error:
        raise RefusedError(f"Failed to evaluate boolean expression: {error}") from error
