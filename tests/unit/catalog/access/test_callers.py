"""Callers: what a connection proved, as a value."""

import pytest

from catalog.access.callers import OPERATOR, Caller, CallerKind, Grant, caller_of
from mesh.model.identity import parse_spiffe_id

GRANT = Grant(("web",), gateway=True, network="vm-paris")


@pytest.mark.parametrize(
    ("path", "caller"),
    [
        ("/agent/client/dc/dc1/id/n1", Caller(CallerKind.NODE, "n1", GRANT)),
        ("/ns/default/dc/dc1/svc/web", Caller(CallerKind.SERVICE, "web")),
        ("/gateway/mesh/dc/dc1/net/east", Caller(CallerKind.GATEWAY, "east")),
        ("/agent/server/dc/dc1", Caller(CallerKind.SERVER)),
    ],
)
def test_caller_of(path: str, caller: Caller) -> None:
    """A certificate makes a caller of its kind; a grant goes to a node and to nobody else."""
    assert caller_of(parse_spiffe_id(f"spiffe://td{path}"), GRANT) == caller


def test_node_without_grant() -> None:
    """A node that nothing was granted to may ask for nothing but itself."""
    node = caller_of(parse_spiffe_id("spiffe://td/agent/client/dc/dc1/id/n1"), None)
    assert not node.grant.allows_service("web")
    assert not node.grant.gateway


def test_grants() -> None:
    """A star grants every service."""
    assert GRANT.allows_service("web")
    assert not GRANT.allows_service("api")
    assert Grant(("*",)).allows_service("api")


def test_text() -> None:
    """A caller's text is for refusals and logs."""
    assert str(Caller(CallerKind.NODE, "n1")) == "node n1"
    assert str(OPERATOR) == "operator"
