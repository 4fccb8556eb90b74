"""Config endpoints as handlers: compare-and-set, and one judge at a time."""

from typing import Any

import msgspec
import pytest
import trio

from catalog.api.http.errors import BadRequestError
from catalog.api.policy.entries import EntryEndpoints, fields_of, warning_text
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


async def test_a_list_sleeps_through_other_kinds_and_answers_their_index(autojump_clock: Any) -> None:
    """Measured trap 5."""
    async with open_api() as api, trio.open_nursery() as nursery:
        entries = EntryEndpoints(api)

        async def write() -> None:
            await trio.sleep(1)
            await entries.put(make_call("PUT", body=DEFAULTS))

        nursery.start_soon(write)
        start_s = trio.current_time()
        answer = await entries.list_kind(make_call(query="index=1&wait=10s", kind="service-resolver"))
        assert 10 <= trio.current_time() - start_s <= 11
        assert (dict(answer.headers)[b"x-consul-index"], answer.body) == (b"2", b"[]")


def test_what_is_shown_of_a_kind_may_be_asked_for() -> None:
    """A filter of a list knows the kind's own fields, and no others."""
    assert fields_of("service-defaults").at(("Protocol",)) is not None
    assert fields_of("service-defaults").at(("Sources",)) is None
    assert fields_of("bound-api-gateway").at(("Name",)) is not None


def test_a_warning_fits_into_a_header() -> None:
    """Bounded and plain, however much it names."""
    assert warning_text("mesh", []) == b""
    text = warning_text("mesh", [f"Füeld{n}" for n in range(500)])
    assert len(text) <= 1024
    assert text.isascii()
    assert text.endswith(b", ...")
