"""`/v1/config`: config entries, with compare-and-set.

What an entry must satisfy is judged by `catalog.compile`; here it is read, judged and submitted under one lock, so that
two writes can not contradict each other.
"""

from typing import Any

from catalog.access.rights import Verb
from catalog.api.api import Api, Paths
from catalog.api.blocking import Found, answer_read
from catalog.api.gate import Right, reading
from catalog.api.http.answer import Answer, json_answer
from catalog.api.http.body import parse_json
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from catalog.api.http.errors import BadRequestError
from catalog.compile.config_entries import check_kind, decode_entry, entry_body, entry_kind
from catalog.compile.consistency import check_delete, check_write
from catalog.state.changes import DeleteConfig, PutConfig
from catalog.state.records import ConfigEntry
from catalog.state.state import State

WRITE = Right(Verb.WRITE_CONFIG)


class EntryEndpoints:
    """The family `/v1/config`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/config": {"PUT": Method(self.put, WRITE)},
            "/v1/config/{kind}": {"GET": Method(self.list_kind, reading("config"))},
            "/v1/config/{kind}/{name}": {
                "GET": Method(self.get, reading("config")),
                "DELETE": Method(self.delete, WRITE),
            },
        }

    async def put(self, call: Call) -> Answer:
        """Write an entry; with `cas` only over the one at that index. Whether it was written."""
        cas = _cas(call)
        entry = decode_entry(parse_json(call.body))
        kind = entry_kind(entry)
        async with self._api.policy_lock:
            check_write(self._api.entries, entry, self._api.datacenter)
            return json_answer(await self._api.submit(PutConfig(kind, entry.name, entry_body(entry), cas)))

    async def list_kind(self, call: Call) -> Answer:
        """All entries of a kind."""
        kind = check_kind(call.path["kind"])

        def read(state: State) -> Found:
            return Found([_shown(entry) for entry in state.configs(kind)], (("config", kind),))

        return await answer_read(self._api.parking, call, read, quiet=True)

    async def get(self, call: Call) -> Answer:
        """One entry; 404 if there is none."""
        kind, name = check_kind(call.path["kind"]), call.path["name"]

        def read(state: State) -> Found:
            entry, topics = state.config(kind, name), (("config", kind, name),)
            if entry is None:
                return Found(None, topics, missing=f'Config entry not found for "{kind}" / "{name}"')
            return Found(_shown(entry), topics)

        return await answer_read(self._api.parking, call, read, quiet=True)

    async def delete(self, call: Call) -> Answer:
        """Delete an entry: `{}`, also if there was none; with `cas` whether it was deleted."""
        kind, name, cas = check_kind(call.path["kind"]), call.path["name"], _cas(call)
        async with self._api.policy_lock:
            check_delete(self._api.entries, kind, name, self._api.datacenter)
            deleted = await self._api.submit(DeleteConfig(kind, name, cas))
        return json_answer({} if cas is None else deleted)


def _shown(entry: ConfigEntry) -> dict[str, Any]:
    return {
        "Kind": entry.kind,
        "Name": entry.name,
        **entry.body,
        "CreateIndex": entry.create_index,
        "ModifyIndex": entry.modify_index,
    }


def _cas(call: Call) -> int | None:
    text = call.query.first("cas")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        raise BadRequestError("Invalid cas: it must be the ModifyIndex of the entry, or 0")
    return int(text)
