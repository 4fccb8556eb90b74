"""service-defaults, proxy-defaults and mesh: what each must satisfy alone."""

import pytest

from catalog.compile.entries.defaults import (
    Mesh,
    ProxyDefaults,
    ServiceDefaults,
    check_mesh,
    check_proxy_defaults,
    check_service_defaults,
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
    with pytest.raises(ConfigEntryError, match="AllowEnablingPermissiveMutualTLS"):
        read_value({"Name": "mesh", "AllowEnablingPermissiveMutualTLS": True}, Mesh)
