"""Places and endpoints."""

import pytest

from catalog.dns.answer.directory import NoQueries, place_of
from tests.fakes.dns_asker import endpoint, host


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("10.0.0.1", b"\x0a\0\0\1"),
        ("::1", b"\0" * 15 + b"\1"),
        ("[::1]", b"\0" * 15 + b"\1"),
        ("fe80::1%eth0", b"\xfe\x80" + b"\0" * 13 + b"\1"),
        ("db.example.com", b""),
        ("", b""),
    ],
)
def test_an_address_is_packed_and_a_name_is_not(text: str, packed: bytes) -> None:
    """An IPv6 address loses its zone: it means nothing to others."""
    assert place_of(text).packed == packed


def test_an_instance_without_an_address_is_at_its_nodes() -> None:
    assert endpoint(host("n1", "10.0.0.1")).at.text == "10.0.0.1"
    assert endpoint(host("n1", "10.0.0.1"), address="10.9.9.9").at.text == "10.9.9.9"


def test_without_prepared_queries_there_is_none() -> None:
    assert NoQueries().execute("q") is None
