"""`/v1/config`: config entries, with compare-and-set.

What an entry must satisfy is judged by `catalog.compile`; here it is read, judged and submitted under one lock, so that
two writes can not contradict each other. A private key in an entry is shown to who may write it, and never logged.
"""

from collections.abc import Mapping
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
from catalog.api.http.errors import BadRequestError
from catalog.api.sight import Sight
from catalog.compile.config_entries import check_kind, decode_entry, entry_body, entry_kind, entry_type
from catalog.compile.consistency import check_delete, check_write, named_services
from catalog.compile.entries.certificates import shown_to_anyone
from catalog.compile.entries.reader import idle_fields
from catalog.compile.entries.traffic import ServiceResolver
from catalog.compile.selectors import CONFIG_ENTRY, OPEN, Field, Kind
from catalog.state.changes import DeleteConfig, PutConfig
from catalog.state.records import ConfigEntry
from catalog.state.state import State

WARNING = b"x-linkspan-warning"
"""The header that names what an entry sets and no proxy of this version acts on."""

_OF_SERVICES = frozenset({"service-defaults", "service-router", "service-splitter", "service-resolver"})
_READ_BY_SERVICE = _OF_SERVICES | {"ingress-gateway", "terminating-gateway", "api-gateway"}
_READ_BY_ALL = frozenset({"proxy-defaults", "mesh"})
_ZERO: Mapping[str, Mapping[str, Any]] = {
    "service-defaults": {"TransparentProxy": {}, "MeshGateway": {}, "Expose": {}},
    "proxy-defaults": {"Config": {}, "TransparentProxy": {}, "MeshGateway": {}, "Expose": {}, "AccessLogs": {}},
    "mesh": {"TransparentProxy": {"MeshDestinationsOnly": False}},
    "ingress-gateway": {"TLS": {"Enabled": False}, "Listeners": []},
    "terminating-gateway": {"Services": []},
    "exported-services": {"Services": []},
}
"""What Consul prints of an entry that says nothing of it."""


class EntryEndpoints:
    """The family `/v1/config`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def paths(self) -> Paths:
        """Every path with its methods."""
        return {
            "/v1/config": {"PUT": Method(self.put, IN_HANDLER)},
            "/v1/config/{kind}": {"GET": Method(self.list_kind, IN_HANDLER)},
            "/v1/config/{kind}/{name}": {
                "GET": Method(self.get, IN_HANDLER),
                "DELETE": Method(self.delete, IN_HANDLER),
            },
        }

    async def put(self, call: Call) -> Answer:
        """Write an entry; with `cas` only over the one at that index. Whether it was written.

        A header names what is kept and shown, and not acted on.
        """
        cas = _cas(call)
        entry = decode_entry(parse_json(call.body))
        kind = entry_kind(entry)
        _require_write(call, kind, entry.name)
        for service in sorted(set(named_services(entry)) - {"", entry.name}):
            call.require(Resource.SERVICE, service, Access.READ)
        async with self._api.policy_lock:
            check_write(self._api.entries, entry, self._api.datacenter)
            written = await self._api.submit(PutConfig(kind, entry.name, entry_body(entry), cas))
        idle = [*idle_fields(entry), *elsewhere(entry, self._api.datacenter)]
        return with_warning(json_answer(written), warning_text(kind, idle))

    async def list_kind(self, call: Call) -> Answer:
        """All entries of a kind that the caller may read."""
        kind = check_kind(call.path["kind"], reading=True)

        def read(state: State) -> Found:
            sight, entries = Sight(call), state.configs(kind)
            rows = [_shown(entry, call) for entry in entries if _may_read(call, kind, entry.name)]
            # Of all kinds: it sleeps through changes of others, and answers their index when its time is up (measured).
            whole = sight.whole if kind in _READ_BY_SERVICE else sight.all_intentions and _may_read(call, kind, "")
            return sight.found(rows, ("config",), hidden=len(rows) < len(entries), whole=whole)

        return await answer_read(self._api.parking, call, read, quiet=True, fields=fields_of(kind))

    async def get(self, call: Call) -> Answer:
        """One entry; 404 if there is none."""
        kind, name = check_kind(call.path["kind"], reading=True), call.path["name"]

        def read(state: State) -> Found:
            _require_read(call, kind, name)
            entry, topics = state.config(kind, name), (("config", kind, name),)
            if entry is None:
                return Found(None, topics, missing=f'Config entry not found for "{kind}" / "{name}"')
            return Found(_shown(entry, call), topics)

        return await answer_read(self._api.parking, call, read, quiet=True)

    async def delete(self, call: Call) -> Answer:
        """Delete an entry: `{}`, also if there was none; with `cas` whether it was deleted."""
        kind, name, cas = check_kind(call.path["kind"]), call.path["name"], _cas(call)
        _require_write(call, kind, name)
        async with self._api.policy_lock:
            check_delete(self._api.entries, kind, name, self._api.datacenter)
            deleted = await self._api.submit(DeleteConfig(kind, name, cas))
        return json_answer({} if cas is None else deleted)


def fields_of(kind: str) -> Field:
    """What a filter may ask of a kind's entries."""
    type_ = entry_type(kind)
    own = {field.encode_name: OPEN for field in msgspec.structs.fields(type_)} if type_ is not None else {}
    return Field(Kind.STRUCT, {**own, **CONFIG_ENTRY.fields})


