"""Certificates in entries: a pair that belongs together, and a key that stays unseen."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from catalog.compile.config_entries import decode_entry
from catalog.compile.entries.certificates import HIDDEN, shown_to_anyone
from catalog.compile.entries.reader import ConfigEntryError
from tests.fakes.certificate_pair import make_pair


def refused(**fields: str) -> str:
    body = {"Kind": "inline-certificate", "Name": "site", **make_pair(), **fields}
    with pytest.raises(ConfigEntryError) as caught:
        decode_entry(body)
    assert caught.value.status == 500
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_a_pair_is_taken() -> None:
    """It reads, and its text form shows no key."""
    entry = decode_entry({"Kind": "inline-certificate", "Name": "site", **make_pair()})
    assert repr(entry) == "InlineCertificate(name='site')"


def test_refused() -> None:
    """Another's key, a weak one, no PEM; the text tells nothing of the key."""
    assert "not the key" in refused(PrivateKey=make_pair(1)["PrivateKey"])
    assert "PEM" in refused(PrivateKey="SECRET")
    assert "SECRET" not in refused(PrivateKey="SECRET")
    assert "PEM" in refused(Certificate="x")
    weak = rsa.generate_private_key(65537, 1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert "2048" in refused(PrivateKey=weak.decode())


def test_files() -> None:
    """Both paths."""
    for missing in ("Certificate", "PrivateKey"):
        body = {"Kind": "file-system-certificate", "Name": "f", "Certificate": "/c", "PrivateKey": "/k"}
        with pytest.raises(ConfigEntryError, match=missing):
            decode_entry({**body, missing: ""})


def test_shown_to_anyone() -> None:
    """The inline key is hidden, a path is not."""
    assert shown_to_anyone({"Kind": "inline-certificate", "PrivateKey": "k"})["PrivateKey"] == HIDDEN
    assert shown_to_anyone({"Kind": "file-system-certificate", "PrivateKey": "/k"})["PrivateKey"] == "/k"
