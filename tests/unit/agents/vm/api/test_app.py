"""The routes together: the more exact path wins, the rest goes where it belongs, websockets go nowhere."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import trio

from agents.vm.api.app import agent_app, agent_routes
from agents.vm.api.call import Answer, Call, Endpoint, text_answer
from agents.vm.api.host import Host
from agents.vm.definition.values import ServiceDefinition
from agents.vm.local.entries import Origin

MakeHost = Callable[..., Host]
ClientOf = Callable[[Any], httpx2.AsyncClient]


async def rest(call: Call) -> Answer:
    return text_answer(f"rest {call.target}", 202)


async def test_paths_find_their_handlers(make_host: MakeHost, client_of: ClientOf) -> None:
    """IDs with slashes and encoded letters reach the handler; a trailing slash is another path."""
    host = make_host()
    host.state.put_service(ServiceDefinition("a/b c", "web"), Origin.API, 0)
    async with client_of(agent_app(host, Endpoint(any_method=rest))) as client:
        assert (await client.get("/v1/agent/service/a/b%20c")).json()["Service"] == "web"
        assert (await client.put("/v1/agent/service/deregister/a/b%20c")).status_code == 200
        for target in ("/v1/catalog/services?x=1", "/v1/agent/services/", "/v1/agent/nothing"):
            answer = await client.get(target)
            assert (answer.status_code, answer.text) == (202, f"rest {target}")
        assert (await client.get("/v1/agent/service/register")).status_code == 405


def test_every_path_is_an_agents(make_host: MakeHost) -> None:
    """Nothing here can hide a path of the catalog, and no path stands twice."""
    paths = [route.path for route in agent_routes(make_host())]
    assert all(path.startswith("/v1/agent/") or path == "/" for path in paths)
    assert len(paths) == len(set(paths))


async def test_websockets_are_closed(make_host: MakeHost) -> None:
    """There are none in this API."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        await trio.lowlevel.checkpoint()

    async def receive() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"type": "websocket.connect"}

    for path in ("/v1/agent/self", "/v1/x"):
        scope = {"type": "websocket", "path": path, "headers": [], "query_string": b"", "root_path": ""}
        await agent_app(make_host(), Endpoint(any_method=rest))(scope, receive, send)
    assert {message["type"] for message in sent} == {"websocket.close"}


@pytest.mark.parametrize("path", ["/v1/agent/self", "/v1/agent/checks", "/v1/agent/services", "/v1/agent/members"])
async def test_head_is_no_get(path: str, make_host: MakeHost, client_of: ClientOf) -> None:
    """As in Consul."""
    async with client_of(agent_app(make_host(), Endpoint(any_method=rest))) as client:
        assert (await client.head(path)).status_code == 405
