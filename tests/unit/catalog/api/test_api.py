"""What the families share: the leader's address, the trust bundle of now, and a catalog that is busy."""

import pytest

from catalog.api.http.errors import UnavailableError
from catalog.authority.authority import revoke_change
from catalog.state.changes import Register
from catalog.state.records import Node
from tests.fakes.catalog_calls import open_api


@pytest.mark.parametrize(
    ("address", "leader"), [("192.0.2.1", "192.0.2.1:8300"), ("2001:db8::1", "[2001:db8::1]:8300")]
)
async def test_the_leaders_address_is_in_consuls_form(address: str, leader: str) -> None:
    async with open_api(address=address) as api:
        assert api.leader == leader


async def test_the_trust_bundle_is_made_anew_only_when_it_changed() -> None:
    """So that contexts made of it are kept as long as they are true."""
    async with open_api() as api:
        before = api.roots()
        await api.submit(Register(Node("n1", "a")))
        assert api.roots() is before
        await api.submit(revoke_change("0A"))
        assert api.roots() is not before
        assert api.roots().revoked_serials == ("0A",)


async def test_a_catalog_that_stopped_is_503() -> None:
    async with open_api() as api:
        pass
    with pytest.raises(UnavailableError, match="send the change again"):
        await api.submit(Register(Node("n1", "a")))
