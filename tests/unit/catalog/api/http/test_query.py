"""Query parameters: what each means, and what is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.api.http.errors import BadRequestError, RefusedError
from catalog.api.http.query import DEFAULT_WAIT_S, MAX_WAIT_S, Query, parse_query


def parse(raw: str, *, tenants_ignored: bool = False) -> Query:
    return parse_query(raw.encode(), datacenter="dc1", tenants_ignored=tenants_ignored)


@pytest.mark.parametrize(
    ("raw", "index", "wait_s"),
    [
        ("", 0, 0.0),
        ("wait=10s", 0, 0.0),
        ("index=0&wait=10s", 0, 0.0),
        ("index=7", 7, DEFAULT_WAIT_S),
        ("index=7&wait=10s", 7, 10.0),
        ("index=7&wait=1m30s", 7, 90.0),
        ("index=7&wait=250ms", 7, 0.25),
        ("index=7&wait=0s", 7, DEFAULT_WAIT_S),
        ("index=7&wait=24h", 7, MAX_WAIT_S),
        ("index=18446744073709551615&wait=1s", 2**63 - 1, 1.0),
    ],
)
def test_blocking_parameters(raw: str, index: int, wait_s: float) -> None:
    """Default wait 300 s, at most 600 s; without an index a query never blocks."""
    query = parse(raw)
    assert (query.index, query.wait_s) == (index, wait_s)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("index=x", "Invalid index"),
        ("index=-1", "Invalid index"),
        ("index=1&wait=10", "Invalid wait"),
        ("wait=soon", "Invalid wait"),
        ("index=1&wait=soon", "Invalid wait"),
        ("index=1&wait=-5s", "Invalid wait"),
        ("stale&consistent", "conflicting semantics"),
        ("cached&consistent", "conflicting semantics"),
        ("ns=team", '"ns"'),
        ("ns=default", '"ns"'),
        ("partition=p", '"partition"'),
        ("peer=p", '"peer"'),
        ("a=%ff", "Invalid query string"),
        ("&".join("a=1" for _ in range(300)), "at most 256"),
    ],
)
def test_refusals(raw: str, text: str) -> None:
    with pytest.raises(BadRequestError, match=text):
        parse(raw)


def test_the_nodes_endpoint_ignores_a_namespace() -> None:
    """`catalog/nodes?ns=team` is 200 in Consul (measured)."""
    assert parse("ns=team", tenants_ignored=True).values["ns"] == ("team",)


@pytest.mark.parametrize("raw", ["dc=dc2", "datacenter=dc2", "datacenter=dc2&dc=dc1"])
def test_another_datacenter_is_500(raw: str) -> None:
    """`datacenter` beats `dc`; an unknown one is 500 `No path to datacenter`."""
    with pytest.raises(RefusedError, match=r"^No path to datacenter$"):
        parse(raw)


@pytest.mark.parametrize("raw", ["dc=dc1", "datacenter=DC1", "datacenter=dc1&dc=dc2", "dc="])
def test_the_own_datacenter_passes(raw: str) -> None:
    parse(raw)


def test_consistency_and_lists() -> None:
    query = parse("stale&tag=a&tag=b&node-meta=k:v&node-meta=x:y:z&near=n1&pretty&passing&cached&filter=a%20b&tag=")
    assert query.consistency == "stale"
    assert query.tags == ("a", "b")
    assert query.node_meta == (("k", "v"), ("x", "y:z"))
    assert (query.near, query.filter, query.pretty, query.cached) == ("n1", "a b", True, True)
    assert query.flag("passing")
    assert not parse("passing=false").flag("passing")
    assert parse("consistent").consistency == "consistent"


@given(st.binary(max_size=300))
def test_any_bytes_give_a_query_or_a_refusal(raw: bytes) -> None:
    with contextlib.suppress(BadRequestError, RefusedError):
        assert isinstance(parse_query(raw, datacenter="dc1"), Query)
