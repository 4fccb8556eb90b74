"""The forms of a catalog's address."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.client.address import Address, InvalidAddressError, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8500", Address()),
        ("catalog", Address("catalog", 8500)),
        ("catalog:1234", Address("catalog", 1234)),
        ("http://catalog", Address("catalog", 8500)),
        ("http://catalog:1234/", Address("catalog", 1234)),
        ("https://catalog", Address("catalog", 443, "https")),
        ("https://catalog:8501", Address("catalog", 8501, "https")),
        ("[::1]:8500", Address("::1", 8500)),
        ("unix:///run/linkspan/agent.sock", Address("localhost", 8500, "http", "/run/linkspan/agent.sock")),
    ],
)
def test_every_form_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", ":8500", "catalog:port", "catalog:99999", "ftp://catalog", "http://a/b", "http://u@a", "unix://x", "[::1"],
)
def test_what_is_none_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(InvalidAddressError, match="host:port"):
        parse_address(text)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidAddressError):
        assert parse_address(text).host
