"""The config entries of a configuration (`config_entries.bootstrap`), written at the start if they are not there.

Judged like any other write, in their order; one that is there already is left as it is, whoever wrote it.
"""

from collections.abc import Sequence
from typing import Any

from catalog.api.api import Api
from catalog.compile.config_entries import decode_entry, entry_body, entry_kind
from catalog.compile.consistency import check_write
from catalog.compile.entries.reader import ConfigEntryError
from catalog.server.config.document import ConfigError
from catalog.state.changes import PutConfig


async def write_entries(api: Api, entries: Sequence[dict[str, Any]]) -> None:
    """Write those that are missing.

    Raises:
        ConfigError: an entry cannot be used; those before it are written.
    """
    for number, value in enumerate(entries):
        try:
            entry = decode_entry(value)
            kind = entry_kind(entry)
            async with api.policy_lock:
                if api.parking.state.config(kind, entry.name) is None:
                    check_write(api.entries, entry, api.datacenter)
                    await api.submit(PutConfig(kind, entry.name, entry_body(entry), 0))
        except ConfigEntryError as error:
            raise ConfigError(f"config_entries.bootstrap[{number}]: {error}") from error
