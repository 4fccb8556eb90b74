"""service-defaults, proxy-defaults and mesh: what each must satisfy alone."""

import pytest

from catalog.compile.entries.defaults import (
    Mesh,
    ProxyDefaults,
    ServiceDefaults,
    check_mesh,
    check_proxy_defaults,
    check_service_defaults,
    is_host,
)
from catalog.compile.entries.reader import ConfigEntryError, read_value


@pytest.mark.parametrize("protocol", ["tcp", "http", "http2", "grpc", "HTTP", ""])
def test_protocols(protocol: str) -> None:
    """The four protocols in any case; none is as good as nothing said."""
    assert check_service_defaults(ServiceDefaults("web", protocol=protocol)).protocol == protocol.lower()
    checked = check_proxy_defaults(ProxyDefaults("global", config={"protocol": protocol}))
    assert checked.protocol == protocol.lower()


def test_unknown_protocol() -> None:
    """Any other is refused, by name."""
    with pytest.raises(ConfigEntryError, match="smtp"):
        check_service_defaults(ServiceDefaults("web", protocol="smtp"))
    with pytest.raises(ConfigEntryError, match=r"Config\.protocol"):
        check_proxy_defaults(ProxyDefaults("global", config={"protocol": "smtp"}))


@pytest.mark.parametrize("field", ServiceDefaults.unsupported)
def test_what_is_not_carried_out_is_refused(field: str) -> None:
    """No setting is taken and then ignored."""
    with pytest.raises(ConfigEntryError, match=field):
        read_value({"Name": "web", field: {"Mode": "local", "X": 1}}, ServiceDefaults)


def test_mesh() -> None:
    """The mesh entry says whether client certificate headers from outside are kept."""
    entry = read_value({"Name": "mesh", "HTTP": {"SanitizeXForwardedClientCert": False}}, Mesh)
    assert check_mesh(entry).http is not None
    for odd in (
        {"TLS": {"Incoming": {"TLSMinVersion": "TLSv1_3", "TLSMaxVersion": "TLSv1_2"}}},
        {"TLS": {"Outgoing": {"TLSMaxVersion": "SSLv3"}}},
        {"HTTP": {"Incoming": {"RequestNormalization": {"HeadersWithUnderscoresAction": "KEEP"}}}},
    ):
        with pytest.raises(ConfigEntryError):
            check_mesh(read_value({"Name": "mesh", **odd}, Mesh))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"Mode": "loud"}, "Mode"),
        ({"MeshGateway": {"Mode": "far"}}, "MeshGateway.Mode"),
        ({"Expose": {"Paths": [{"Path": "x"}]}}, "Expose.Paths[0].Path"),
        ({"Destination": {"Addresses": ["example.com"], "Port": 0}}, "Destination.Port"),
        ({"Destination": {"Port": 443}}, "Destination.Addresses"),
        ({"Destination": {"Addresses": ["*.example.com"], "Port": 443}}, "Destination.Addresses"),
        ({"Destination": {"Addresses": ["a.example", "a.example"], "Port": 443}}, "twice"),
        ({"LocalRequestTimeoutMs": -1}, "LocalRequestTimeoutMs"),
        ({"BalanceInboundConnections": "fair"}, "BalanceInboundConnections"),
        ({"UpstreamConfig": {"Defaults": {"Name": "x"}}}, "Defaults.Name"),
        ({"UpstreamConfig": {"Overrides": [{"Name": "*"}]}}, "Overrides[0].Name"),
    ],
)
def test_service_defaults_refused(fields: dict[str, object], named: str) -> None:
    """Consul's rules on the parts, each named."""
    with pytest.raises(ConfigEntryError) as caught:
        check_service_defaults(read_value({"Name": "web", **fields}, ServiceDefaults))
    assert named in str(caught.value)


def test_proxy_defaults_refused() -> None:
    """A fail-over policy and a log that Consul's free edition knows."""
    for odd in ({"FailoverPolicy": {"Mode": "order-by-locality"}}, {"AccessLogs": {"Type": "file"}}):
        with pytest.raises(ConfigEntryError):
            check_proxy_defaults(read_value({"Name": "global", **odd}, ProxyDefaults))


@pytest.mark.parametrize(
    ("text", "good"), [("a.example", True), ("10.0.0.1", True), ("::1", True), ("*.a", False), ("", False)]
)
def test_is_host(text: str, good: bool) -> None:
    """Names and addresses, no wildcards."""
    assert is_host(text) is good
