"""`/v1/agent/metrics`, `monitor` and `host` as clients see them."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import trio

from agents.vm.api.app import agent_app, agent_routes
from agents.vm.api.call import Endpoint
from agents.vm.api.host import Host
from agents.vm.api.rights import REFUSING
from agents.vm.api.telemetry.endpoints import MAX_MONITORS, Telemetry

MakeHost = Callable[..., Host]
ClientOf = Callable[[Any], httpx2.AsyncClient]


async def test_metrics_and_host(make_host: MakeHost, client_of: ClientOf) -> None:
    """Both forms of the numbers; the machine."""
    async with client_of(agent_app(make_host(), Endpoint())) as client:
        shown = (await client.get("/v1/agent/metrics")).json()
        assert set(shown) == {"Timestamp", "Gauges", "Points", "Counters", "Samples"}
        text = await client.get("/v1/agent/metrics?format=prometheus")
        assert text.headers["content-type"].startswith("text/plain; version=")
        assert "linkspan_agent_services 0.0" in text.text
        assert (await client.get("/v1/agent/host")).json()["Errors"] is None


@pytest.mark.parametrize("path", ["metrics", "monitor", "host"])
async def test_all_take_rights(path: str, make_host: MakeHost, client_of: ClientOf) -> None:
    """agent:read, and operator:read for the machine."""
    async with client_of(agent_app(make_host(rights=REFUSING), Endpoint())) as client:
        assert (await client.get(f"/v1/agent/{path}")).status_code == 403


async def test_a_bad_level_is_refused_before_anything_is_streamed(make_host: MakeHost, client_of: ClientOf) -> None:
    """400."""
    async with client_of(agent_app(make_host(), Endpoint())) as client:
        answer = await client.get("/v1/agent/monitor?loglevel=not-a-real-level")
    assert (answer.status_code, answer.text) == (400, "Unknown log level: not-a-real-level")


async def test_the_log_ends_when_its_reader_goes(make_host: MakeHost, nursery: trio.Nursery) -> None:
    """The answer starts at once; a hang-up ends it; only so many read at a time."""
    route = next(one for one in agent_routes(make_host()) if one.path == "/v1/agent/monitor")
    started, over = trio.Event(), trio.Event()
    hang_up = trio.Event()

    async def one_reader() -> None:
        bodies = [b""]

        async def receive() -> dict[str, Any]:
            if bodies:
                return {"type": "http.request", "body": bodies.pop()}
            await hang_up.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            if message["type"] == "http.response.start":
                assert message["status"] == 200
            started.set()

        scope = {"type": "http", "method": "GET", "path": "/v1/agent/monitor", "query_string": b"", "headers": []}
        await route.app(scope, receive, send)
        over.set()

    nursery.start_soon(one_reader)
    with trio.fail_after(2):
        await started.wait()
        hang_up.set()
        await over.wait()


async def test_only_so_many_read_the_log(make_host: MakeHost) -> None:
    """The next one is told, and may come when one has gone."""
    from agents.vm.api.call import Call, CallError

    telemetry, call = Telemetry(make_host()), Call("GET", "/v1/agent/monitor")

    async def never(_: bytes) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as readers:
        for _ in range(MAX_MONITORS):
            answer = await telemetry.monitor(call)
            assert answer.stream is not None
            readers.start_soon(answer.stream, never)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(CallError) as caught:
            await telemetry.monitor(call)
        assert caught.value.status == 429
        readers.cancel_scope.cancel()
    assert (await telemetry.monitor(call)).status == 200
