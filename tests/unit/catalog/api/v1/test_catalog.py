"""Catalog endpoints as handlers: rights by node, leases of agents, and what a read rests on."""

import msgspec
import pytest
import trio

from catalog.access.callers import OPERATOR, Caller, CallerKind, Grant
from catalog.api.http.errors import PermissionDeniedError, RefusedError
from catalog.api.v1.catalog import CatalogEndpoints
from catalog.api.v1.sync import LEASE_TTL_S
from tests.fakes.catalog_calls import make_call, open_api

NODE = Caller(CallerKind.NODE, "n1")
BODY = {"Node": "n1", "Address": "192.0.2.1"}


@pytest.mark.parametrize(("caller", "ttl_s"), [(OPERATOR, None), (NODE, LEASE_TTL_S)])
async def test_what_an_agent_registers_hangs_on_its_lease(caller: Caller, ttl_s: float | None) -> None:
    """What anybody else registers has none, as in Consul."""
    async with open_api() as api:
        answer = await CatalogEndpoints(api).register(make_call("PUT", body=BODY, caller=caller))
        lease = api.parking.state.lease("n1")
    assert answer.body == b"true"
    assert (lease and lease.ttl_s) == ttl_s


async def test_an_agent_that_falls_silent_turns_critical(autojump_clock: trio.testing.MockClock) -> None:
    """Once its lease is over, not before."""
    async with open_api() as api:
        await CatalogEndpoints(api).register(make_call("PUT", body=BODY, caller=NODE))
        await trio.sleep(LEASE_TTL_S - 1)
        assert [check.status for check in api.parking.state.node_checks("n1")] == ["passing"]
        await trio.sleep(2)
        assert [check.status for check in api.parking.state.node_checks("n1")] == ["critical"]


@pytest.mark.parametrize("handler", ["register", "deregister"])
async def test_a_node_speaks_for_itself_alone(handler: str) -> None:
    async with open_api() as api:
        endpoints = CatalogEndpoints(api)
        with pytest.raises(PermissionDeniedError, match="n2"):
            await getattr(endpoints, handler)(make_call("PUT", body={**BODY, "Node": "n2"}, caller=NODE))


async def test_a_node_registers_only_what_it_was_granted() -> None:
    """And nothing of a registration that holds more."""
    granted = Caller(CallerKind.NODE, "n1", Grant(("web",)))
    async with open_api() as api:
        endpoints = CatalogEndpoints(api)
        await endpoints.register(make_call("PUT", body={**BODY, "Service": {"Service": "web"}}, caller=granted))
        for caller, service in ((NODE, "web"), (granted, "db")):
            with pytest.raises(PermissionDeniedError, match=f"token create --node n1 --service {service}"):
                await endpoints.register(
                    make_call("PUT", body={**BODY, "Service": {"Service": service}}, caller=caller)
                )
        assert list(api.parking.state.services()) == ["web"]


@pytest.mark.parametrize("body", [{}, {"Node": "n1"}, {"Address": "a"}, {"SkipNodeUpdate": True}])
async def test_a_registration_needs_node_and_address(body: dict[str, object]) -> None:
    """With Consul's status: 500."""
    async with open_api() as api:
        with pytest.raises(RefusedError, match="Node"):
            await CatalogEndpoints(api).register(make_call("PUT", body=body))


async def test_a_deregistration_needs_a_node() -> None:
    async with open_api() as api:
        with pytest.raises(RefusedError, match="Node"):
            await CatalogEndpoints(api).deregister(make_call("PUT", body={"ServiceID": "web"}))


async def test_filtered_services_keep_only_the_tags_of_what_is_kept() -> None:
    async with open_api() as api:
        endpoints = CatalogEndpoints(api)
        for node, tag in (("n1", "a"), ("n2", "b")):
            service = {"Service": "web", "Tags": [tag]}
            await endpoints.register(make_call("PUT", body={**BODY, "Node": node, "Service": service}))
        answer = await endpoints.services(make_call(query="filter=Node%3D%3Dn2"))
    assert msgspec.json.decode(answer.body) == {"web": ["b"]}
