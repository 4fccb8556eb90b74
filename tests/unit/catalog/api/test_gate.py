"""The gate: from certificate or token to caller, and deny where nothing is known."""

import time
from typing import Any

import pytest

from catalog.access.acl.model import MANAGEMENT_ID, SECRETS, TOKENS, Rights, Token, secret_hash, write_kept
from catalog.access.acl.settings import EVERYONE, OFF, ON, AclSettings
from catalog.access.authorizer import EVERYTHING, Access, Resource
from catalog.access.callers import ANONYMOUS, OPERATOR, Caller, CallerKind, Grant
from catalog.access.rights import Verb
from catalog.access.tokens import SECRET_BYTES, grant_change, make_operator_token
from catalog.api.gate import IN_HANDLER, OPEN, OPERATE, Gate, reading
from catalog.api.http.connection import STATE_KEY, Connection
from catalog.api.http.errors import PermissionDeniedError
from catalog.state.changes import AnyChange, Batch, DeleteRecord, PutRecord
from catalog.state.state import State
from mesh.model.snapshot import Root, Roots

NOT_AFTER = "Jan  1 00:00:00 2099 GMT"
LOOPBACK = {STATE_KEY: Connection(loopback=True)}


def certificate(*uris: str, not_after: str = NOT_AFTER, serial: str = "0A") -> dict[str, Any]:
    names = tuple(("URI", uri) for uri in uris)
    return {"subjectAltName": names, "notAfter": not_after, "notBefore": NOT_AFTER, "serialNumber": serial}


def member(*uris: str, **fields: str) -> dict[str, Any]:
    return {STATE_KEY: Connection(certificate=certificate(*uris, **fields))}


NODE = "spiffe://test.consul/agent/client/dc/dc1/id/vm1"


def gate(*changes: AnyChange, revoked: tuple[str, ...] = (), dev: bool = False, acl: AclSettings = ON) -> Gate:
    state = State()
    for change in changes:
        state.apply(change, state.index + 1, time.time())
    roots = Roots("test.consul", 1, (Root("r", "pem"),), revoked)
    return Gate("dc1", state, lambda: roots, time.time, EVERYONE if dev else acl)


@pytest.mark.parametrize(
    ("uri", "caller"),
    [
        (NODE, Caller(CallerKind.NODE, "vm1", Grant(("web",)))),
        ("spiffe://test.consul/agent/client/dc/dc1/id/vm2", Caller(CallerKind.NODE, "vm2")),
        ("spiffe://test.consul/ns/default/dc/dc1/svc/vm1", Caller(CallerKind.SERVICE, "vm1")),
        ("spiffe://test.consul/gateway/mesh/dc/dc1/net/paris", Caller(CallerKind.GATEWAY, "paris")),
        ("spiffe://test.consul/agent/server/dc/dc1", Caller(CallerKind.SERVER)),
    ],
)
def test_a_certificate_is_its_caller(uri: str, caller: Caller) -> None:
    """With the grant that is kept for it, if it is a node; a service of a node's name has none of it."""
    assert gate(grant_change("vm1", Grant(("web",)))).caller({"state": member(uri)}, "") == caller


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (member(), "0 URI SANs"),
        (member(NODE, NODE), "2 URI SANs"),
        (member("https://example.org/"), "SPIFFE"),
        (member("spiffe://other.consul/agent/client/dc/dc1/id/vm1"), "trust domain"),
        (member(NODE, not_after="Jan  1 00:00:00 2020 GMT"), "expired"),
        (member(NODE, serial="0B"), "revoked"),
    ],
)
def test_a_bad_certificate_is_refused_with_its_reason(state: dict[str, Any], reason: str) -> None:
    with pytest.raises(PermissionDeniedError, match=reason):
        gate(revoked=("0b",)).caller({"state": state}, "")


@pytest.mark.parametrize("state", [{}, {STATE_KEY: Connection()}])
def test_who_cannot_be_told_is_nobody(state: dict[str, Any]) -> None:
    """No certificate, or a server that tells nothing: only what is open is open."""
    guard = gate()
    assert guard.caller({"state": state}, "") is None
    assert guard.caller({}, "lso_whatever") is None
    for right in (reading("catalog"), OPERATE, IN_HANDLER):
        with pytest.raises(PermissionDeniedError, match="certificate"):
            guard.admit(None, right)
    assert guard.admit(None, OPEN).kind is CallerKind.ANONYMOUS


def test_loopback_callers_are_anonymous_or_the_operator() -> None:
    text, change = make_operator_token(bytes(SECRET_BYTES))
    guard = gate(change)
    assert guard.caller({"state": LOOPBACK}, "") == ANONYMOUS
    assert guard.caller({"state": LOOPBACK}, text) == OPERATOR
    assert guard.caller({"state": member(NODE)}, text) == OPERATOR
    for wrong in ("x", text[:-1], f"{text}x"):
        with pytest.raises(PermissionDeniedError, match="ACL not found"):
            guard.caller({"state": LOOPBACK}, wrong)


