"""Intention endpoints as handlers: names, and who may write."""

import pytest

from catalog.access.callers import ANONYMOUS, Caller, CallerKind
from catalog.api.http.errors import BadRequestError, PermissionDeniedError
from catalog.api.policy.intentions import IntentionEndpoints
from tests.fakes.catalog_calls import make_call, open_api

PAIR = "source=web&destination=api"


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("web", True),
        ("*", True),
        ("default/web", True),
        ("default/default/web", True),
        ("team/web", False),
        ("default/default/default/web", False),
        ("default/", False),
        ("/web", False),
    ],
)
async def test_names_may_carry_the_namespace_there_is(text: str, fits: bool) -> None:
    async with open_api() as api:
        call = make_call(query=f"source={text}&destination=api")
        if fits:
            assert (await IntentionEndpoints(api).check(call)).status == 200
        else:
            with pytest.raises(BadRequestError, match="'source'"):
                await IntentionEndpoints(api).check(call)


@pytest.mark.parametrize("caller", [ANONYMOUS, Caller(CallerKind.NODE, "n1"), Caller(CallerKind.SERVICE, "api")])
async def test_only_the_operator_writes(caller: Caller) -> None:
    async with open_api() as api:
        endpoints = IntentionEndpoints(api)
        with pytest.raises(PermissionDeniedError, match=r"Permission denied.*intention.*api"):
            await endpoints.put(make_call("PUT", PAIR, {"Action": "allow"}, caller=caller))
        with pytest.raises(PermissionDeniedError, match=r"Permission denied.*intention.*api"):
            await endpoints.delete(make_call("DELETE", PAIR, caller=caller))


async def test_a_check_names_its_type() -> None:
    async with open_api() as api:
        with pytest.raises(BadRequestError, match="source-type"):
            await IntentionEndpoints(api).check(make_call(query=f"{PAIR}&source-type=other"))


@pytest.mark.parametrize(("query", "names"), [("", "'by'"), ("by=source", "'name'"), ("by=x&name=web", "'by'")])
async def test_a_match_needs_by_and_name(query: str, names: str) -> None:
    async with open_api() as api:
        with pytest.raises(BadRequestError, match=names):
            await IntentionEndpoints(api).match(make_call(query=query))
