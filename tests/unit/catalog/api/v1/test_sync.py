"""Sync and leases as handlers."""

import logging

import pytest
import trio

from catalog.access.callers import ANONYMOUS, Caller, CallerKind
from catalog.api.http.errors import BadRequestError, NotFoundError, PermissionDeniedError
from catalog.api.v1.catalog import CatalogEndpoints
from catalog.api.v1.sync import SyncEndpoints
from tests.fakes.catalog_calls import make_call, open_api

NODE = Caller(CallerKind.NODE, "n1")


async def test_renewals_keep_a_lease(autojump_clock: trio.testing.MockClock) -> None:
    """Every 5 s for a minute: never critical; then silence: critical; then back."""
    async with open_api() as api:
        await CatalogEndpoints(api).register(make_call("PUT", body={"Node": "n1", "Address": "a"}, caller=NODE))
        sync = SyncEndpoints(api)

        def status() -> str:
            return api.parking.state.node_checks("n1")[0].status

        for _ in range(12):
            await trio.sleep(5)
            await sync.sync(make_call("POST", body={"wants": [], "lease_node": "n1"}, caller=NODE))
            assert status() == "passing"
        await trio.sleep(20)
        assert status() == "critical"
        await sync.renew(make_call("PUT", node="n1", caller=NODE))
        assert status() == "passing"


@pytest.mark.parametrize("caller", [ANONYMOUS, Caller(CallerKind.NODE, "n2"), Caller(CallerKind.SERVICE, "n1")])
async def test_nobody_else_renews_a_lease(caller: Caller) -> None:
    async with open_api() as api:
        sync = SyncEndpoints(api)
        with pytest.raises(PermissionDeniedError, match="n1"):
            await sync.renew(make_call("PUT", node="n1", caller=caller))
        with pytest.raises(PermissionDeniedError, match="n1"):
            await sync.sync(make_call("POST", body={"wants": [], "lease_node": "n1"}, caller=caller))


async def test_a_node_that_is_not_registered_has_no_lease() -> None:
    async with open_api() as api:
        with pytest.raises(NotFoundError, match="register it"):
            await SyncEndpoints(api).renew(make_call("PUT", node="n1", caller=NODE))


async def test_a_refused_resource_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Who cannot use what it got says so, and the operator sees it."""
    refused = [{"name": "chain/web", "version": "v", "reason": "no such subset"}]
    with caplog.at_level(logging.WARNING):
        async with open_api() as api:
            await SyncEndpoints(api).sync(make_call("POST", body={"wants": [], "refused": refused}))
    assert "operator cannot use 'chain/web': 'no such subset'" in caplog.text


async def test_what_cannot_be_is_refused() -> None:
    async with open_api() as api:
        with pytest.raises(BadRequestError, match="chains"):
            await SyncEndpoints(api).sync(make_call("POST", body={"wants": [{"name": "chains/web"}]}))
