"""Intentions: from service-intentions entries to what a destination's proxy decides from, and what the API shows.

The order is Consul's: precedence first, then the source's and the destination's name; the first that matches decides.
Writing one intention is a `PutIntention` change of the state; `decode_source` reads it, `check_source_write` judges it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from catalog.compile.config_entries import ConfigEntryError
from catalog.compile.entries.policy import (
    SOURCE_TYPE,
    IntentionHttp,
    IntentionPermission,
    IntentionSource,
    JwtRequirement,
    ServiceIntentions,
    precedence,
)
from catalog.compile.entries.reader import write_value
from catalog.compile.entry_view import Entries, EntrySource, entry_of, is_l7, protocol_of
from mesh.model.identity import DEFAULT_NAMESPACE
from mesh.model.intention import Action, HeaderMatch, HttpMatch, Intention, IntentionSet, Permission
from mesh.model.names import ANY

KIND = "service-intentions"


class IntentionRow(msgspec.Struct, frozen=True):
    """One intention as the API shows it: the pair, its source's entry part, and the entry's indexes."""

    destination: str
    source: IntentionSource
    create_index: int = 0
    modify_index: int = 0
    meta: Mapping[str, str] = {}

    @property
    def order(self) -> tuple[int, str, str, str]:
        """Highest precedence first, ties by peer and name (reference/consul.md 2)."""
        return -self.source.precedence, self.source.peer, self.source.name, self.destination

    def to_json(self) -> dict[str, Any]:
        """Consul's JSON of one intention (`GET /v1/connect/intentions/exact`)."""
        body = write_value(self.source)
        shown: dict[str, Any] = {"ID": self.source.legacy_id} if self.source.legacy_id else {}
        for field in ("Description",):
            if field in body:
                shown[field] = body[field]
        shown["SourceNS"] = DEFAULT_NAMESPACE
        shown["SourceName"] = self.source.name
        if self.source.peer:
            shown["SourcePeer"] = self.source.peer
        shown |= {
            "DestinationNS": DEFAULT_NAMESPACE,
            "DestinationName": self.destination,
            "SourceType": SOURCE_TYPE,
        }
        for field in ("Action", "Permissions"):
            if field in body:
                shown[field] = body[field]
        shown["Meta"] = dict(self.source.legacy_meta or self.meta)
        shown["Precedence"] = self.source.precedence
        if self.source.legacy_id:
            shown["CreatedAt"] = self.source.legacy_create_time
            shown["UpdatedAt"] = self.source.legacy_update_time
        shown["CreateIndex"] = self.create_index
        shown["ModifyIndex"] = self.modify_index
        return shown


def compile_intentions(
    entries: Entries, service: str, index: int = 0, default_action: Action = Action.DENY
) -> IntentionSet:
    """All that decides who may call `service`, highest precedence first; of two with one source the higher stays.

    Sources of peers are left out, since there are none. An entry that asks every request for a token lets nobody in:
    proxies check none, and what cannot be checked is denied.
    """
    found = []
    seen: set[str] = set()
    for destination in (service, ANY):
        entry = entry_of(entries, ServiceIntentions, KIND, destination)
        closed = entry is not None and entry.jwt is not None
        for source in entry.sources if entry is not None else ():
            if source.name not in seen and not source.peer:
                seen.add(source.name)
                found.append(_intention(source, destination, closed=closed))
        if closed:
            default_action = Action.DENY
    found.sort(key=lambda intention: (-intention.precedence, intention.source))
    return IntentionSet(service, index, protocol_of(entries, service), default_action, tuple(found))


def list_intentions(state: EntrySource, entries: Entries) -> list[IntentionRow]:
    """Every intention, in order."""
    names = [row.name for row in state.configs(KIND)]
    return sorted((row for name in names for row in _rows(state, entries, name)), key=lambda row: row.order)


def find_intention(
    state: EntrySource, entries: Entries, source: str, destination: str, peer: str = ""
) -> IntentionRow | None:
    """The intention of exactly that pair, or None; `*` is a name here like any other."""
    wanted = (peer, source)
    return next(
        (row for row in _rows(state, entries, destination) if (row.source.peer, row.source.name) == wanted), None
    )


