"""The leaf as a value."""

import pytest

from mesh.identity.leaf import make_leaf, normal_serial
from mesh.wire.sync import LeafResponse
from tests.fakes.authority import Authority, service_uri


def test_repr_holds_no_key():
    """A leaf in a log line shows no key."""
    leaf = Authority().leaf(service_uri("web"))
    assert "PRIVATE" not in repr(leaf)
    assert leaf.uri in repr(leaf)


@pytest.mark.parametrize(("text", "normal"), [("0A1B", "a1b"), ("0a:1b", "a1b"), ("00", "0"), ("", "0")])
def test_serials_have_one_spelling(text: str, normal: str):
    """Colons, case and leading zeros do not count."""
    assert normal_serial(text) == normal


def test_response_and_key_make_a_leaf():
    """What the authority answered and the key kept here are one leaf."""
    leaf = make_leaf(LeafResponse("PEM", "spiffe://a/b", "0a", 1.0, 2.0), b"KEY")
    assert (leaf.certificate_pem, leaf.key_pem, leaf.uri, leaf.serial, leaf.not_after_s) == (
        "PEM",
        b"KEY",
        "spiffe://a/b",
        "0a",
        2.0,
    )
