"""Addresses in settings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.sync.link.address import HostPort, InvalidAddressError, parse_host_port, parse_unix


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("127.0.0.1:8502", HostPort("127.0.0.1", 8502)),
        ("catalog.example:8502", HostPort("catalog.example", 8502)),
        ("[::1]:20000", HostPort("::1", 20000)),
        ("catalog", HostPort("catalog", 8502)),
        ("[fd77::11]", HostPort("fd77::11", 8502)),
    ],
)
def test_hosts_and_ports(text: str, value: HostPort):
    """Names, literal addresses and a default port."""
    assert parse_host_port(text, 8502) == value


@pytest.mark.parametrize(
    "text",
    ["", ":1", "a:", "a:b", "a:70000", "::1", "[::1", "[::1]x", "a b:1", "http://a:1", "a:-1", "a:٣", "a:0123456789"],
)
def test_what_is_no_address_is_refused(text: str):
    """The text is quoted with the form expected."""
    with pytest.raises(InvalidAddressError, match="expected HOST:PORT"):
        parse_host_port(text)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_its_error(text: str):
    """What is accepted prints as what is accepted again."""
    try:
        address = parse_host_port(text)
    except InvalidAddressError:
        return
    assert parse_host_port(str(address)) == address


def test_unix_paths():
    """Absolute paths within the kernel's bound."""
    assert parse_unix("unix:/run/linkspan/agent.sock") == "/run/linkspan/agent.sock"
    for text in ("unix:run/x", "/run/x", "unix:", "unix:/" + "x" * 107):
        with pytest.raises(InvalidAddressError):
            parse_unix(text)
