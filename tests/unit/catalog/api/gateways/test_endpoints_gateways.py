"""Gateway endpoints as handlers: rights. Their answers are held by the conformance tests."""

import pytest

from catalog.access.callers import Caller, CallerKind
from catalog.api.gateways.endpoints import GatewayEndpoints
from catalog.api.http.errors import PermissionDeniedError
from tests.fakes.catalog_calls import make_call, open_api


async def test_who_may_read() -> None:
    """service:read of what is asked for."""
    sidecar = Caller(CallerKind.SERVICE, "api")
    async with open_api() as api:
        endpoints = GatewayEndpoints(api)
        with pytest.raises(PermissionDeniedError):
            await endpoints.services(make_call(caller=sidecar, gateway="edge"))
        with pytest.raises(PermissionDeniedError):
            await endpoints.ingress(make_call(caller=sidecar, service="web"))
        assert (await endpoints.services(make_call(gateway="edge"))).body == b"[]"
