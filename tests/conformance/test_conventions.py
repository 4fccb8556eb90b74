"""What every endpoint shares (reference: Consul API conventions and measured traps), over a real socket."""

from typing import Any

import pytest

READS = (
    "/v1/catalog/nodes",
    "/v1/catalog/services",
    "/v1/catalog/service/web",
    "/v1/catalog/connect/web",
    "/v1/catalog/node/n1",
    "/v1/catalog/node-services/n1",
    "/v1/health/service/web",
    "/v1/health/connect/web",
    "/v1/health/checks/web",
    "/v1/health/node/n1",
    "/v1/health/state/any",
    "/v1/connect/intentions",
    "/v1/connect/intentions/match?by=destination&name=web",
    "/v1/config/service-defaults",
)
"""Every endpoint that blocks."""


@pytest.mark.parametrize("path", READS)
async def test_a_read_carries_consuls_headers(site: Any, path: str) -> None:
    answer = await site.get(path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert int(answer.headers["X-Consul-Index"]) >= 1
    assert answer.headers["X-Consul-KnownLeader"] == "true"
    assert answer.headers["X-Consul-LastContact"] == "0"
    assert answer.headers["X-Consul-Effective-Consistency"] == "leader"
    assert answer.headers["X-Consul-Query-Backend"] == "blocking-query"
    assert answer.headers["X-Consul-Default-ACL-Policy"] == "allow"
    assert "X-Consul-Translate-Addresses" not in answer.headers


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(
    ("parameter", "status", "text"),
    [
        ("dc=nowhere", 500, "No path to datacenter"),
        ("index=soon", 400, "Invalid index"),
        ("index=1&wait=10", 400, "Invalid wait time"),
        ("stale&consistent", 400, "conflicting semantics"),
        ("filter=%3D%3D", 500, "boolean expression"),
    ],
)
async def test_a_bad_parameter_is_refused_everywhere(
    site: Any, path: str, parameter: str, status: int, text: str
) -> None:
    joint = "&" if "?" in path else "?"
    answer = await site.get(f"{path}{joint}{parameter}")
    assert answer.status_code == status
    assert text in answer.text
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("HEAD", "/v1/catalog/services", "OPTIONS,GET"),
        ("POST", "/v1/catalog/services", "OPTIONS,GET"),
        ("DELETE", "/v1/health/service/web", "OPTIONS,GET"),
        ("GET", "/v1/catalog/register", "OPTIONS,PUT"),
        ("POST", "/v1/catalog/register", "OPTIONS,PUT"),
        ("PUT", "/v1/status/leader", "OPTIONS,GET"),
        ("PATCH", "/v1/connect/intentions/exact", "OPTIONS,GET,PUT,DELETE"),
        ("GET", "/v1/config", "OPTIONS,PUT"),
        ("PUT", "/v1/config/service-defaults/web", "OPTIONS,GET,DELETE"),
    ],
)
async def test_a_wrong_method_is_405_with_allow(site: Any, method: str, path: str, allow: str) -> None:
    """Also HEAD, which Consul does not serve."""
    answer = await site.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allow)
    if method != "HEAD":
        assert answer.text == f"method {method} not allowed"


async def test_options_lists_the_methods(site: Any) -> None:
    """200 with Allow, JSON type and an empty body (measured)."""
    answer = await site.request("OPTIONS", "/v1/config/service-defaults/web")
    assert (answer.status_code, answer.headers["Allow"], answer.content) == (200, "OPTIONS,GET,DELETE", b"")
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v2/catalog/nodes",
        "/v1/catalog/nodes/",
        "/v1/catalog/service/",
        "/v1/catalog/service/web/x",
        "/v1/catalog/nothing",
        "/V1/catalog/nodes",
        "/v1//catalog/nodes",
    ],
)
async def test_an_unknown_path_is_404(site: Any, path: str) -> None:
    """Also with a trailing slash; nothing is redirected."""
    answer = await site.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_namespaces_are_refused_but_on_nodes(site: Any) -> None:
    """`ns=default` is 400 on catalog/services, `catalog/nodes?ns=team` is 200 (measured)."""
    assert (await site.get("/v1/catalog/services?ns=default")).status_code == 400
    assert (await site.get("/v1/catalog/nodes?ns=team")).status_code == 200


async def test_pretty_is_indented(site: Any) -> None:
    assert (await site.get("/v1/catalog/datacenters?pretty")).text == '[\n    "dc1"\n]\n'
    assert (await site.get("/v1/catalog/datacenters")).text == '["dc1"]'


@pytest.mark.parametrize(
    ("parameter", "consistency"), [("stale", "stale"), ("consistent", "consistent"), ("", "leader")]
)
async def test_the_consistency_asked_for_is_told(site: Any, parameter: str, consistency: str) -> None:
    answer = await site.get(f"/v1/catalog/nodes?{parameter}")
    assert answer.headers["X-Consul-Effective-Consistency"] == consistency


async def test_cached_is_a_miss(site: Any) -> None:
    assert (await site.get("/v1/catalog/services?cached")).headers["X-Cache"] == "MISS"


async def test_status_is_what_harnesses_poll(site: Any) -> None:
    """Every test harness polls the leader until it is not empty."""
    assert (await site.get("/v1/status/leader")).json() == "127.0.0.1:8300"
    assert (await site.get("/v1/status/peers")).json() == ["127.0.0.1:8300"]
