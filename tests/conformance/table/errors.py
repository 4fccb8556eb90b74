"""The texts that clients and people meet, each with the request that brings it about. Run by the table's test."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Refusal:
    """A request to an open catalog in which nothing is registered, and what it is answered."""

    request: str
    status: int
    text: str
    body: Any = None


REFUSALS = (
    Refusal("GET /v1/catalog/nodes?dc=dc2", 500, "No path to datacenter"),
    Refusal("GET /v1/catalog/nodes?index=x", 400, "Invalid index"),
    Refusal("GET /v1/catalog/nodes?index=1&wait=x", 400, "Invalid wait time"),
    Refusal(
        "GET /v1/catalog/nodes?stale&consistent", 400, "Cannot specify ?stale with ?consistent, conflicting semantics."
    ),
    Refusal("GET /v1/catalog/services?ns=team", 400, 'Invalid query parameter: "ns"'),
    Refusal("GET /v1/catalog/nodes?filter=%3D%3D", 500, "Failed to create boolean expression evaluator"),
    Refusal("HEAD /v1/catalog/nodes", 405, ""),
    Refusal("POST /v1/catalog/nodes", 405, "method POST not allowed"),
    Refusal("GET /v1/catalog/nodes/", 404, "404 page not found"),
    Refusal("PUT /v1/catalog/register", 400, "Request decode failed"),
    Refusal("PUT /v1/catalog/register", 500, "Must provide Node and Address", {"Node": "n"}),
    Refusal("PUT /v1/catalog/deregister", 500, "Must provide Node", {}),
    Refusal("GET /v1/health/state/sick", 400, "is no state"),
    Refusal("GET /v1/connect/intentions/exact?source=a&destination=b", 404, "Intention not found"),
    Refusal("GET /v1/config/nonsense", 400, "Config entry: invalid kind"),
    Refusal("GET /v1/config/service-defaults/web", 404, 'Config entry not found for "service-defaults" / "web"'),
    Refusal("PUT /v1/session/renew/00000000-0000-0000-0000-000000000000", 404, "not found"),
    Refusal("GET /v1/acl/tokens", 401, "ACL support disabled"),
    Refusal("GET /v1/agent/service/nobody", 404, 'Unknown service ID "nobody"'),
    Refusal("PUT /v1/agent/service/deregister/nobody", 404, 'Unknown service ID "nobody"'),
    Refusal("PUT /v1/agent/check/pass/nobody", 404, 'Unknown check ID "nobody"'),
    Refusal("PUT /v1/agent/maintenance", 400, "Missing value for enable"),
    Refusal("PUT /v1/snapshot", 400, "failed to restore the snapshot"),
    Refusal("GET /v1/query/00000000-0000-0000-0000-000000000000", 404, "Query not found"),
)
