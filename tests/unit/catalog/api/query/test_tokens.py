"""A query's token: its public id, its rights of now."""

import pytest

from catalog.access.acl.settings import EVERYONE
from catalog.api.http.errors import PermissionDeniedError
from catalog.api.query.tokens import accessor_of, rights_of
from tests.fakes.catalog_calls import open_api


async def test_off() -> None:
    """While access control is off, tokens say nothing."""
    async with open_api(acl=EVERYONE) as api:
        assert accessor_of(api.gate, "anything") == ""


async def test_on() -> None:
    """An unknown one is refused; one that is gone has no rights; none is none."""
    async with open_api() as api:
        assert accessor_of(api.gate, "") == ""
        with pytest.raises(PermissionDeniedError, match="ACL not found"):
            accessor_of(api.gate, "f4ec1a0e-0000-0000-0000-000000000000")
        assert rights_of(api.gate, "f4ec1a0e-0000-0000-0000-000000000000") is None
