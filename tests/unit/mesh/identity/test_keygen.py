"""The program that makes keys."""

import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from mesh.identity.keygen import make_key_and_csr_pem
from mesh.model.identity import InvalidIdentityError
from tests.fakes.authority import service_uri


def test_one_key_one_request_one_name():
    """The request is signed by a P-256 key and carries exactly the one URI SAN."""
    pem = make_key_and_csr_pem(service_uri("web"))
    request = x509.load_pem_x509_csr(pem)
    assert request.is_signature_valid
    key = request.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    names = list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    assert names == [x509.UniformResourceIdentifier(service_uri("web"))]
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----")


def test_a_name_that_is_none_is_refused():
    """No key is made for something that is not of the mesh."""
    with pytest.raises(InvalidIdentityError):
        make_key_and_csr_pem("https://example.org/")


def test_as_a_process_it_reads_stdin_and_says_what_is_wrong():
    """The child ends with 2 and one line for a bad name, and prints no key."""
    done = subprocess.run(
        [sys.executable, "-I", "-m", "mesh.identity.keygen"], input=b"nobody", capture_output=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
