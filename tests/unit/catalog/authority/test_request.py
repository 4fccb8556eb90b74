"""Certificate requests: which are taken, which are refused and why."""

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.authority.request import MAX_CSR_BYTES, check_request
from catalog.authority.rules import IssueRefusedError
from mesh.model.identity import parse_spiffe_id

URI = "spiffe://td.test/ns/default/dc/dc1/svc/web"


@pytest.mark.parametrize(
    "make_key",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate,
        lambda: rsa.generate_private_key(65537, 2048),
    ],
)
def test_good(requests: Any, make_key: Any) -> None:
    """The keys that are taken; the asked identity is the one URI SAN."""
    key = make_key()
    checked = check_request(requests.make(URI, key=key))
    assert checked.asked == parse_spiffe_id(URI)
    assert checked.public_key == key.public_key()


@pytest.mark.parametrize(
    "make_key",
    [
        lambda: ec.generate_private_key(ec.SECP521R1()),
        lambda: ec.generate_private_key(ec.SECP256K1()),
        lambda: rsa.generate_private_key(65537, 1024),
        lambda: dsa.generate_private_key(1024),
    ],
)
def test_weak_or_odd_keys(requests: Any, make_key: Any) -> None:
    """Any other key is refused."""
    with pytest.raises(IssueRefusedError, match=r"key must|cannot be read"):
        check_request(requests.make(URI, key=make_key()))


def test_names(requests: Any) -> None:
    """Exactly one URI SAN, and it is a SPIFFE ID of the mesh."""
    for uris, named in (((), "0 URI SANs"), ((URI, URI + "2"), "2 URI SANs"), (("https://x/",), "not a SPIFFE ID")):
        with pytest.raises(IssueRefusedError, match=named):
            check_request(requests.make(*uris))
    for path in ("", "/", "/ns/default/dc/dc1/svc/Web", "/ns/default/dc/dc1/svc/web/", "/admin"):
        with pytest.raises(IssueRefusedError):
            check_request(requests.make(f"spiffe://td.test{path}"))


def test_authority_is_not_for_asking(requests: Any) -> None:
    """A request that asks to sign others is refused, not trimmed."""
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    for extension in (x509.BasicConstraints(ca=True, path_length=None), usage):
        with pytest.raises(IssueRefusedError, match="asks"):
            check_request(requests.make(URI, extensions=(extension,)))
    check_request(requests.make(URI, extensions=(x509.BasicConstraints(ca=False, path_length=None),)))


def test_signature(requests: Any) -> None:
    """A request that its own key did not sign is refused: the key is not the sender's."""
    lines = requests.make(URI).splitlines()
    der = bytearray(base64.b64decode("".join(lines[1:-1])))
    der[-1] ^= 1
    pem = "\n".join([lines[0], base64.b64encode(der).decode(), lines[-1], ""])
    with pytest.raises(IssueRefusedError, match=r"own key|cannot be read"):
        check_request(pem)


def test_size(requests: Any) -> None:
    """A request of any size costs nothing."""
    with pytest.raises(IssueRefusedError, match="larger"):
        check_request(requests.make(URI) + "x" * MAX_CSR_BYTES)


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text(requests: Any, data: st.DataObject) -> None:
    """Any text, and any damage to a good request, gives a request or a refusal."""
    # A fixed key with deterministic signatures: the same request in every run.
    good = requests.make(URI, key=ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))
    at = data.draw(st.integers(0, len(good)))
    text = data.draw(
        st.one_of(st.text(max_size=60), st.text(max_size=4).map(lambda part: good[:at] + part + good[at + 1 :]))
    )
    try:
        check_request(text)
    except IssueRefusedError:
        return
