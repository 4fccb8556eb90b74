"""Health endpoints as handlers: node-meta over checks, and states."""

import msgspec
import pytest

from catalog.api.http.errors import BadRequestError
from catalog.api.v1.catalog import CatalogEndpoints
from catalog.api.v1.health import STATES, HealthEndpoints
from tests.fakes.catalog_calls import make_call, open_api


def test_the_states_are_consuls() -> None:
    assert set(STATES) == {"any", "passing", "warning", "critical"}


async def test_checks_are_kept_by_their_nodes_meta() -> None:
    async with open_api() as api:
        catalog, health = CatalogEndpoints(api), HealthEndpoints(api)
        for node, rack in (("n1", "7"), ("n2", "8")):
            body = {"Node": node, "Address": "a", "NodeMeta": {"rack": rack}, "Check": {"Name": f"c-{node}"}}
            await catalog.register(make_call("PUT", body=body))
        answer = await health.state(make_call(query="node-meta=rack:8", name="any"))
    assert [check["CheckID"] for check in msgspec.json.decode(answer.body)] == ["c-n2"]


async def test_an_unknown_state_is_refused() -> None:
    async with open_api() as api:
        with pytest.raises(BadRequestError, match="unknown"):
            await HealthEndpoints(api).state(make_call(name="unknown"))


@pytest.mark.parametrize(("passing", "found"), [("passing", 0), ("passing=0", 1), ("", 1)])
async def test_passing_asks_for_all_checks(passing: str, found: int) -> None:
    """One critical check of the node hides its instances."""
    async with open_api() as api:
        body = {"Node": "n1", "Address": "a", "Service": {"Service": "web"}, "Check": {"Name": "disk"}}
        await CatalogEndpoints(api).register(make_call("PUT", body=body))
        answer = await HealthEndpoints(api).service(make_call(query=passing, name="web"))
    assert len(msgspec.json.decode(answer.body)) == found