def warning_text(kind: str, names: list[str]) -> bytes:
    """The warning of a write; empty if all of it is acted on. A header's line, so bounded and plain."""
    if not names:
        return b""
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"{kind}: kept and shown, and not acted on by this version: {listed}".encode("ascii", "replace")[:1024]


def with_warning(answer: Answer, warning: bytes) -> Answer:
    """The answer with the warning, if there is one."""
    return msgspec.structs.replace(answer, headers=(*answer.headers, (WARNING, warning))) if warning else answer


def elsewhere(entry: Any, datacenter: str) -> list[str]:
    """The fail-over targets of a resolver that no path leads to: those of other datacenters and peers."""
    if not isinstance(entry, ServiceResolver):
        return []
    return [
        f"Failover[{name!r}] to datacenter {target!r}"
        for name, failover in entry.failover.items()
        for target in (*failover.datacenters, *(aim.datacenter for aim in failover.targets))
        if target not in {"", datacenter}
    ]


def _right(kind: str, name: str) -> tuple[Resource, str]:
    if kind == "service-intentions":
        return Resource.INTENTION, name
    return (Resource.SERVICE, name) if kind in _OF_SERVICES else (Resource.MESH, "")


def _require_write(call: Call, kind: str, name: str) -> None:
    resource, aim = _right(kind, name)
    call.require(resource, aim, Access.WRITE)


def _require_read(call: Call, kind: str, name: str) -> None:
    if kind not in _READ_BY_ALL:
        resource, aim = (Resource.SERVICE, name) if kind in _READ_BY_SERVICE else _right(kind, name)
        call.require(resource, aim, Access.READ)


def _may_read(call: Call, kind: str, name: str) -> bool:
    if kind in _READ_BY_ALL:
        return True
    resource, aim = (Resource.SERVICE, name) if kind in _READ_BY_SERVICE else _right(kind, name)
    return call.authorizer.allows(resource, aim, Access.READ)


def _shown(entry: ConfigEntry, call: Call) -> dict[str, Any]:
    """An entry as Consul prints it: with what it prints though nothing is said of it, and the indexes."""
    resource, aim = _right(entry.kind, entry.name)
    may_write = call.authorizer.allows(resource, aim, Access.WRITE)
    return {
        "Kind": entry.kind,
        "Name": entry.name,
        **_ZERO.get(entry.kind, {}),
        **(entry.body if may_write else shown_to_anyone(entry.body)),
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
