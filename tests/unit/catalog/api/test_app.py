"""The app: what nobody serves, and other rooms' routes first."""

from typing import Any

from catalog.api.app import application, family_routes, routes
from catalog.api.gate import OPEN
from catalog.api.http.answer import Answer, text_answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Method
from tests.fakes.catalog_calls import open_api


async def ask(app: Any, path: str, kind: str = "http") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": kind, "method": "GET", "path": path, "headers": [], "query_string": b"", "root_path": ""}
    await app(scope, receive, send)
    return sent


async def test_what_nobody_serves_is_404_in_plain_text() -> None:
    async with open_api() as api:
        start, body = await ask(application(routes(api)), "/v1/nothing")
    assert start["status"] == 404
    assert (b"content-type", b"text/plain; charset=utf-8") in start["headers"]
    assert body["body"].startswith(b"404")


async def test_websockets_are_closed() -> None:
    async with open_api() as api:
        assert await ask(application(routes(api)), "/v1/catalog/nodes", "websocket") == [{"type": "websocket.close"}]


async def test_routes_of_other_rooms_come_first() -> None:
    """`linkspan dev` mounts `/v1/agent/*` before these, with the same conventions."""

    async def mine(_call: Call) -> Answer:
        return text_answer("mine")

    async with open_api() as api:
        own = family_routes(api.gate, {"/v1/catalog/nodes": {"GET": Method(mine, OPEN)}})
        start, body = await ask(application([*own, *routes(api)]), "/v1/catalog/nodes")
    assert (start["status"], body["body"]) == (200, b"mine")
    assert (b"x-consul-default-acl-policy", b"deny") in start["headers"]
