"""`POST /v1/connect/intentions` and `/v1/connect/intentions/:uuid`: intentions with an id, as before Consul 1.9.

They are sources of service-intentions entries like all others; the id, meta and times are kept with the source. What
another form wrote has no id, and is not found here.
"""

import datetime as dt
import uuid
from typing import Any

import msgspec

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, answer_read
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import parse_json
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError, NotFoundError, RefusedError
from catalog.api.policy.intentions import IntentionEndpoints, plain_name, require_read
from catalog.compile.config_entries import decode_source
from catalog.compile.entries.policy import IntentionSource
from catalog.compile.entries.reader import fold
from catalog.compile.intentions import (
    KIND,
    IntentionRow,
    check_source_write,
    find_intention,
    legacy_intention,
    source_body,
)
from catalog.state.changes import Batch, DeleteIntention, PutIntention
from catalog.state.state import State

LIST = "/v1/connect/intentions"
MAX_META = 64
NOT_FOUND = "Intention not found"


class IntentionFamily:
    """All of `/v1/connect/intentions`: today's form, and the one by ids."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._today = IntentionEndpoints(api)

    def paths(self) -> Paths:
        """Every path with its methods; the one with any id comes last."""
        today = self._today.paths()
        return {
            **today,
            LIST: {**today[LIST], "POST": Method(self.create, IN_HANDLER)},
            "/v1/connect/intentions/{intention_id}": {
                "GET": Method(self.get, IN_HANDLER),
                "PUT": Method(self.update, IN_HANDLER),
                "DELETE": Method(self.delete, IN_HANDLER),
            },
        }

    async def create(self, call: Call) -> Answer:
        """Make an intention of a pair that has none. Its ID."""
        source, destination = self._read(call)
        call.require(Resource.INTENTION, destination, Access.WRITE)
        now = self._now()
        made = msgspec.structs.replace(
            source, legacy_id=str(uuid.uuid4()), legacy_create_time=now, legacy_update_time=now
        )
        async with self._api.policy_lock:
            if find_intention(self._api.parking.state, self._api.entries, source.name, destination) is not None:
                raise RefusedError(f"duplicate intention found: {source.name} => {destination}")
            check_source_write(self._api.entries, made, destination)
            await self._api.submit(PutIntention(destination, source_body(made)))
        return json_answer({"ID": made.legacy_id})

    async def get(self, call: Call) -> Answer:
        """The intention of that id; 404 if there is none."""
        intention_id = _id(call)

        def read(state: State) -> Found:
            row = legacy_intention(state, self._api.entries, intention_id)
            if row is None:
                return Found(None, (("config", KIND),), missing=NOT_FOUND)
            require_read(call, row.source.name, row.destination)
            return Found(row.to_json(), (("config", KIND),))

        return await answer_read(self._api.parking, call, read, quiet=True)

    async def update(self, call: Call) -> Answer:
        """Replace an intention. Its ID."""
        source, destination = self._read(call)
        before = self._known(_id(call))
        for name in (before.destination, destination):
            call.require(Resource.INTENTION, name, Access.WRITE)
        made = msgspec.structs.replace(
            source,
            legacy_id=before.source.legacy_id,
            legacy_create_time=before.source.legacy_create_time,
            legacy_update_time=self._now(),
        )
        async with self._api.policy_lock:
            other = find_intention(self._api.parking.state, self._api.entries, source.name, destination)
            if other is not None and other.source.legacy_id != made.legacy_id:
                raise RefusedError(f"duplicate intention found: {source.name} => {destination}")
            check_source_write(self._api.entries, made, destination)
            gone = DeleteIntention(before.destination, {"Name": before.source.name})
            same = (before.source.name, before.destination) == (source.name, destination)
            put = PutIntention(destination, source_body(made))
            await self._api.submit(put if same else Batch((gone, put)))
        return json_answer({"ID": made.legacy_id})

    async def delete(self, call: Call) -> Answer:
        """Delete an intention. True, also if there was none."""
        row = legacy_intention(self._api.parking.state, self._api.entries, _id(call))
        if row is None:
            return json_answer(value=True)
        call.require(Resource.INTENTION, row.destination, Access.WRITE)
        async with self._api.policy_lock:
            return json_answer(await self._api.submit(DeleteIntention(row.destination, {"Name": row.source.name})))

    def _known(self, intention_id: str) -> IntentionRow:
        row = legacy_intention(self._api.parking.state, self._api.entries, intention_id)
        if row is None:
            raise NotFoundError(NOT_FOUND)
        return row

    def _read(self, call: Call) -> tuple[IntentionSource, str]:
        """The source and the destination's name that a body says, with its meta."""
        body = parse_json(call.body)
        if not isinstance(body, dict):
            raise BadRequestError("Request decode failed: the body must be a JSON object")
        fields: dict[str, Any] = {fold(key): value for key, value in body.items()}
        source = plain_name(_text(fields, "SourceName"), "SourceName")
        destination = plain_name(_text(fields, "DestinationName"), "DestinationName")
        meta = fields.get("meta") or {}
        if not isinstance(meta, dict) or len(meta) > MAX_META or not all(isinstance(one, str) for one in meta.values()):
            raise BadRequestError(f"Request decode failed: Meta must be at most {MAX_META} pairs of texts")
        rest = {key: value for key, value in body.items() if fold(key) != "meta"}
        return msgspec.structs.replace(decode_source(rest, destination, source), legacy_meta=meta), destination

    def _now(self) -> str:
        return dt.datetime.fromtimestamp(self._api.epoch(), dt.UTC).isoformat().replace("+00:00", "Z")


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(fold(name))
    if not isinstance(value, str) or not value:
        raise BadRequestError(f"Request decode failed: {name} must be a name")
    return value


def _id(call: Call) -> str:
    text = call.path["intention_id"]
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise BadRequestError(f"{text[:80]!r} is no intention's ID") from error
