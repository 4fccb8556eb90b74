"""The chain's endpoint as a handler: rights, overrides, and whom a change wakes."""

from typing import Any

import msgspec
import pytest
import trio

from catalog.access.callers import Caller, CallerKind
from catalog.api.chain.endpoints import ChainEndpoints, OverridesBody, read_overrides
from catalog.api.http.errors import BadRequestError, PermissionDeniedError, RefusedError
from catalog.state.changes import PutConfig
from tests.fakes.catalog_calls import make_call, open_api


def body_of(answer: Any) -> Any:
    return msgspec.json.decode(answer.body)["Chain"]


async def test_an_unrelated_change_wakes_nobody_and_moves_the_index(autojump_clock: Any) -> None:
    """Measured trap 5: it sleeps on, and answers a higher index when its time is up."""
    async with open_api() as api, trio.open_nursery() as nursery:

        async def write() -> None:
            await trio.sleep(1)
            await api.submit(PutConfig("service-defaults", "other", {"Kind": "service-defaults", "Name": "other"}))

        nursery.start_soon(write)
        start_s = trio.current_time()
        answer = await ChainEndpoints(api).get(make_call(query="index=1&wait=10s", service="web"))
        assert 10 <= trio.current_time() - start_s <= 11
        assert dict(answer.headers)[b"x-consul-index"] == b"2"


async def test_a_change_of_the_chain_wakes(autojump_clock: Any) -> None:
    async with open_api() as api, trio.open_nursery() as nursery:

        async def write() -> None:
            await trio.sleep(1)
            body = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
            await api.submit(PutConfig("service-defaults", "web", body))

        nursery.start_soon(write)
        start_s = trio.current_time()
        answer = await ChainEndpoints(api).get(make_call(query="index=1&wait=10s", service="web"))
        assert trio.current_time() - start_s == pytest.approx(1, abs=0.1)
        assert body_of(answer)["Protocol"] == "http"


async def test_who_may_read() -> None:
    """service:read of the service."""
    async with open_api() as api:
        nobody = make_call(service="web", caller=Caller(CallerKind.SERVICE, "api"))
        with pytest.raises(PermissionDeniedError, match="service:read"):
            await ChainEndpoints(api).get(nobody)


async def test_a_post_overrides() -> None:
    """Both spellings; an empty body overrides nothing; another datacenter to compile for is taken."""
    async with open_api() as api:
        endpoints = ChainEndpoints(api)
        answer = await endpoints.post(make_call("POST", body={"override_protocol": "HTTP"}, service="web"))
        assert body_of(answer)["Protocol"] == "http"
        assert body_of(await endpoints.post(make_call("POST", service="web")))["Protocol"] == "tcp"
        answer = await endpoints.get(make_call(query="compile-dc=dc2", service="web"))
        assert body_of(answer)["StartNode"] == "resolver:web.default.default.dc2"
        with pytest.raises(BadRequestError, match="compile-dc"):
            await endpoints.get(make_call(query="compile-dc=a%20b", service="web"))


@pytest.mark.parametrize(
    "body",
    [
        OverridesBody(override_protocol="smtp"),
        OverridesBody(override_connect_timeout="5"),
        msgspec.convert({"OverrideMeshGateway": {"Mode": "far"}}, OverridesBody),
    ],
)
def test_bad_overrides(body: OverridesBody) -> None:
    with pytest.raises(BadRequestError, match="Override"):
        read_overrides(body)


async def test_a_chain_that_contradicts_itself_is_an_error() -> None:
    """Entries of a store that an older version wrote may."""
    async with open_api() as api:
        body = {"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": 100.0}]}
        await api.submit(PutConfig("service-splitter", "web", body))
        with pytest.raises(RefusedError, match="service-splitter"):
            await ChainEndpoints(api).get(make_call(service="web"))
