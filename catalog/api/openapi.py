"""The API's own description, OpenAPI 3.1, made from the routes that are served: what is not routed is not in it.

Paths, methods and texts come from the endpoints; bodies from the types that they are read into, where they say so. It must
never promise what an endpoint does not do, and tells nothing of what the catalog holds.
"""

import inspect
import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.routing import BaseRoute, Route

from catalog.api.api import Paths
from catalog.api.gate import OPEN
from catalog.api.http.answer import Answer
from catalog.api.http.call import Call
from catalog.api.http.endpoint import Endpoint, Method

PATH = "/v1/openapi.json"

_PARAMETER = re.compile(r"\{(?P<name>\w+)(?::\w+)?\}")
_DURATION = {"type": "string", "examples": ["10s", "1m30s"]}
_TEXT: dict[str, Any] = {"type": "string"}

_COMMON: dict[str, tuple[dict[str, Any], str]] = {
    "dc": (_TEXT, "The datacenter; only our own is known."),
    "pretty": ({"type": "boolean"}, "Print JSON for people."),
}
_READ: dict[str, tuple[dict[str, Any], str]] = {
    "index": ({"type": "integer", "minimum": 0}, "Block until the result's index passes this one."),
    "wait": (_DURATION, "How long to block at most."),
    "stale": ({"type": "boolean"}, "Any replica may answer."),
    "consistent": ({"type": "boolean"}, "Only a replica that is sure to be current may answer."),
    "cached": ({"type": "boolean"}, "An answer from an agent's cache will do."),
    "filter": (_TEXT, "An expression that every result must meet."),
    "near": (_TEXT, "Sort by the distance from this node."),
    "node-meta": (_TEXT, "`key:value` that a result's node must have."),
    "tag": (_TEXT, "A tag that a result must have."),
}
_ANSWERS = {
    "400": "A parameter or the body cannot be read.",
    "403": "The caller may not do this.",
    "404": "There is no such thing.",
    "405": "The path has no such method.",
    "408": "The body did not come in time.",
    "409": "A condition of a transaction did not hold.",
    "413": "The body exceeds its bound.",
    "429": "Too much at once, or unhealthy.",
    "500": "Refused, with Consul's text.",
    "503": "The catalog cannot do this now.",
}


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The description of these routes as an OpenAPI document."""
    components: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for route in routes:
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint):
            template = _PARAMETER.sub(r"{\g<name>}", route.path)
            methods = route.endpoint.methods
            described = {name.lower(): _operation(route.path, name, methods[name], components) for name in methods}
            paths.setdefault(template, {}).update(described)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Linkspan catalog", "version": version("linkspan"), "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Consul-Token"}},
        },
        "security": [{"token": []}, {}],
    }


def _operation(path: str, name: str, method: Method, components: dict[str, Any]) -> dict[str, Any]:
    words = (inspect.getdoc(method.handler) or "").split("\n\n")[0].replace("\n", " ")
    parameters = [
        {"name": match["name"], "in": "path", "required": True, "schema": _TEXT} for match in _PARAMETER.finditer(path)
    ]
    query = _COMMON | (_READ if name == "GET" else {})
    parameters += [
        {"name": key, "in": "query", "required": False, "schema": schema, "description": text}
        for key, (schema, text) in query.items()
    ]
    operation: dict[str, Any] = {"summary": words, "parameters": parameters, "responses": _responses()}
    if name in {"PUT", "POST"}:
        operation["requestBody"] = {
            "required": False,
            "content": {"application/json": {"schema": _body(method, components)}},
        }
    return operation


def _responses() -> dict[str, Any]:
    answers: dict[str, Any] = {"200": {"description": "Done; what was asked for.", "content": {"application/json": {}}}}
    plain = {"text/plain": {"schema": _TEXT}}
    return answers | {status: {"description": text, "content": plain} for status, text in _ANSWERS.items()}


def _body(method: Method, components: dict[str, Any]) -> dict[str, Any]:
    if method.body is None:
        return {}
    (schema,), found = msgspec.json.schema_components([method.body], ref_template="#/components/schemas/{name}")
    components.update(found)
    return schema


class OpenApiEndpoints:
    """Serves the description of `routes`; open to everyone who reaches the port, as it holds nothing of the catalog's."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = routes
        self._text = b""

    def paths(self) -> Paths:
        """The path and its method."""
        return {PATH: {"GET": Method(self.describe, OPEN)}}

    async def describe(self, call: Call) -> Answer:  # noqa: ARG002 - the same for every caller
        """This description."""
        self._text = self._text or msgspec.json.encode(document(self._routes))
        return Answer(200, self._text)
