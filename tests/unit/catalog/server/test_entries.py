"""Config entries of a configuration: written once, judged, and never over what is there."""

import pytest

from catalog.server.config.document import ConfigError
from catalog.server.entries import write_entries
from tests.fakes.catalog_calls import open_api

DEFAULTS = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
SPLITTER = {"kind": "service-splitter", "name": "web", "splits": [{"weight": 100}]}


async def test_what_is_missing_is_written_in_order() -> None:
    """A later start leaves what somebody has changed meanwhile."""
    async with open_api() as api:
        await write_entries(api, [DEFAULTS, SPLITTER])
        index = api.parking.state.index
        await write_entries(api, [{**DEFAULTS, "Protocol": "grpc"}, SPLITTER])
        assert api.parking.state.index == index
        entry = api.parking.state.config("service-defaults", "web")
        assert entry is not None
        assert entry.body["Protocol"] == "http"


@pytest.mark.parametrize("bad", [{"Kind": "nonsense", "Name": "x"}, SPLITTER])
async def test_a_bad_entry_is_named_by_its_place(bad: dict[str, object]) -> None:
    """Unknown kinds, and what contradicts itself (a splitter without a protocol for it)."""
    async with open_api() as api:
        with pytest.raises(ConfigError, match=r"config_entries.bootstrap\[0\]: "):
            await write_entries(api, [bad])
