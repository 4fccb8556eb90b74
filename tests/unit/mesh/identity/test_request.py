"""Asking the child process for a key."""

import pytest

from mesh.identity.live import LiveIdentity
from mesh.identity.request import make_key_and_csr
from mesh.model.identity import InvalidIdentityError
from tests.fakes.authority import Authority, service_uri


async def test_key_and_request_become_an_identity():
    """What the child makes and an authority signs can be used at once."""
    import msgspec

    authority = Authority()
    key_pem, csr_pem = await make_key_and_csr(service_uri("web"))
    leaf = msgspec.structs.replace(authority.sign(csr_pem), key_pem=key_pem)
    assert LiveIdentity(leaf, authority.roots()).spiffe_id.name == "web"


async def test_a_bad_name_never_reaches_the_child():
    """The name is checked here first."""
    with pytest.raises(InvalidIdentityError):
        await make_key_and_csr("spiffe://x")
