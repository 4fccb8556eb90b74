"""The trust bundle."""

import msgspec
import pytest

from catalog.api.v1.roots import RootEndpoints, root_json
from tests.fakes.catalog_calls import make_call, open_api


@pytest.mark.parametrize(("query", "pem"), [("", False), ("pem", True), ("pem=true", True), ("pem=false", False)])
async def test_json_or_pem(query: str, pem: bool) -> None:
    async with open_api() as api:
        answer = await RootEndpoints(api).roots(make_call(query=query))
        root_pem = api.authority.root_pem
    if pem:
        assert answer.body.decode() == root_pem
    else:
        assert msgspec.json.decode(answer.body)["Roots"][0]["RootCert"] == root_pem


async def test_a_roots_numbers_fit_consuls_fields() -> None:
    """Consul's serial number is a 64-bit number, its key ID hexadecimal with colons."""
    async with open_api() as api:
        shown = root_json(api.roots().roots[0], 7)
    assert 0 <= shown["SerialNumber"] < 2**64
    assert shown["SigningKeyID"].count(":") == 19
    assert shown["NotAfter"].endswith("Z")
    assert shown["ModifyIndex"] == 7
