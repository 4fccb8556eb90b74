"""Config entries as the compilers read them: typed, decoded once, with a record of what was asked.

A view never changes the state. What a compilation asked for, present or not, is exactly what its result depends on.
"""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from catalog.compile.config_entries import ConfigEntryError, Entry, entry_kind, stored_entry
from catalog.compile.entries.defaults import L7_PROTOCOLS, ProxyDefaults, ServiceDefaults
from catalog.state.records import ConfigEntry

Topic = tuple[str, ...]
E = TypeVar("E")

DEFAULT_PROTOCOL = "tcp"


class EntrySource(Protocol):
    """The part of the state that holds config entries (`catalog.state.State` is one)."""

    def config(self, kind: str, name: str) -> ConfigEntry | None:
        """The stored entry of that kind and name."""
        ...

    def configs(self, kind: str) -> list[ConfigEntry]:
        """The stored entries of a kind, by name."""
        ...


class Entries(Protocol):
    """Typed config entries by kind and name."""

    def get(self, kind: str, name: str) -> Entry | None:
        """The entry, or None."""
        ...

    def names(self, kind: str) -> Iterable[str]:
        """The names of the entries of a kind, sorted."""
        ...


class StoredEntries:
    """The entries of a state. Each body is decoded once per modify index; one that cannot be read counts as missing.

    Whatever is missing leaves less allowed: no intention, no export, no route (a chain of a lost resolver has no subset).
    """

    def __init__(self, source: EntrySource) -> None:
        self._source = source
        self._typed: dict[tuple[str, str], tuple[int, Entry | None]] = {}

    def get(self, kind: str, name: str) -> Entry | None:
        """The entry, or None."""
        row = self._source.config(kind, name)
        if row is None:
            self._typed.pop((kind, name), None)
            return None
        known = self._typed.get((kind, name))
        if known is None or known[0] != row.modify_index:
            try:
                known = row.modify_index, stored_entry(row.body)
            except ConfigEntryError:
                known = row.modify_index, None
            self._typed[kind, name] = known
        return known[1]

    def names(self, kind: str) -> list[str]:
        """The names of the entries of a kind, sorted."""
        return [row.name for row in self._source.configs(kind)]


class Recorder:
    """Entries that remember which of them were asked for, as topics of the state."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self.topics: set[Topic] = set()

    def get(self, kind: str, name: str) -> Entry | None:
        """The entry, or None."""
        self.topics.add(("config", kind, name))
        return self._entries.get(kind, name)

    def names(self, kind: str) -> Iterable[str]:
        """The names of the entries of a kind, sorted."""
        self.topics.add(("config", kind))
        return self._entries.names(kind)


class Overlay:
    """Entries as they would be with one written (`entry`) or deleted (None)."""

    def __init__(self, entries: Entries, kind: str, name: str, entry: Entry | None) -> None:
        assert entry is None or (entry_kind(entry), entry.name) == (kind, name)
        self._entries = entries
        self._key = kind, name
        self._entry = entry

    def get(self, kind: str, name: str) -> Entry | None:
        """The entry, or None."""
        return self._entry if (kind, name) == self._key else self._entries.get(kind, name)

    def names(self, kind: str) -> list[str]:
        """The names of the entries of a kind, sorted."""
        found = set(self._entries.names(kind))
        if kind == self._key[0]:
            found.discard(self._key[1])
            if self._entry is not None:
                found.add(self._key[1])
        return sorted(found)


def entry_of(entries: Entries, kind: type[E], tag: str, name: str) -> E | None:
    """The entry of that kind as its own type, or None."""
    found = entries.get(tag, name)
    return found if isinstance(found, kind) else None


def protocol_of(entries: Entries, service: str) -> str:
    """The protocol that a service speaks: its service-defaults', else the proxy-defaults', else tcp."""
    own = entry_of(entries, ServiceDefaults, "service-defaults", service)
    if own is not None and own.protocol:
        return own.protocol
    every = entry_of(entries, ProxyDefaults, "proxy-defaults", "global")
    return (every.protocol if every is not None else "") or DEFAULT_PROTOCOL


def is_l7(protocol: str) -> bool:
    """Whether requests, not only bytes, are seen in that protocol."""
    return protocol in L7_PROTOCOLS