def legacy_intention(state: EntrySource, entries: Entries, legacy_id: str) -> IntentionRow | None:
    """The intention that was made with that id, by the form of before Consul 1.9."""
    return next((row for row in list_intentions(state, entries) if row.source.legacy_id == legacy_id), None)


def match_intentions(state: EntrySource, entries: Entries, by: str, name: str) -> list[IntentionRow]:
    """The intentions that could decide for a `source` or a `destination` of that name, in order (Consul `match`).

    Raises:
        ConfigEntryError: `by` is neither.
    """
    if by == "destination":
        wanted = dict.fromkeys((name, ANY))
        return sorted((row for part in wanted for row in _rows(state, entries, part)), key=lambda row: row.order)
    if by == "source":
        rows = list_intentions(state, entries)
        return [row for row in rows if row.source.name in {name, ANY} and not row.source.peer]
    raise ConfigEntryError(400, "Intention match: 'by' must be 'source' or 'destination'")


def check_allowed(entries: Entries, source: str, destination: str, default_action: Action = Action.DENY) -> bool:
    """Whether `source` may open a connection to `destination` (Consul `check`): one with permissions says no."""
    decisive = next(
        (part for part in compile_intentions(entries, destination).intentions if part.source in {source, ANY}), None
    )
    return (default_action if decisive is None else decisive.action) is Action.ALLOW


def check_source_write(entries: Entries, source: IntentionSource, destination: str) -> None:
    """Judge one source before it is written to the destination's entry, with the other entries at hand.

    Raises:
        ConfigEntryError: it has permissions, and the destination's requests are not seen (protocol tcp); or it names a
            token provider that is not there.
    """
    protocol = protocol_of(entries, destination)
    if source.permissions and not is_l7(protocol):
        raise ConfigEntryError(
            500,
            f"Permissions of source {source.name!r} need protocol http, http2 or grpc, and {destination!r} speaks "
            f"{protocol!r}: write a service-defaults entry with Protocol first",
        )
    check_providers(entries, (permission.jwt for permission in source.permissions), destination)


def check_providers(entries: Entries, requirements: Iterable[JwtRequirement | None], destination: str) -> None:
    """Judge what a destination asks of tokens.

    Raises:
        ConfigEntryError: a provider is not there.
    """
    for requirement in requirements:
        for use in requirement.providers if requirement is not None else ():
            if entries.get("jwt-provider", use.name) is None:
                raise ConfigEntryError(
                    500, f"intentions of {destination!r} name the JWT provider {use.name[:80]!r}, which is not there"
                )


def source_body(source: IntentionSource) -> dict[str, Any]:
    """The canonical JSON of one source, as `PutIntention` takes it."""
    return write_value(source)


def _rows(state: EntrySource, entries: Entries, destination: str) -> list[IntentionRow]:
    stored = state.config(KIND, destination)
    if stored is None:
        return []
    entry = entry_of(entries, ServiceIntentions, KIND, destination)
    return [
        IntentionRow(destination, source, stored.create_index, stored.modify_index, entry.meta)
        for source in (entry.sources if entry is not None else ())
        if entry is not None
    ]


def _intention(source: IntentionSource, destination: str, *, closed: bool = False) -> Intention:
    if closed:
        return Intention(source.name, destination, precedence(source.name, destination), Action.DENY)
    return Intention(
        source.name,
        destination,
        precedence(source.name, destination),
        source.action,
        tuple(_permission(permission) for permission in source.permissions),
    )


def _permission(permission: IntentionPermission) -> Permission:
    """The rule as proxies decide from it. One that asks for a token denies whatever its HTTP part matches."""
    http = permission.http or IntentionHttp()
    headers = tuple(HeaderMatch(**msgspec.structs.asdict(header)) for header in http.header)
    action = permission.action if permission.jwt is None else Action.DENY
    return Permission(action, HttpMatch(http.path_exact, http.path_prefix, http.path_regex, http.methods, headers))