def test_the_table_judges_what_it_is_asked() -> None:
    guard = gate()
    assert guard.admit(ANONYMOUS, reading("catalog")) == ANONYMOUS
    with pytest.raises(PermissionDeniedError, match="anonymous token lacks permission 'operator:write'"):
        guard.admit(ANONYMOUS, OPERATE)
    assert guard.admit(ANONYMOUS, IN_HANDLER) == ANONYMOUS
    with pytest.raises(PermissionDeniedError, match="may not register under 'vm2'"):
        guard.check(Caller(CallerKind.NODE, "vm1"), Verb.REGISTER, "vm2")


def test_in_dev_mode_everyone_operates() -> None:
    guard = gate(dev=True)
    assert guard.caller({}, "whatever") == OPERATOR
    assert (guard.default_policy, gate().default_policy) == ("allow", "deny")


MANAGER = Token("aaaa", secret_hash("s3cret"), rights=Rights((MANAGEMENT_ID,)), expires_s=time.time() + 1000)


def kept(token: Token) -> Batch:
    return Batch(
        (
            PutRecord(TOKENS, token.accessor, write_kept(token)),
            PutRecord(SECRETS, token.secret_sha256, token.accessor.encode()),
        )
    )


def test_a_token_is_a_caller_with_the_rights_of_its_policies() -> None:
    """Also from a member of the mesh: whoever shows a token has its rights, and no others."""
    guard = gate(kept(MANAGER))
    for state in (LOOPBACK, member(NODE)):
        caller = guard.caller({"state": state}, "s3cret")
        assert caller == Caller(CallerKind.TOKEN, "aaaa")
        assert guard.authorizer(caller).allows(Resource.ACL, "", Access.WRITE)
        assert guard.authorizer(caller).accessor == "aaaa"
        guard.check(caller, Verb.OPERATE)
    with pytest.raises(PermissionDeniedError, match="ACL not found"):
        guard.caller({"state": LOOPBACK}, "aaaa")


def test_the_anonymous_secret_is_no_token() -> None:
    assert gate().caller({"state": LOOPBACK}, "anonymous") == ANONYMOUS
    assert not gate().authorizer(ANONYMOUS).allows(Resource.SERVICE, "web", Access.READ)


def test_rights_are_of_now() -> None:
    """A token that is deleted while a call is parked has none; nor has a certificate that was revoked."""
    state = State()
    roots = [Roots("test.consul", 1, (Root("r", "pem"),), ())]
    guard = Gate("dc1", state, lambda: roots[0], time.time)
    state.apply(kept(MANAGER), 2, time.time())
    token = guard.authorizer(Caller(CallerKind.TOKEN, "aaaa"))
    scope = {"state": member(NODE)}
    caller = guard.caller(scope, "")
    assert caller is not None
    node = guard.authorizer(caller, scope)
    assert token.allows(Resource.KEY, "x", Access.WRITE)
    assert node.allows(Resource.NODE, "vm1", Access.WRITE)
    assert not node.allows(Resource.NODE, "vm2", Access.WRITE)
    state.apply(DeleteRecord(TOKENS, "aaaa"), 3, time.time())
    roots[0] = Roots("test.consul", 2, (Root("r", "pem"),), ("0a",))
    with pytest.raises(PermissionDeniedError, match="ACL not found"):
        token.allows(Resource.KEY, "x", Access.WRITE)
    with pytest.raises(PermissionDeniedError, match="revoked"):
        node.allows(Resource.NODE, "vm1", Access.WRITE)


def test_without_access_control_loopback_operates_and_the_mesh_port_still_asks_for_a_certificate() -> None:
    guard = gate(acl=OFF)
    assert guard.caller({"state": LOOPBACK}, "") == OPERATOR
    assert guard.caller({"state": LOOPBACK}, "whatever") == OPERATOR
    assert guard.caller({"state": {}}, "") is None
    assert guard.caller({"state": member(NODE)}, "whatever") == Caller(CallerKind.NODE, "vm1")
    assert guard.authorizer(ANONYMOUS) is EVERYTHING
    assert guard.default_policy == "allow"


def test_calls_from_within_are_the_operators_unless_they_carry_a_token() -> None:
    guard = gate(kept(MANAGER))
    inside = {"state": {STATE_KEY: Connection(own_process=True)}}
    assert guard.caller(inside, "") == OPERATOR
    assert guard.caller(inside, "s3cret") == Caller(CallerKind.TOKEN, "aaaa")
    assert guard.caller(inside, "anonymous") == ANONYMOUS


def test_a_default_token_counts_where_none_is_shown() -> None:
    """On the plain port alone: a member of the mesh is known by its certificate."""
    guard = gate(kept(MANAGER), acl=AclSettings(default="s3cret"))
    assert guard.caller({"state": LOOPBACK}, "") == Caller(CallerKind.TOKEN, "aaaa")
    assert guard.caller({"state": LOOPBACK}, "anonymous") == ANONYMOUS
    assert guard.caller({"state": member(NODE)}, "") == Caller(CallerKind.NODE, "vm1")
    guard.use_default_token("")
    assert guard.caller({"state": LOOPBACK}, "") == ANONYMOUS
