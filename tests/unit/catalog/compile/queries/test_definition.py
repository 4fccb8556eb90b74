"""Queries as they are kept and shown, and Consul's rules for them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.compile.queries.definition import (
    HIDDEN,
    InvalidQueryError,
    Kept,
    Query,
    QueryService,
    QueryTemplate,
    check_query,
    query_json,
    read_kept,
    write_kept,
)

WEB = QueryService(service="web")


def query(**fields: object) -> Query:
    return msgspec.convert({"Name": "q", "Service": {"Service": "web"}, **fields}, Query)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (Query(service=WEB), "session"),
        (Query(name="x" * 256, service=WEB), "Bad Name"),
        (Query(name="a\x00b", service=WEB), "Bad Name"),
        (query(Template={"Type": "x"}), "Template.Type"),
        (query(Template={"Regexp": "a**"}), "Bad Regexp"),
        (query(Service={}), "Service name"),
        (query(Service={"Service": "a", "SamenessGroup": "x"}), "SamenessGroup"),
        (query(Service={"Service": "a", "Peer": "x"}), "Peer"),
        (query(Service={"Service": "a", "Failover": {"NearestN": 1, "Targets": [{"Peer": "x"}]}}), "excludes"),
        (query(Service={"Service": "a", "Failover": {"Targets": [{}]}}), "Peer and Datacenter"),
        (query(Service={"Service": "a", "Tags": ["x"] * 200}), "Tags"),
        (query(Service={"Service": "a", "NodeMeta": {"x": "y" * 600}}), "NodeMeta"),
        (query(DNS={"TTL": "9999999h"}), "TTL"),
    ],
)
def test_refused(bad: Query, text: str) -> None:
    with pytest.raises(InvalidQueryError, match=text):
        check_query(bad)


def test_a_token_is_never_kept() -> None:
    """Its public id is; that there is one shows."""
    raw = write_kept(Kept(Query(id="1", name="q", token="secret-token", service=WEB), "accessor-1"))
    assert b"secret-token" not in raw
    kept = read_kept(raw)
    assert kept is not None
    assert kept.token_accessor == "accessor-1"
    shown = query_json(kept, 3, 4)
    assert (shown["Token"], shown["CreateIndex"], shown["ModifyIndex"]) == (HIDDEN, 3, 4)
    assert "accessor-1" not in str(shown)


def test_facts() -> None:
    """TTL in seconds, and the name that rules are asked for."""
    assert query(DNS={"TTL": "1m30s"}).ttl_s == 90
    assert query().ttl_s is None
    assert query().rule_name == "q"
    assert Query(session="s", service=WEB).rule_name is None
    assert Query(template=QueryTemplate("name_prefix_match"), service=WEB).rule_name == ""


@given(st.binary(max_size=60))
def test_any_bytes(raw: bytes) -> None:
    """What cannot be read is no query, and no error."""
    kept = read_kept(raw)
    assert kept is None or isinstance(kept, Kept)
