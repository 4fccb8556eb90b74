"""Query endpoints as handlers: what is written back, and names that are secrets."""

from typing import Any

import msgspec
import pytest

from catalog.access.authorizer import Access, Resource
from catalog.access.callers import ANONYMOUS
from catalog.api.http.call import Call
from catalog.api.http.errors import BadRequestError, PermissionDeniedError, RefusedError
from catalog.api.query.endpoints import QueryEndpoints
from catalog.api.query.store import put_change
from catalog.compile.queries.definition import HIDDEN, Kept, Query, QueryService, read_kept
from tests.fakes.catalog_calls import make_call, open_api

BODY: dict[str, Any] = {"Name": "q", "Service": {"Service": "web"}}


def on(method: str, body: Any, query_id: str) -> Call:
    return msgspec.structs.replace(make_call(method, body=body), path={"query": query_id})


async def test_a_hidden_token_stays_as_it_was() -> None:
    """Who reads a query and writes it back keeps its token."""
    async with open_api() as api:
        await api.submit(put_change(Kept(Query("id-1", "q", service=QueryService("web")), "accessor")))
        endpoints = QueryEndpoints(api)
        await endpoints.update(on("PUT", {**BODY, "Token": HIDDEN}, "id-1"))
        record = api.parking.state.record("query", "id-1")
        assert record is not None
        kept = read_kept(record.value)
        assert kept is not None
        assert kept.token_accessor == "accessor"
        await endpoints.update(on("PUT", BODY, "id-1"))
        record = api.parking.state.record("query", "id-1")
        assert record is not None
        assert b"accessor-" not in record.value


class WritesQueries:
    """May write every query, and nothing else."""

    accessor = "writer"

    def allows(self, resource: Resource, name: str, access: Access) -> bool:
        return (resource, access) == (Resource.QUERY, Access.WRITE) and bool(name)

    def allows_all(self, resource: Resource, prefix: str, access: Access) -> bool:
        return False


async def test_a_hidden_token_is_lent_to_no_other_purpose() -> None:
    """Who writes queries but holds no token of that might does not see with its rights what the query was not made for."""
    kept = Kept(Query("id-1", "q", service=QueryService("web")), "accessor")
    async with open_api() as api:
        await api.submit(put_change(kept))
        endpoints = QueryEndpoints(api)
        for body in ({"Service": {"Service": "secret"}}, {"Name": "r"}, {"Template": {"Type": "name_prefix_match"}}):
            call = msgspec.structs.replace(
                on("PUT", {**BODY, **body, "Token": HIDDEN}, "id-1"), authorizer=WritesQueries()
            )
            with pytest.raises(PermissionDeniedError, match="not shown"):
                await endpoints.update(call)
        call = on("PUT", {**BODY, "DNS": {"TTL": "9s"}, "Token": HIDDEN}, "id-1")
        await endpoints.update(msgspec.structs.replace(call, authorizer=WritesQueries()))
        record = api.parking.state.record("query", "id-1")
        assert record is not None
        after = read_kept(record.value)
        assert after is not None
        assert (after.token_accessor, after.query.service.service, after.query.dns.ttl) == ("accessor", "web", "9s")


async def test_an_unknown_query_is_not_replaced() -> None:
    async with open_api() as api:
        with pytest.raises(RefusedError, match="non-existent"):
            await QueryEndpoints(api).update(on("PUT", BODY, "id-1"))


async def test_who_may_not_write() -> None:
    async with open_api() as api:
        with pytest.raises(PermissionDeniedError, match="query:write"):
            await QueryEndpoints(api).create(make_call("POST", body=BODY, caller=ANONYMOUS))


@pytest.mark.parametrize("limit", ["x", "-1", "9" * 12])
async def test_a_limit_is_a_number(limit: str) -> None:
    async with open_api() as api:
        endpoints = QueryEndpoints(api)
        await endpoints.create(make_call("POST", body=BODY))
        call = make_call("GET", f"limit={limit}", None)
        with pytest.raises(BadRequestError, match="limit"):
            await endpoints.execute(msgspec.structs.replace(call, path={"query": "q"}))
