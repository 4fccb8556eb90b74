"""Config entries from bodies, as compilers read them. It must never be imported by anything but tests."""

from typing import Any

from catalog.compile.config_entries import Entry, decode_entry, entry_kind


class Entries:
    """The entries of those bodies."""

    def __init__(self, *bodies: dict[str, Any]) -> None:
        self._all: dict[tuple[str, str], Entry] = {}
        for body in bodies:
            entry = decode_entry(body)
            self._all[entry_kind(entry), entry.name] = entry

    def get(self, kind: str, name: str) -> Entry | None:
        """The entry, or None."""
        return self._all.get((kind, name))

    def names(self, kind: str) -> list[str]:
        """The names of a kind's entries."""
        return sorted(name for known, name in self._all if known == kind)
