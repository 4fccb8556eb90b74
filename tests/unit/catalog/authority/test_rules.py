"""Which name may be issued to whom: the whole table."""

import pytest

from catalog.access.callers import ANONYMOUS, OPERATOR, Caller, CallerKind, Grant
from catalog.authority.rules import IssueRefusedError, backdate_s, check_asked
from mesh.model.identity import Kind, SpiffeId

NODE = Caller(CallerKind.NODE, "n1", Grant(("web",), gateway=True, network="vm-paris"))
BARE = Caller(CallerKind.NODE, "n1")
ANY = Caller(CallerKind.NODE, "n1", Grant(("*",), gateway=True))
WEB = Caller(CallerKind.SERVICE, "web")
GATEWAY = Caller(CallerKind.GATEWAY, "vm-paris")
SERVER = Caller(CallerKind.SERVER)

NAMES = [
    (Kind.NODE, "n1"),
    (Kind.NODE, "n2"),
    (Kind.SERVICE, "web"),
    (Kind.SERVICE, "api"),
    (Kind.GATEWAY, "vm-paris"),
    (Kind.GATEWAY, "k8s-east"),
    (Kind.SERVER, ""),
]
MAY = {
    OPERATOR: set(NAMES) - {(Kind.SERVER, "")},
    NODE: {(Kind.NODE, "n1"), (Kind.SERVICE, "web"), (Kind.GATEWAY, "vm-paris")},
    BARE: {(Kind.NODE, "n1")},
    ANY: {(Kind.NODE, "n1"), (Kind.SERVICE, "web"), (Kind.SERVICE, "api")},
    WEB: {(Kind.SERVICE, "web")},
    GATEWAY: {(Kind.GATEWAY, "vm-paris")},
    SERVER: set(),
    ANONYMOUS: set(),
}


@pytest.mark.parametrize("caller", MAY, ids=str)
@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_table(caller: Caller, kind: Kind, name: str) -> None:
    """Every caller against every kind of name: its own and what it was granted, nothing else; nobody is a server."""
    asked = SpiffeId("td", kind, "dc1", name)
    if (kind, name) in MAY[caller]:
        check_asked(caller, asked, "td", "dc1")
    else:
        with pytest.raises(IssueRefusedError, match="Permission denied"):
            check_asked(caller, asked, "td", "dc1")


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (SpiffeId("other", Kind.SERVICE, "dc1", "web"), "trust domain"),
        (SpiffeId("td", Kind.SERVICE, "dc2", "web"), "datacenter"),
        (SpiffeId("td", Kind.SERVICE, "dc1", "web", "team"), "namespace"),
    ],
)
def test_elsewhere(asked: SpiffeId, named: str) -> None:
    """Names of another trust domain, datacenter or namespace are nobody's, not even the operator's."""
    with pytest.raises(IssueRefusedError, match=named):
        check_asked(OPERATOR, asked, "td", "dc1")


@pytest.mark.parametrize(
    "asked", [SpiffeId("td", Kind.SERVICE, "dc1", "api"), SpiffeId("td", Kind.GATEWAY, "dc1", "west")]
)
def test_hint(asked: SpiffeId) -> None:
    """A node is told what would help."""
    with pytest.raises(IssueRefusedError, match="join it with a token that grants"):
        check_asked(BARE, asked, "td", "dc1")


@pytest.mark.parametrize(("ttl_s", "back_s"), [(86400, 60), (600, 60), (300, 30), (10, 1)])
def test_backdate(ttl_s: float, back_s: float) -> None:
    """A minute, but never so much that a short leaf is past half of its life when it is made."""
    assert backdate_s(ttl_s) == back_s
