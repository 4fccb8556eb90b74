"""service-router, service-splitter and service-resolver: what each must satisfy alone."""

from typing import Any

import pytest

from catalog.compile.config_entries import ConfigEntryError, decode_entry


def refused(kind: str, **fields: Any) -> str:
    with pytest.raises(ConfigEntryError) as caught:
        decode_entry({"Kind": kind, "Name": "web", **fields})
    assert caught.value.status in {400, 500}
    return str(caught.value)


@pytest.mark.parametrize(
    ("weights", "fits"),
    [
        ([100], True),
        ([90, 10], True),
        ([33.33, 33.33, 33.34], True),
        ([0.01, 99.99], True),
        ([100, 0], True),
        ([], False),
        ([99.99], False),
        ([50, 51], False),
        ([33.333, 66.667], False),
        ([-1, 101], False),
        ([1e300], False),
    ],
)
def test_weights(weights: list[float], fits: bool) -> None:
    """Steps of 0.01 that sum to exactly 100."""
    splits = [{"Weight": weight} for weight in weights]
    if fits:
        decode_entry({"Kind": "service-splitter", "Name": "web", "Splits": splits})
    else:
        assert "Splits" in refused("service-splitter", Splits=splits) or "100" in refused(
            "service-splitter", Splits=splits
        )


@pytest.mark.parametrize(
    ("http", "named"),
    [
        ({"PathExact": "/a", "PathPrefix": "/b"}, "PathExact"),
        ({"PathExact": "a"}, "PathExact"),
        ({"PathPrefix": "a"}, "PathPrefix"),
        ({"PathRegex": "("}, "PathRegex"),
        ({"PathRegex": "(?=a)"}, "PathRegex"),
        ({"Header": [{"Name": "x"}]}, "Header[0]"),
        ({"Header": [{"Name": "x", "Exact": "a", "Prefix": "b"}]}, "Header[0]"),
        ({"Header": [{"Name": "a b", "Present": True}]}, "Header[0].Name"),
        ({"Header": [{"Name": "x", "Regex": "["}]}, "Header[0].Regex"),
        ({"QueryParam": [{"Name": "", "Present": True}]}, "QueryParam[0].Name"),
        ({"QueryParam": [{"Name": "x"}]}, "QueryParam[0]"),
        ({"QueryParam": [{"Name": "x", "Regex": "*"}]}, "QueryParam[0].Regex"),
        ({"Methods": ["get"]}, "Methods"),
        ({"Methods": ["GET", "GET"]}, "Methods"),
    ],
)
def test_match(http: dict[str, Any], named: str) -> None:
    """A match that cannot be carried out is refused, with its place."""
    text = refused("service-router", Routes=[{}, {"Match": {"HTTP": http}}])
    assert "Routes[1].Match.HTTP" in text
    assert named in text


@pytest.mark.parametrize(
    ("destination", "named"),
    [
        ({"Service": "Web"}, "Service"),
        ({"PrefixRewrite": "/x"}, "PrefixRewrite"),
        ({"NumRetries": -1}, "NumRetries"),
        ({"NumRetries": 101}, "NumRetries"),
        ({"RetryOn": ["moonlight"]}, "RetryOn"),
        ({"RetryOnStatusCodes": [200]}, "RetryOnStatusCodes"),
        ({"RequestHeaders": {"Set": {"a b": "x"}}}, "RequestHeaders.Set"),
        ({"RequestHeaders": {"Add": {"a": "x\r\ny"}}}, "RequestHeaders.Add"),
        ({"ResponseHeaders": {"Remove": [""]}}, "ResponseHeaders.Remove"),
    ],
)
def test_destination(destination: dict[str, Any], named: str) -> None:
    """A destination that cannot be carried out is refused, with its place."""
    assert named in refused("service-router", Routes=[{"Destination": destination}])


def test_rewrite_needs_a_path() -> None:
    """A rewrite has something to rewrite, and rewrites to a path."""
    route = {"Match": {"HTTP": {"PathPrefix": "/a"}}, "Destination": {"PrefixRewrite": "/b"}}
    decode_entry({"Kind": "service-router", "Name": "web", "Routes": [route]})
    route["Destination"]["PrefixRewrite"] = "b"  # type: ignore[index]
    assert "PrefixRewrite" in refused("service-router", Routes=[route])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"Subsets": {"V1": {}}}, "Subsets"),
        ({"Subsets": {"v1": {"Filter": "a = b"}}}, "Filter"),
        ({"DefaultSubset": "v1"}, "DefaultSubset"),
        ({"Redirect": {}}, "Redirect"),
        ({"Redirect": {"ServiceSubset": "v1"}}, "Redirect.ServiceSubset"),
        ({"Redirect": {"Service": "a"}, "Failover": {"*": {"Service": "b"}}}, "Failover"),
        ({"Redirect": {"Service": "a", "Peer": "p"}}, "Redirect.Peer"),
        ({"Failover": {"v9": {"Service": "b"}}}, "v9"),
        ({"Failover": {"*": {}}}, "Targets"),
        ({"Failover": {"*": {"Service": "b", "Targets": [{"Service": "c"}]}}}, "Targets"),
        ({"Failover": {"*": {"ServiceSubset": "v9"}}}, "v9"),
        ({"Failover": {"*": {"Targets": [{"ServiceSubset": "v9"}]}}}, "Targets[0].ServiceSubset"),
        ({"Failover": {"*": {"Service": "b", "Policy": {"Mode": "order-by-locality"}}}}, "Policy.Mode"),
        ({"ConnectTimeout": "-1s"}, "ConnectTimeout"),
        ({"LoadBalancer": {"Policy": "fair"}}, "LoadBalancer"),
        ({"Subsets": {"v1": {"Filter": "Service.Nope == 1"}}}, "Service.Nope"),
    ],
)
def test_resolver(fields: dict[str, Any], named: str) -> None:
    """A resolver that contradicts itself, or asks for what is not carried out, is refused."""
    assert named in refused("service-resolver", **fields)


def test_numbers_are_bounded() -> None:
    """An entry cannot make every proxy compile without end."""
    assert "Routes" in refused("service-router", Routes=[{}] * 1001)
    assert "Splits" in refused("service-splitter", Splits=[{"Weight": 0}] * 1001)
    assert "Subsets" in refused("service-resolver", Subsets={f"v{i}": {} for i in range(257)})
    targets = [{"Service": f"s{i}"} for i in range(257)]
    assert "Targets" in refused("service-resolver", Failover={"*": {"Targets": targets}})
