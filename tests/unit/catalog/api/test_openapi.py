"""The description tells every route that is served, by the words of its handler, and nothing else."""

import msgspec
from starlette.routing import Route

from catalog.api.app import routes
from catalog.api.gate import IN_HANDLER
from catalog.api.http.answer import Answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Endpoint, Method
from catalog.api.openapi import PATH, document
from tests.fakes.catalog_calls import open_api


class Box(msgspec.Struct):
    """A body."""

    Name: str
    Inner: tuple["Box", ...] = ()


async def put_box(call: Call) -> Answer:
    """Put a box.

    And more.
    """
    return Answer(200, call.body)


async def test_every_route_is_described() -> None:
    """Each path and method, with all path parameters declared, and no path twice."""
    async with open_api() as api:
        served = [route for route in routes(api) if isinstance(route, Route)]
        told = document(served)["paths"]
        for route in served:
            assert isinstance(route.endpoint, Endpoint)
            template = route.path.replace(":path}", "}").replace(":key}", "}")
            assert {name.lower() for name in route.endpoint.methods} <= set(told[template])
    for path, methods in told.items():
        for operation in methods.values():
            assert operation["summary"], path
            declared = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}
    assert PATH not in told or told[PATH]["get"]


async def test_a_body_is_described_by_its_type() -> None:
    """Its schema stands once, by name."""
    async with open_api() as api:
        endpoint = Endpoint(api.gate, {"PUT": Method(put_box, IN_HANDLER, body=Box)})
    told = document([Route("/v1/box/{name:path}", endpoint)])
    operation = told["paths"]["/v1/box/{name}"]["put"]
    assert operation["summary"] == "Put a box."
    content = operation["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/Box"}
    assert told["components"]["schemas"]["Box"]["required"] == ["Name"]
