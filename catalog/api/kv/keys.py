"""`/v1/kv/*`: read, write, compare, lock and delete keys; alone, by prefix, or by name only.

Parameters count by their presence: `recurse=false` recurses, as in Consul (measured); `filter` is not looked at.
"""

from collections.abc import Sequence

from catalog.access.acl.live import current, topics_of
from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, Read, settle
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import TEXT, Answer, Meta, json_answer, read_headers
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError, RefusedError
from catalog.api.kv.naming import FAMILY, key_of
from catalog.api.kv.shapes import key_json, read_meta
from catalog.state.changes import DeleteKey, DeleteKeys, PutKey
from catalog.state.errors import UnknownSubjectError
from catalog.state.limits import MAX_FLAGS, MAX_VALUE_BYTES
from catalog.state.records import KeyEntry
from catalog.state.state import State

RAW_HEADERS = ((b"content-security-policy", b"sandbox"), (b"x-content-type-options", b"nosniff"))
"""So that a browser never runs what somebody stored."""

Rows = tuple[KeyEntry, ...]


class KeyEndpoints:
    """The family `/v1/kv`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        methods = {
            "GET": Method(self.get, IN_HANDLER),
            "PUT": Method(self.put, IN_HANDLER, body_limit_bytes=MAX_VALUE_BYTES),
            "DELETE": Method(self.delete, IN_HANDLER),
        }
        return {f"{FAMILY}/{{key:key}}": methods, FAMILY: methods}

    async def get(self, call: Call) -> Answer:
        """One key, all under a prefix (`recurse`), or their names (`keys`, up to `separator`); 404 if there are none."""
        key = key_of(call)
        if "keys" in call.query.values or "recurse" in call.query.values:
            return await self._tree(call, key)
        if not key:
            raise BadRequestError("Missing key name")

        def read(state: State) -> Found:
            call.require(Resource.KEY, key, Access.READ)
            row = state.key(key)
            return Found(() if row is None else (row,), (("key", key),))

        meta, rows = await self._settled(call, read)
        if not rows:
            return _nothing(meta)
        if "raw" in call.query.values:
            return Answer(200, rows[0].value, TEXT, (*read_headers(meta), *RAW_HEADERS))
        return json_answer([key_json(rows[0])], meta, pretty=call.query.pretty)

    async def _tree(self, call: Call, prefix: str) -> Answer:
        def read(state: State) -> Found:
            rights, topic = current(call.authorizer), ("keys", prefix)
            there = tuple(state.keys(prefix))
            if rights.allows_all(Resource.KEY, prefix, Access.READ):
                return Found(there, (topic,))
            rows = tuple(row for row in there if rights.allows(Resource.KEY, row.key, Access.READ))
            topics = (topic, *topics_of(call.authorizer))
            return Found(rows, topics, partial=True, hidden=len(rows) < len(there))

        meta, rows = await self._settled(call, read)
        if not rows:
            return _nothing(meta)
        if "keys" in call.query.values:
            names = up_to([row.key for row in rows], prefix, call.query.first("separator"))
            return json_answer(names, meta, pretty=call.query.pretty)
        return json_answer([key_json(row) for row in rows], meta, pretty=call.query.pretty)

    async def _settled(self, call: Call, read: Read) -> tuple[Meta, Rows]:
        found = await settle(self._api.parking, call, read)
        rows: Rows = found.value
        return read_meta(call, found), rows

    async def put(self, call: Call) -> Answer:
        """Write a key; with `cas`, `acquire` or `release` only on its condition. Whether it was written."""
        key = _one_key(call)
        call.require(Resource.KEY, key, Access.WRITE)
        _check_conflict(call, ("cas", "acquire", "release"))
        for lock in ("acquire", "release"):
            if lock in call.query.values and not call.query.first(lock):
                raise RefusedError(f"missing session: {lock} needs the ID of one")
        change = PutKey(
            key,
            call.body,
            _number(call, "flags") or 0,
            _number(call, "cas"),
            call.query.first("acquire"),
            call.query.first("release"),
        )
        try:
            return json_answer(await self._api.submit(change))
        except UnknownSubjectError as error:
            raise RefusedError(f'invalid session "{change.acquire[:120]}"') from error  # Consul's status and words

    async def delete(self, call: Call) -> Answer:
        """Delete a key, with `cas` only at that index, or all under a prefix (`recurse`). Whether it was done."""
        _check_conflict(call, ("cas", "recurse"))
        if "recurse" in call.query.values:
            prefix = key_of(call)
            call.require_all(Resource.KEY, prefix, Access.WRITE)
            return json_answer(await self._api.submit(DeleteKeys(prefix)))
        key = _one_key(call)
        call.require(Resource.KEY, key, Access.WRITE)
        return json_answer(await self._api.submit(DeleteKey(key, _number(call, "cas"))))


def up_to(keys: Sequence[str], prefix: str, separator: str) -> list[str]:
    """The keys, each cut after the first `separator` behind the prefix, and each result once. `keys` are in order."""
    if not separator:
        return list(keys)
    found: dict[str, None] = {}
    for key in keys:
        at = key.find(separator, len(prefix))
        found[key if at < 0 else key[: at + len(separator)]] = None
    return list(found)


def _nothing(meta: Meta) -> Answer:
    """404 with an index and no body (measured)."""
    return Answer(404, b"", TEXT, read_headers(meta))


def _one_key(call: Call) -> str:
    key = key_of(call)
    if not key:
        raise BadRequestError("Missing key name")
    return key


def _check_conflict(call: Call, names: Sequence[str]) -> None:
    given = [name for name in names if name in call.query.values]
    if len(given) > 1:
        raise BadRequestError(f"Conflicting flags: {' and '.join(given)} exclude each other: give one of them")


def _number(call: Call, name: str) -> int | None:
    """A parameter of 64 bits without sign; what is none is 500, as in Consul (measured)."""
    if name not in call.query.values:
        return None
    text = call.query.first(name)
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > MAX_FLAGS:
        raise RefusedError(f"{name}: {text[:40]!r} is no whole number from 0 to {MAX_FLAGS}")
    return int(text)
