"""Gateways at the edge: Consul's rules for each kind."""

from typing import Any

import pytest

from catalog.compile.config_entries import decode_entry
from catalog.compile.entries.gateways import exposed_services
from catalog.compile.entries.reader import ConfigEntryError


def ingress(*listeners: dict[str, Any]) -> dict[str, Any]:
    return {"Kind": "ingress-gateway", "Name": "edge", "Listeners": list(listeners)}


def api(*listeners: dict[str, Any]) -> dict[str, Any]:
    return {"Kind": "api-gateway", "Name": "api", "Listeners": list(listeners)}


WEB = {"Name": "web"}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (ingress({"Port": 0, "Services": [WEB]}), "Port"),
        (ingress({"Port": 1, "Services": [WEB]}, {"Port": 1, "Services": [WEB]}), "port 1 declared on two listeners"),
        (ingress({"Port": 1, "Protocol": "udp", "Services": [WEB]}), "Protocol"),
        (ingress({"Port": 1}), "no service declared"),
        (ingress({"Port": 1, "Services": [WEB, {"Name": "api"}]}), "multiple services"),
        (ingress({"Port": 1, "Services": [{"Name": "*"}]}), "L7"),
        (ingress({"Port": 1, "Services": [{"Name": "web", "Hosts": ["a"]}]}), "L7"),
        (ingress({"Port": 1, "Protocol": "http", "Services": [WEB, WEB]}), "multiple times"),
        (ingress({"Port": 1, "Protocol": "http", "Services": [{"Name": "*", "Hosts": ["a"]}]}), "wildcard"),
        (ingress({"Port": 1, "Protocol": "http", "Services": [{"Name": ""}]}), "blank"),
        (ingress({"Port": 1, "Protocol": "http", "Services": [{"Name": "web", "Hosts": ["a", "a"]}]}), "twice"),
        (ingress({"Port": 1, "Protocol": "http", "Services": [{"Name": "web", "MaxConnections": -1}]}), "negative"),
        ({"Kind": "terminating-gateway", "Name": "t", "Services": [{"Name": ""}]}, "blank"),
        ({"Kind": "terminating-gateway", "Name": "t", "Services": [WEB, WEB]}, "more than once"),
        ({"Kind": "terminating-gateway", "Name": "t", "Services": [{"Name": "a", "CertFile": "x"}]}, "KeyFile"),
        ({"Kind": "terminating-gateway", "Name": "t", "Services": [{"Name": "a", "SNI": "x"}]}, "CAFile"),
        (api({"Name": "a", "Port": 1, "Protocol": "udp"}), "Protocol"),
        (api({"Name": "a", "Port": 1, "Protocol": "tcp"}, {"Name": "a", "Port": 2, "Protocol": "tcp"}), "multiple"),
        (api({"Name": "a", "Port": 1, "Protocol": "tcp", "Hostname": "x"}), "Hostname"),
        (api({"Name": "a", "Port": 1, "Protocol": "tcp"}, {"Name": "b", "Port": 1, "Protocol": "http"}), "different"),
        (api({"Name": "a", "Port": 1, "Protocol": "http"}, {"Name": "b", "Port": 1, "Protocol": "http"}), "share"),
        (api({"Name": "a", "Port": 1, "Protocol": "http", "TLS": {"Certificates": [{"Kind": "x"}]}}), "Kind"),
        (
            api(
                {"Name": "a", "Port": 1, "Protocol": "http", "TLS": {"Certificates": [{"Kind": "inline-certificate"}]}}
            ),
            "Name",
        ),
    ],
)
def test_refused(body: dict[str, Any], named: str) -> None:
    """Each rule is named."""
    with pytest.raises(ConfigEntryError) as caught:
        decode_entry(body)
    assert (caught.value.status, named in str(caught.value)) == (500, True), str(caught.value)


def test_exposed() -> None:
    """What a gateway leads to; the protocol is tcp unless it is said."""
    assert exposed_services(decode_entry(ingress({"Port": 1, "Services": [WEB]}))) == [("web", 1, "tcp", ())]
    body = {"Kind": "terminating-gateway", "Name": "t", "Services": [WEB]}
    assert exposed_services(decode_entry(body)) == [("web", 0, "", ())]
    assert exposed_services(None) == []
