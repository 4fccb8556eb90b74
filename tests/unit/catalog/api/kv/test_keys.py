"""Key endpoints as handlers: parameters, separators, and what a caller without rights is told."""

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from catalog.access.authorizer import Access, Resource
from catalog.api.api import Api
from catalog.api.http.answer import Answer
from catalog.api.http.errors import BadRequestError, PermissionDeniedError, RefusedError
from catalog.api.kv.keys import KeyEndpoints, up_to
from catalog.state.changes import PutKey
from tests.fakes.catalog_calls import make_call, open_api


class Only:
    """May do everything with keys that begin with one of the prefixes, and nothing else."""

    accessor = "a1"

    def __init__(self, *prefixes: str) -> None:
        self._prefixes = prefixes

    def allows(self, resource: Resource, name: str, access: Access) -> bool:
        return resource is Resource.KEY and name.startswith(self._prefixes)

    def allows_all(self, resource: Resource, prefix: str, access: Access) -> bool:
        return self.allows(resource, prefix, access)

    def __str__(self) -> str:
        return "a test"


async def get(api: Api, key: str, query: str = "", authorizer: Any = None) -> Answer:
    call = make_call("GET", query, key=key)
    if authorizer is not None:
        call = msgspec.structs.replace(call, authorizer=authorizer)
    return await KeyEndpoints(api).get(call)


async def fill(api: Api, *keys: str) -> None:
    for key in keys:
        await api.submit(PutKey(key, key.encode()))


@pytest.mark.parametrize(
    ("prefix", "separator", "found"),
    [
        ("", "", ["a", "a/b", "a/c/d", "a/c/e", "ab"]),
        ("", "/", ["a", "a/", "ab"]),
        ("a/", "/", ["a/b", "a/c/"]),
        ("a/c", "/", ["a/c/"]),
        ("a", "c/", ["a", "a/b", "a/c/", "ab"]),
    ],
)
def test_names_are_cut_after_the_separator(prefix: str, separator: str, found: list[str]) -> None:
    """The first one behind the prefix, each result once."""
    keys = [key for key in ("a", "a/b", "a/c/d", "a/c/e", "ab") if key.startswith(prefix)]
    assert up_to(keys, prefix, separator) == found


@pytest.mark.parametrize("query", ["cas=1&acquire=s", "acquire=s&release=s", "cas=0&release=s"])
async def test_conditions_exclude_each_other(query: str) -> None:
    async with open_api() as api:
        with pytest.raises(BadRequestError, match="Conflicting flags"):
            await KeyEndpoints(api).put(make_call("PUT", query, b"", key="a"))
        with pytest.raises(BadRequestError, match="Conflicting flags"):
            await KeyEndpoints(api).delete(make_call("DELETE", "recurse&cas=1", key="a"))


@pytest.mark.parametrize("query", ["flags=x", "flags=-1", "cas=x", "flags=", f"flags={2**64}", "acquire=", "acquire=x"])
async def test_what_consul_answers_with_500(query: str) -> None:
    """Measured trap 3."""
    async with open_api() as api:
        with pytest.raises(RefusedError):
            await KeyEndpoints(api).put(make_call("PUT", query, b"", key="a"))
        assert api.parking.state.key("a") is None


async def test_a_key_needs_a_name() -> None:
    async with open_api() as api:
        keys = KeyEndpoints(api)
        for work in (keys.get(make_call(key="")), keys.put(make_call("PUT", key="")), keys.delete(make_call(key=""))):
            with pytest.raises(BadRequestError, match="Missing key name"):
                await work


async def test_a_denied_key_is_left_out_and_refused_alone() -> None:
    """Whether it is there or not: the refusal is the same."""
    async with open_api() as api:
        await fill(api, "a/1", "b/1", "a/2")
        seen = msgspec.json.decode((await get(api, "", "recurse", Only("a/"))).body)
        assert [row["Key"] for row in seen] == ["a/1", "a/2"]
        assert (await get(api, "", "keys&separator=/", Only("a/"))).body == b'["a/"]'
        assert (await get(api, "b", "recurse", Only("a/"))).status == 404
        refusals = set()
        for key in ("b/1", "b/2"):
            with pytest.raises(PermissionDeniedError) as caught:
                await get(api, key, "", Only("a/"))
            refusals.add(str(caught.value).replace(key, "KEY"))
        assert len(refusals) == 1


async def test_a_tree_is_deleted_only_by_who_may_delete_all_of_it() -> None:
    async with open_api() as api:
        await fill(api, "a/1", "b/1")
        keys = KeyEndpoints(api)
        for key, allowed in (("", False), ("b/", False), ("a", False), ("a/", True)):
            call = msgspec.structs.replace(make_call("DELETE", "recurse", key=key), authorizer=Only("a/"))
            if allowed:
                assert (await keys.delete(call)).body == b"true"
            else:
                with pytest.raises(PermissionDeniedError):
                    await keys.delete(call)
        assert [row.key for row in api.parking.state.keys("")] == ["b/1"]


async def test_raw_is_made_safe_for_browsers() -> None:
    """Measured trap 7."""
    async with open_api() as api:
        await api.submit(PutKey("a", b"<script>"))
        answer = await get(api, "a", "raw")
    assert (answer.status, answer.body, answer.content_type) == (200, b"<script>", b"text/plain; charset=utf-8")
    assert {(b"content-security-policy", b"sandbox"), (b"x-content-type-options", b"nosniff")} <= set(answer.headers)


async def test_a_hidden_key_moves_no_index_and_wakes_nobody(autojump_clock: MockClock) -> None:
    """Who sees a part of a tree sees its index move with that part alone; a header says that there is more."""
    async with open_api() as api, trio.open_nursery() as nursery:
        await fill(api, "a/1", "b/1")
        first = await get(api, "", "recurse", Only("a/"))
        index = int(dict(first.headers)[b"x-consul-index"])
        assert (b"x-consul-results-filtered-by-acls", b"true") in first.headers
        await fill(api, "b/2")
        again = await get(api, "", "recurse", Only("a/"))
        assert dict(again.headers)[b"x-consul-index"] == b"%d" % index
        answers = []

        async def block() -> None:
            answers.append(await get(api, "", f"recurse&index={index}&wait=60s", Only("a/")))

        nursery.start_soon(block)
        await trio.sleep(1)
        await fill(api, "b/3")
        await trio.sleep(1)
        assert answers == []
        await fill(api, "a/2")
        await trio.sleep(1)
        assert [row["Key"] for row in msgspec.json.decode(answers[0].body)] == ["a/1", "a/2"]
