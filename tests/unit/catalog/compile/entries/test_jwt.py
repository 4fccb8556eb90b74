"""Token providers: Consul's rules."""

import base64
from typing import Any

import pytest

from catalog.compile.config_entries import decode_entry, entry_body
from catalog.compile.entries.reader import ConfigEntryError

KEYS = {"Local": {"JWKS": base64.b64encode(b'{"keys": []}').decode()}}


def provider(**fields: Any) -> dict[str, Any]:
    return {"Kind": "jwt-provider", "Name": "okta", "JSONWebKeySet": KEYS, **fields}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (provider(JSONWebKeySet={}), "exactly one"),
        (provider(JSONWebKeySet={**KEYS, "Remote": {"URI": "https://a"}}), "exactly one"),
        (provider(JSONWebKeySet={"Local": {}}), "JWKS and Filename"),
        (provider(JSONWebKeySet={"Local": {"JWKS": "a", "Filename": "b"}}), "JWKS and Filename"),
        (provider(JSONWebKeySet={"Local": {"JWKS": "!!"}}), "base64"),
        (provider(JSONWebKeySet={"Local": {"JWKS": base64.b64encode(b"[]").decode()}}), "base64"),
        (provider(JSONWebKeySet={"Remote": {"URI": "ftp://a"}}), "URI"),
        (provider(JSONWebKeySet={"Remote": {"URI": "https://[a"}}), "URI"),
        (provider(JSONWebKeySet={"Remote": {"URI": "https://a", "RequestTimeoutMs": -1}}), "RequestTimeoutMs"),
        (
            provider(JSONWebKeySet={"Remote": {"URI": "https://a", "JWKSCluster": {"DiscoveryType": "x"}}}),
            "DiscoveryType",
        ),
        (provider(Locations=[{}]), "Locations[0]"),
        (provider(Locations=[{"Header": {}}]), "Name"),
        (provider(Forwarding={}), "HeaderName"),
        (provider(ClockSkewSeconds=-1), "ClockSkewSeconds"),
    ],
)
def test_refused(body: dict[str, Any], named: str) -> None:
    """Each rule is named."""
    with pytest.raises(ConfigEntryError) as caught:
        decode_entry(body)
    assert (caught.value.status, named in str(caught.value)) == (500, True), str(caught.value)


def test_clock_skew_has_a_default() -> None:
    """30 s."""
    assert entry_body(decode_entry(provider()))["ClockSkewSeconds"] == 30
