"""`/v1/event/*`: events that somebody fires and everybody may list, the newest `KEPT` of them.

Consul gossips events and forgets them at a restart; here they are records like others, so that every caller sees the
same ones, also after a restart. An event's ID is random and its index is made of the ID, as Consul documents it: indexes
of events do not grow, a watcher only learns that the newest one is another.
"""

import uuid
from typing import Any

import msgspec
import trio

from catalog.access.acl.live import current, topics_of
from catalog.access.authorizer import Access, Resource
from catalog.access.callers import CallerKind
from catalog.api.api import Api, Paths
from catalog.api.blocking import jitter_s
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, Meta, json_answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError, RefusedError
from catalog.state.changes import Batch, DeleteRecord, PutRecord
from catalog.state.limits import MAX_BATCH
from catalog.state.state import State
from mesh.decide.regex import RegexError, compile_regex

TABLE = "event"
KEPT = 256
MAX_PAYLOAD_BYTES = 512
MAX_NAME = 256
MAX_FILTER = 256


class Event(msgspec.Struct, frozen=True):
    """One event. Filters are regular expressions; an empty one lets everybody see it."""

    id: str
    name: str
    payload: bytes = b""
    node: str = ""
    service: str = ""
    tag: str = ""


class EventEndpoints:
    """The family `/v1/event`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/event/fire/{name}": {"PUT": Method(self.fire, IN_HANDLER)},
            "/v1/event/list": {"GET": Method(self.list_events, IN_HANDLER)},
        }

    async def fire(self, call: Call) -> Answer:
        """Fire an event; the body is its payload."""
        name = call.path["name"]
        call.require(Resource.EVENT, name, Access.WRITE)
        if len(name) > MAX_NAME or len(call.body) > MAX_PAYLOAD_BYTES:
            raise RefusedError(
                f"user event exceeds configured limit of {MAX_PAYLOAD_BYTES} bytes: put the data into a key and send its name"
            )
        filters = {key: call.query.first(key) for key in ("node", "service", "tag")}
        for key, text in filters.items():
            if len(text) > MAX_FILTER:
                raise BadRequestError(f"Invalid {key} filter: at most {MAX_FILTER} characters are read")
            _matches(text, "", key)
        if filters["tag"] and not filters["service"]:
            raise BadRequestError("Cannot provide tag filter without service filter")
        event = Event(str(uuid.uuid4()), name, call.body, **filters)
        kept = sorted(self._api.parking.state.records(TABLE), key=lambda record: record.create_index)
        # Those who fire at the same time see the same surplus; what they leave, the next ones take, so much at a time.
        over = min(max(0, len(kept) - KEPT + 1), MAX_BATCH - 1)
        surplus = [DeleteRecord(TABLE, record.key) for record in kept[:over]]
        put = PutRecord(TABLE, event.id, msgspec.json.encode(event))
        await self._api.submit(Batch((*surplus, put)) if surplus else put)
        return json_answer(_shown(event, 0), pretty=call.query.pretty)

    async def list_events(self, call: Call) -> Answer:
        """The kept events, oldest first; blocks until the newest is another one than `index` was made of."""
        parking, query = self._api.parking, call.query
        asked = int(query.first("index") or 0) if query.index else 0  # as it stands: these indexes use all 64 bits
        deadline_s = trio.current_time() + query.wait_s + (jitter_s(query.wait_s) if query.index else 0.0)
        while True:
            topics = (("record", TABLE), *topics_of(call.authorizer))
            seen = parking.state.index_of(*topics)
            events = self._visible(call, parking.state)
            index = index_of(events[-1][0].id) if events else 1
            left_s = deadline_s - trio.current_time()
            # An empty list has no index of its own: whoever comes with one waits for the first event.
            if not asked or (events and index != asked) or left_s <= 0 or parking.stopped:
                break
            await parking.wait(topics, seen, left_s)
        shown = [_shown(event, ltime) for event, ltime in events]
        return json_answer(shown, Meta(index, query.consistency), pretty=query.pretty)

    def _visible(self, call: Call, state: State) -> list[tuple[Event, int]]:
        """The events of that name (or all) that the caller may see, with their Lamport times."""
        name, rights = call.query.first("name"), current(call.authorizer)
        found = []
        for record in sorted(state.records(TABLE), key=lambda record: record.create_index):
            event = msgspec.json.decode(record.value, type=Event)
            if (not name or event.name == name) and rights.allows(Resource.EVENT, event.name, Access.READ):
                if call.caller.kind is CallerKind.NODE and not _is_for(event, call.caller.name, state):
                    continue
                found.append((event, record.create_index))
        return found


def index_of(event_id: str) -> int:
    """The index that an event's ID makes: its halves, as 64-bit numbers, exclusive-or (Consul's documentation). Never 0."""
    number = uuid.UUID(event_id).int
    return ((number >> 64) ^ (number & (2**64 - 1))) or 1


def _is_for(event: Event, node: str, state: State) -> bool:
    """Whether an event is meant for a node: what its agent, which asks with the node's certificate, would have kept."""
    if event.node and not _matches(event.node, node, "node"):
        return False
    if not event.service:
        return True
    for instance in state.node_services(node):
        tagged = not event.tag or any(_matches(event.tag, tag, "tag") for tag in instance.tags)
        if tagged and _matches(event.service, instance.service, "service"):
            return True
    return False


def _matches(pattern: str, text: str, what: str) -> bool:
    try:
        return compile_regex(f".*(?:{pattern}).*")(text.encode())
    except RegexError as error:
        raise BadRequestError(f"Invalid {what} filter: {error}") from error


def _shown(event: Event, ltime: int) -> dict[str, Any]:
    return {
        "ID": event.id,
        "Name": event.name,
        "Payload": event.payload or None,
        "NodeFilter": event.node,
        "ServiceFilter": event.service,
        "TagFilter": event.tag,
        "Version": 1,
        "LTime": ltime,
    }
