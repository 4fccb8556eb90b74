"""Queries as DNS asks them."""

from typing import Any

import msgspec

from catalog.access.acl.settings import EVERYONE
from catalog.access.authorizer import EVERYTHING
from catalog.api.query.made import make_dns_queries
from catalog.api.query.names import DnsQueries
from catalog.api.query.runner import QueryRunner
from catalog.api.query.store import QueryStore, put_change
from catalog.compile.queries.definition import Kept, Query
from catalog.state.changes import Register
from catalog.state.records import Check, Node, ServiceInstance, Weights
from catalog.state.state import State
from mesh.model.endpoint import Health
from tests.fakes.catalog_calls import open_api


def queries(*bodies: dict[str, Any]) -> DnsQueries:
    state = State()
    web = ServiceInstance("web", "web-1", address="10.0.0.9", port=80, tags=("V1",), weights=Weights(5, 2))
    bad = Check("c", status=Health.CRITICAL, service_id="web-1")
    state.apply(Register(Node("n1", "10.0.0.1"), (web,), (bad,)), 2, 0.0)
    for number, body in enumerate(bodies):
        state.apply(put_change(Kept(msgspec.convert({"ID": str(number), **body}, Query))), 3 + number, 0.0)
    runner = QueryRunner(QueryStore(), "", list.reverse, lambda _: None)
    return DnsQueries(lambda: state, lambda: EVERYTHING, runner)


def test_execute() -> None:
    """Endpoints with the health that the query sees, and its TTL."""
    service = {"Service": "web", "IgnoreCheckIDs": ["c"]}
    found = queries({"Name": "q", "Service": service, "DNS": {"TTL": "9s"}}).execute("q")
    assert found is not None
    (endpoint,) = found.endpoints
    assert (found.ttl_s, endpoint.at.text, endpoint.port, endpoint.weight) == (9, "10.0.0.9", 80, 5)
    assert (endpoint.health, endpoint.tags, endpoint.host.name) == (Health.PASSING, frozenset({"v1"}), "n1")


def test_what_is_not_there() -> None:
    """No query, or one whose template cannot be filled in."""
    template: dict[str, Any] = {
        "Name": "",
        "Template": {"Type": "name_prefix_match"},
        "Service": {"Service": "${nope}"},
    }
    assert queries().execute("q") is None
    assert queries(template).execute("q") is None


async def test_made_for_a_catalog() -> None:
    async with open_api(acl=EVERYONE) as api:
        assert make_dns_queries(api).execute("q") is None
