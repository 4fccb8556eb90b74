"""Revoking a certificate and withdrawing a node's grant."""

import pytest

from catalog.access.callers import Grant
from catalog.access.tokens import GRANT_TABLE, JOIN_TABLE, grant_change, read_grant
from catalog.api.http.errors import BadRequestError, NotFoundError
from catalog.api.revocation import RevocationEndpoints
from catalog.api.v1.identity import IdentityEndpoints
from tests.fakes.catalog_calls import make_call, open_api


async def test_a_revoked_serial_is_in_the_bundle_in_one_spelling() -> None:
    """However its number is written, the bundle carries it once."""
    async with open_api() as api:
        for serial in ("0A:1B", "a1b", "A1B"):
            await RevocationEndpoints(api).revoke(make_call("PUT", serial=serial))
        assert api.roots().revoked_serials == ("a1b",)


@pytest.mark.parametrize("serial", ["", "0", "xyz", "a" * 41, "1/2", "é"])
async def test_what_is_no_serial_is_refused(serial: str) -> None:
    """A typing error must not pass for a revocation."""
    async with open_api() as api:
        with pytest.raises(BadRequestError, match="serial"):
            await RevocationEndpoints(api).revoke(make_call("PUT", serial=serial))
        assert api.roots().revoked_serials == ()


async def test_a_withdrawn_node_has_no_grant_and_no_tokens() -> None:
    """Others keep theirs."""
    async with open_api() as api:
        await api.submit(grant_change("vm1", Grant(("web",))))
        for node in ("vm1", "vm1", "vm2"):
            await IdentityEndpoints(api).token(make_call("POST", body={"Node": node}))
        await RevocationEndpoints(api).withdraw(make_call("DELETE", node="vm1"))
        assert len(api.parking.state.records(JOIN_TABLE)) == 1
        assert read_grant(api.parking.state.record(GRANT_TABLE, "vm1")) == Grant(withdrawn=True)


async def test_an_unknown_node_is_404() -> None:
    """A typing error must not pass for a withdrawal."""
    async with open_api() as api:
        with pytest.raises(NotFoundError, match="vm9"):
            await RevocationEndpoints(api).withdraw(make_call("DELETE", node="vm9"))
