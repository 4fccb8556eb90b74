"""The host's way to the catalog, and its news."""

from collections.abc import Callable

import pytest
import trio
import trio.testing

from agents.vm.api.call import CallError
from agents.vm.api.forward import CatalogAwayError, Headers, Passed
from agents.vm.api.host import Host
from agents.vm.definition.values import ServiceDefinition
from agents.vm.local.entries import Origin
from agents.vm.local.registrar import RegistrarError

MakeHost = Callable[..., Host]


async def test_the_callers_token_goes_along(make_host: MakeHost) -> None:
    """And nothing where there is none."""
    seen: list[Headers] = []

    async def upstream(method: str, target: str, headers: Headers, body: bytes) -> Passed:
        await trio.lowlevel.checkpoint()
        seen.append(headers)
        return Passed(404, (), body)

    host = make_host(upstream=upstream)
    assert (await host.catalog("PUT", "/v1/x", token="t", body=b"b")).body == b"b"
    assert (await host.catalog("GET", "/v1/x")).status == 404
    assert seen == [(("x-consul-token", "t"),), ()]


async def test_a_catalog_that_is_away_is_503(make_host: MakeHost) -> None:
    """Also where there is no way to it at all."""

    async def upstream(method: str, target: str, headers: Headers, body: bytes) -> Passed:
        await trio.lowlevel.checkpoint()
        raise CatalogAwayError("gone")

    for host in (make_host(upstream=upstream), make_host()):
        with pytest.raises(CallError) as caught:
            await host.catalog("GET", "/v1/x")
        assert caught.value.status == 503


async def test_news_wakes_at_the_next_change(make_host: MakeHost, nursery: trio.Nursery) -> None:
    """Every waiter, once."""
    host, woken = make_host(), []

    async def wait() -> None:
        await host.news.wait()
        woken.append(1)

    nursery.start_soon(wait)
    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    host.state.put_service(ServiceDefinition("web", "web"), Origin.API, 0)
    await trio.testing.wait_all_tasks_blocked()
    assert woken == [1, 1]
    assert await trio.to_thread.run_sync(lambda: host.is_server) is False


async def test_the_nodes_own_way(make_host: MakeHost) -> None:
    """No caller's token goes along; a catalog that is away is 503, and so is none."""

    async def own(method: str, target: str, body: bytes = b"", token: str = "") -> tuple[int, bytes]:
        await trio.lowlevel.checkpoint()
        assert not token
        if target == "/away":
            raise RegistrarError("gone")
        return 200, body

    assert (await make_host(own_call=own).as_node("PUT", "/v1/x", b"b")).body == b"b"
    for host in (make_host(own_call=own), make_host()):
        with pytest.raises(CallError) as caught:
            await host.as_node("GET", "/away")
        assert caught.value.status == 503
