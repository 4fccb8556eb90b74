"""Routes of API gateways: Consul's rules."""

from typing import Any

import pytest

from catalog.compile.config_entries import decode_entry, entry_body
from catalog.compile.entries.reader import ConfigEntryError


def http(**fields: Any) -> dict[str, Any]:
    return {"Kind": "http-route", "Name": "r", **fields}


def match(**fields: Any) -> dict[str, Any]:
    return http(Rules=[{"Matches": [fields]}])


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (http(Hostnames=["-x"]), "Hostnames[0]"),
        (http(Hostnames=["a.*.b"]), "Hostnames[0]"),
        (http(Parents=[{"Kind": "ingress-gateway", "Name": "x"}]), "Parents[0].Kind"),
        (http(Parents=[{"Kind": "api-gateway"}]), "Parents[0].Name"),
        (http(Parents=[{"Name": "x"}, {"Kind": "api-gateway", "Name": "x"}]), "twice"),
        (match(Method="FETCH"), "Method"),
        (match(Path={"Match": "like", "Value": "/"}), "Path.Match"),
        (match(Path={"Match": "prefix", "Value": "x"}), "Path.Value"),
        (match(Path={"Match": "regex", "Value": "("}), "Path.Value"),
        (match(Headers=[{"Match": "exact", "Name": "a b"}]), "Headers[0].Name"),
        (match(Headers=[{"Match": "like", "Name": "a"}]), "Headers[0].Match"),
        (match(Query=[{"Match": "prefix", "Name": "a"}]), "Query[0].Match"),
        (match(Query=[{"Match": "exact"}]), "Query[0].Name"),
        (http(Rules=[{"Services": [{"Name": ""}]}]), "blank"),
        (http(Rules=[{"Services": [{"Name": "a", "Weight": -1}]}]), "Weight"),
        (http(Rules=[{"Filters": {"URLRewrite": {"Path": "x"}}}]), "URLRewrite"),
        (http(Rules=[{"Filters": {"Headers": [{"Set": {"a b": "c"}}]}}]), "Headers[0]"),
        (http(Rules=[{"Filters": {"RetryFilter": {"NumRetries": -1}}}]), "NumRetries"),
        ({"Kind": "tcp-route", "Name": "t", "Services": [{"Name": "a"}, {"Name": "b"}]}, "one service"),
    ],
)
def test_refused(body: dict[str, Any], named: str) -> None:
    """Each rule is named."""
    with pytest.raises(ConfigEntryError) as caught:
        decode_entry(body)
    assert (caught.value.status, named in str(caught.value)) == (500, True), str(caught.value)


def test_parents_get_their_kind() -> None:
    """A parent without a kind is an API gateway."""
    body = entry_body(decode_entry(http(Parents=[{"Name": "api"}])))
    assert body["Parents"] == [{"Kind": "api-gateway", "Name": "api"}]
