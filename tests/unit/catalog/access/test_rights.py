"""The table of rights, line by line; what no line allows is denied."""

import pytest

from catalog.access.authorizer import NOTHING, Access, Resource
from catalog.access.callers import ANONYMOUS, OPERATOR, Caller, CallerKind, Grant
from catalog.access.rights import Verb, authorizer_of, may, needed

NODE = Caller(CallerKind.NODE, "n1")
WEB = Caller(CallerKind.SERVICE, "web")
GATEWAY = Caller(CallerKind.GATEWAY, "east")
SERVER = Caller(CallerKind.SERVER)

ALLOWED = {
    (NODE, Verb.READ, "catalog"),
    (NODE, Verb.SYNC, "intentions/web"),
    (NODE, Verb.SYNC, "networks"),
    (NODE, Verb.RENEW, "n1"),
    (NODE, Verb.REGISTER, "n1"),
    (WEB, Verb.READ, "roots"),
    (WEB, Verb.SYNC, "intentions/web"),
    (WEB, Verb.SYNC, "chain/api"),
    (WEB, Verb.SYNC, "endpoints/api"),
    (WEB, Verb.SYNC, "gateways/east"),
    (WEB, Verb.SYNC, "roots"),
    (WEB, Verb.SYNC, "mesh"),
    (GATEWAY, Verb.READ, "roots"),
    (GATEWAY, Verb.SYNC, "exports/east"),
    (GATEWAY, Verb.SYNC, "networks"),
    (GATEWAY, Verb.SYNC, "endpoints/web"),
    (GATEWAY, Verb.SYNC, "gateways/west"),
    (GATEWAY, Verb.SYNC, "roots"),
    (GATEWAY, Verb.SYNC, "mesh"),
    (SERVER, Verb.READ, "catalog"),
    (SERVER, Verb.SYNC, "networks"),
    (ANONYMOUS, Verb.READ, "catalog"),
}
DENIED = {
    (NODE, Verb.RENEW, "n2"),
    (NODE, Verb.RENEW, ""),
    (NODE, Verb.REGISTER, "n2"),
    (NODE, Verb.WRITE_CONFIG, "web"),
    (NODE, Verb.WRITE_INTENTION, "web"),
    (NODE, Verb.TOKENS, ""),
    (NODE, Verb.OPERATE, ""),
    (WEB, Verb.READ, "catalog"),
    (WEB, Verb.SYNC, "intentions/api"),
    (WEB, Verb.SYNC, "networks"),
    (WEB, Verb.SYNC, "exports/east"),
    (WEB, Verb.REGISTER, "web"),
    (WEB, Verb.RENEW, "web"),
    (GATEWAY, Verb.SYNC, "intentions/web"),
    (GATEWAY, Verb.SYNC, "exports/west"),
    (GATEWAY, Verb.SYNC, "chain/web"),
    (GATEWAY, Verb.REGISTER, "east"),
    (SERVER, Verb.REGISTER, "n1"),
    (SERVER, Verb.TOKENS, ""),
    (ANONYMOUS, Verb.SYNC, "roots"),
    (ANONYMOUS, Verb.REGISTER, "n1"),
    (ANONYMOUS, Verb.WRITE_INTENTION, "web"),
    (ANONYMOUS, Verb.TOKENS, ""),
}


@pytest.mark.parametrize(("caller", "verb", "what"), sorted(ALLOWED, key=str))
def test_allowed(caller: Caller, verb: Verb, what: str) -> None:
    """What the table allows."""
    verdict = may(caller, verb, what)
    assert verdict
    assert verdict.reason == ""


@pytest.mark.parametrize(("caller", "verb", "what"), sorted(DENIED, key=str))
def test_denied(caller: Caller, verb: Verb, what: str) -> None:
    """What no line allows is denied, with a reason that names caller and verb."""
    verdict = may(caller, verb, what)
    assert not verdict
    assert verdict.reason.startswith(f"Permission denied: {caller} may not {verb}")


def test_operator_may_all() -> None:
    """The operator may do everything."""
    assert all(may(OPERATOR, verb, "x") for verb in Verb)


def test_every_kind_has_a_line() -> None:
    """No kind of caller can fall out of the table."""
    for kind in CallerKind:
        may(Caller(kind), Verb.READ)


def test_a_nodes_certificate_in_the_words_of_rules() -> None:
    """It reads what describes the mesh and writes itself: no service (that is registered, by its grant), key, token, event or query."""
    node = authorizer_of(Caller(CallerKind.NODE, "n1", Grant(("web",))))
    for resource in (Resource.NODE, Resource.SERVICE, Resource.INTENTION, Resource.MESH):
        assert node.allows(resource, "any", Access.READ)
        assert node.allows_all(resource, "", Access.READ)
        assert not node.allows_all(resource, "", Access.WRITE)
    for resource, name, allowed in (
        (Resource.NODE, "n1", True),
        (Resource.NODE, "n2", False),
        (Resource.SESSION, "n1", True),
        (Resource.AGENT, "n2", False),
        (Resource.SERVICE, "web", False),
        (Resource.SERVICE, "db", False),
        (Resource.INTENTION, "web", False),
        (Resource.KEY, "n1", False),
        (Resource.ACL, "", False),
        (Resource.OPERATOR, "", False),
    ):
        assert node.allows(resource, name, Access.WRITE) is allowed
    assert not node.allows(Resource.KEY, "x", Access.READ)


def test_what_else_a_caller_is() -> None:
    assert authorizer_of(WEB) is NOTHING
    assert authorizer_of(ANONYMOUS) is NOTHING
    assert authorizer_of(Caller(CallerKind.TOKEN, "a")) is NOTHING
    assert authorizer_of(SERVER).allows(Resource.SERVICE, "web", Access.READ)
    assert not authorizer_of(SERVER).allows(Resource.NODE, "", Access.WRITE)


@pytest.mark.parametrize(
    ("verb", "what", "needs"),
    [
        (Verb.REGISTER, "n1", (Resource.NODE, "n1", Access.WRITE)),
        (Verb.RENEW, "n1", (Resource.NODE, "n1", Access.WRITE)),
        (Verb.WRITE_INTENTION, "web", (Resource.INTENTION, "web", Access.WRITE)),
        (Verb.TOKENS, "", (Resource.ACL, "", Access.WRITE)),
        (Verb.OPERATE, "", (Resource.OPERATOR, "", Access.WRITE)),
        (Verb.WRITE_CONFIG, "", (Resource.OPERATOR, "", Access.WRITE)),
        (Verb.SYNC, "chain/web", (Resource.SERVICE, "web", Access.READ)),
        (Verb.SYNC, "intentions/web", (Resource.INTENTION, "web", Access.READ)),
        (Verb.SYNC, "mesh", (Resource.MESH, "", Access.READ)),
    ],
)
def test_what_a_verb_asks_of_a_token(verb: Verb, what: str, needs: tuple[Resource, str, Access]) -> None:
    assert needed(verb, what) == needs
