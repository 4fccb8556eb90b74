"""Intentions: from service-intentions entries to what a destination's proxy decides from, and what the API shows.

The order is Consul's: precedence first, then the source's and the destination's name; the first that matches decides.
Writing one intention is a `PutIntention` change of the state; `decode_source` reads it, `check_source_write` judges it.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from catalog.compile.config_entries import ConfigEntryError
from catalog.compile.entries.policy import (
    SOURCE_TYPE,
    IntentionHttp,
    IntentionPermission,
    IntentionSource,
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

    @property
    def order(self) -> tuple[int, str, str]:
        """Highest precedence first, ties by name (reference/consul.md 2)."""
        return -self.source.precedence, self.source.name, self.destination

    def to_json(self) -> dict[str, Any]:
        """Consul's JSON of one intention (`GET /v1/connect/intentions/exact`)."""
        body = write_value(self.source)
        shown: dict[str, Any] = {
            "SourceNS": DEFAULT_NAMESPACE,
            "SourceName": self.source.name,
            "DestinationNS": DEFAULT_NAMESPACE,
            "DestinationName": self.destination,
            "SourceType": SOURCE_TYPE,
        }
        for field in ("Action", "Permissions", "Description"):
            if field in body:
                shown[field] = body[field]
        shown["Precedence"] = self.source.precedence
        shown["CreateIndex"] = self.create_index
        shown["ModifyIndex"] = self.modify_index
        return shown


def compile_intentions(
    entries: Entries, service: str, index: int = 0, default_action: Action = Action.DENY
) -> IntentionSet:
    """All that decides who may call `service`, highest precedence first; of two with one source the higher stays."""
    found = []
    seen: set[str] = set()
    for destination in (service, ANY):
        for source in _sources(entries, destination):
            if source.name not in seen:
                seen.add(source.name)
                found.append(_intention(source, destination))
    found.sort(key=lambda intention: (-intention.precedence, intention.source))
    return IntentionSet(service, index, protocol_of(entries, service), default_action, tuple(found))


def list_intentions(state: EntrySource, entries: Entries) -> list[IntentionRow]:
    """Every intention, in order."""
    names = [row.name for row in state.configs(KIND)]
    return sorted((row for name in names for row in _rows(state, entries, name)), key=lambda row: row.order)


def find_intention(state: EntrySource, entries: Entries, source: str, destination: str) -> IntentionRow | None:
    """The intention of exactly that pair, or None; `*` is a name here like any other."""
    return next((row for row in _rows(state, entries, destination) if row.source.name == source), None)


def match_intentions(state: EntrySource, entries: Entries, by: str, name: str) -> list[IntentionRow]:
    """The intentions that could decide for a `source` or a `destination` of that name, in order (Consul `match`).

    Raises:
        ConfigEntryError: `by` is neither.
    """
    if by == "destination":
        wanted = dict.fromkeys((name, ANY))
        return sorted((row for part in wanted for row in _rows(state, entries, part)), key=lambda row: row.order)
    if by == "source":
        return [row for row in list_intentions(state, entries) if row.source.name in {name, ANY}]
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
        ConfigEntryError: it has permissions, and the destination's requests are not seen (protocol tcp).
    """
    protocol = protocol_of(entries, destination)
    if source.permissions and not is_l7(protocol):
        raise ConfigEntryError(
            400,
            f"Permissions of source {source.name!r} need protocol http, http2 or grpc, and {destination!r} speaks "
            f"{protocol!r}: write a service-defaults entry with Protocol first",
        )


def source_body(source: IntentionSource) -> dict[str, Any]:
    """The canonical JSON of one source, as `PutIntention` takes it."""
    return write_value(source)


def _sources(entries: Entries, destination: str) -> Iterable[IntentionSource]:
    entry = entry_of(entries, ServiceIntentions, KIND, destination)
    return entry.sources if entry is not None else ()


def _rows(state: EntrySource, entries: Entries, destination: str) -> list[IntentionRow]:
    stored = state.config(KIND, destination)
    if stored is None:
        return []
    return [
        IntentionRow(destination, source, stored.create_index, stored.modify_index)
        for source in _sources(entries, destination)
    ]


def _intention(source: IntentionSource, destination: str) -> Intention:
    return Intention(
        source.name,
        destination,
        precedence(source.name, destination),
        source.action,
        tuple(_permission(permission) for permission in source.permissions),
    )


def _permission(permission: IntentionPermission) -> Permission:
    http = permission.http or IntentionHttp()
    headers = tuple(HeaderMatch(**msgspec.structs.asdict(header)) for header in http.header)
    return Permission(
        permission.action, HttpMatch(http.path_exact, http.path_prefix, http.path_regex, http.methods, headers)
    )
