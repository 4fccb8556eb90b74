"""The table of rights, line by line; what no line allows is denied."""

import pytest

from catalog.access.callers import ANONYMOUS, OPERATOR, Caller, CallerKind
from catalog.access.rights import Verb, may

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
