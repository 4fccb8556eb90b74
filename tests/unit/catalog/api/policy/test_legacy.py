"""Intentions by id as handlers: times, pairs that are taken, bodies that cannot be read."""

from typing import Any

import msgspec
import pytest

from catalog.api.http.call import Call
from catalog.api.http.errors import BadRequestError, NotFoundError, RefusedError
from catalog.api.policy.legacy import IntentionFamily
from tests.fakes.catalog_calls import make_call, open_api

BODY: dict[str, Any] = {"SourceName": "web", "DestinationName": "api", "Action": "allow"}


def on(method: str, body: Any, intention_id: str) -> Call:
    return msgspec.structs.replace(make_call(method, body=body), path={"intention_id": intention_id})


async def test_times_are_kept() -> None:
    """Made at one time, replaced at another."""
    now = [1_700_000_000.0]
    async with open_api(epoch=lambda: now[0]) as api:
        family = IntentionFamily(api)
        made = msgspec.json.decode((await family.create(make_call("POST", body=BODY))).body)["ID"]
        now[0] += 60
        await family.update(on("PUT", {**BODY, "Action": "deny"}, made))
        shown = msgspec.json.decode((await family.get(on("GET", None, made))).body)
    assert (shown["CreatedAt"], shown["UpdatedAt"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:14:20Z")


async def test_an_update_takes_no_other_pair() -> None:
    async with open_api() as api:
        family = IntentionFamily(api)
        made = msgspec.json.decode((await family.create(make_call("POST", body=BODY))).body)["ID"]
        await family.create(make_call("POST", body={**BODY, "SourceName": "shop"}))
        with pytest.raises(RefusedError, match="duplicate"):
            await family.update(on("PUT", {**BODY, "SourceName": "shop"}, made))
        with pytest.raises(NotFoundError):
            await family.update(on("PUT", BODY, "0" * 32))


@pytest.mark.parametrize(
    "body", [[], {}, {**BODY, "SourceName": 1}, {**BODY, "Meta": {"a": 1}}, {**BODY, "Meta": []}, {**BODY, "X": 1}]
)
async def test_bad_bodies(body: Any) -> None:
    async with open_api() as api:
        with pytest.raises(Exception, match=r"must be|unknown field") as caught:
            await IntentionFamily(api).create(
                make_call("POST", body=body if body != {**BODY, "Meta": []} else {**BODY, "Meta": [1]})
            )
    assert isinstance(caught.value, BadRequestError) or getattr(caught.value, "status", 0) == 400
