"""Config endpoints as handlers: compare-and-set, and one judge at a time."""

from typing import Any

import msgspec
import pytest
import trio

from catalog.api.http.errors import BadRequestError
from catalog.api.policy.entries import EntryEndpoints
from catalog.compile.config_entries import ConfigEntryError
from tests.fakes.catalog_calls import make_call, open_api

WEB: Any = {"kind": "service-defaults", "name": "web"}
DEFAULTS = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
SPLITTER = {"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": 100}]}


@pytest.mark.parametrize("cas", ["x", "-1", "1.5", "9" * 30])
async def test_a_cas_that_is_no_index_is_refused(cas: str) -> None:
    async with open_api() as api:
        with pytest.raises(BadRequestError, match="Invalid cas"):
            await EntryEndpoints(api).put(make_call("PUT", f"cas={cas}", DEFAULTS))


async def test_deleting_says_whether_only_if_compared() -> None:
    async with open_api() as api:
        entries = EntryEndpoints(api)
        assert (await entries.delete(make_call("DELETE", **WEB))).body == b"{}"
        assert (await entries.delete(make_call("DELETE", "cas=7", **WEB))).body in {b"true", b"false"}


async def test_two_writes_that_contradict_are_judged_one_after_the_other() -> None:
    """Either the splitter comes first and the protocol may not go, or it goes and the splitter is refused: never both."""
    async with open_api() as api:
        entries = EntryEndpoints(api)
        await entries.put(make_call("PUT", body=DEFAULTS))
        refused: list[str] = []

        async def attempt(handler: object, call: object) -> None:
            try:
                await handler(call)  # type: ignore[operator]
            except ConfigEntryError as error:
                refused.append(str(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(attempt, entries.put, make_call("PUT", body=SPLITTER))
            gone = make_call("DELETE", kind="service-defaults", name="web")
            nursery.start_soon(attempt, entries.delete, gone)
        assert len(refused) == 1


async def test_an_entry_shows_kind_name_and_indexes() -> None:
    async with open_api() as api:
        entries = EntryEndpoints(api)
        await entries.put(make_call("PUT", body=DEFAULTS))
        shown = msgspec.json.decode((await entries.get(make_call(kind="service-defaults", name="web"))).body)
    assert shown["CreateIndex"] == shown["ModifyIndex"] == 2
    assert {key: shown[key] for key in DEFAULTS} == DEFAULTS
