"""The life of leaves can be changed, within its bounds, and outlives a restart; nothing else can."""

import msgspec
import pytest

from catalog.api.http.errors import BadRequestError
from catalog.api.operator.authority import AuthorityEndpoints
from tests.fakes.catalog_calls import make_call, open_api


async def test_the_life_of_leaves_is_changed_at_once_and_for_good() -> None:
    """The authority issues with it, and so does the next process that reads this state."""
    async with open_api() as api:
        endpoints = AuthorityEndpoints(api)
        first = msgspec.json.decode((await endpoints.read(make_call())).body)
        assert first["Config"]["LeafCertTTL"] == "24h0m0s"
        await endpoints.write(make_call("PUT", body={**first, "Config": {**first["Config"], "LeafCertTTL": "72h"}}))
        assert api.authority.leaf_ttl_s == 72 * 3600
        api.authority.leaf_ttl_s = 60
        again = AuthorityEndpoints(api)
        assert api.authority.leaf_ttl_s == 72 * 3600
        shown = msgspec.json.decode((await again.read(make_call())).body)
        assert shown["Config"]["LeafCertTTL"] == "72h"
        assert shown["ModifyIndex"] > 0


@pytest.mark.parametrize(
    "body",
    [
        {"Provider": "vault"},
        {"Config": {"LeafCertTTL": "soon"}},
        {"Config": {"LeafCertTTL": "1s"}},
        {"Config": {"LeafCertTTL": "8760h"}},
        {"Config": {"PrivateKeyBits": 1}},
        {"Config": {"PrivateKey": "-----BEGIN"}},
        {"Nonsense": 1},
    ],
)
async def test_what_cannot_be_is_refused(body: object) -> None:
    """Other providers, other keys, lives out of bounds: 400, and nothing is changed."""
    async with open_api() as api:
        before = api.authority.leaf_ttl_s
        with pytest.raises(BadRequestError):
            await AuthorityEndpoints(api).write(make_call("PUT", body=body))
        assert api.authority.leaf_ttl_s == before
