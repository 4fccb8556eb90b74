"""Raft and the keyring, as a catalog without either answers."""

import pytest

from catalog.api.http.errors import BadRequestError, PermissionDeniedError, RefusedError
from catalog.api.operator.raft import RaftEndpoints
from tests.fakes.catalog_calls import make_call, open_api, powerless


@pytest.mark.parametrize(
    ("query", "error", "says"),
    [
        ("", BadRequestError, "Must specify either"),
        ("id=a&address=b", BadRequestError, "only one of"),
        ("id=a", RefusedError, 'id "a" was not found in the Raft configuration'),
        ("address=10.0.0.1:8300", RefusedError, 'address "10.0.0.1:8300" was not found'),
        ("address=127.0.0.1:8300", RefusedError, "the only server cannot be removed"),
    ],
)
async def test_no_server_can_be_removed(query: str, error: type[Exception], says: str) -> None:
    """Neither one that is not there nor the only one."""
    async with open_api() as api:
        with pytest.raises(error, match=says):
            await RaftEndpoints(api).remove_peer(make_call("DELETE", query))


@pytest.mark.parametrize("query", ["", "id=a"])
async def test_leadership_has_nowhere_to_go(query: str) -> None:
    """There is one server."""
    async with open_api() as api:
        with pytest.raises(RefusedError, match="cannot find peer"):
            await RaftEndpoints(api).transfer_leader(make_call("POST", query))


async def test_every_verb_asks_for_its_right() -> None:
    """Who may do nothing is refused before anything else is said."""
    async with open_api() as api:
        raft = RaftEndpoints(api)
        for handler in (
            raft.configuration,
            raft.remove_peer,
            raft.transfer_leader,
            raft.read_keyring,
            raft.change_keyring,
        ):
            with pytest.raises(PermissionDeniedError):
                await handler(powerless(make_call("GET")))
