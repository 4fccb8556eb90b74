"""Intentions: Consul's precedence and L7 semantics, and everything that must deny."""

import copy
import pickle

import pytest

from mesh.decide.authorise import (
    ByRequest,
    Denied,
    Permit,
    Policy,
    Verdict,
    compile_policy,
    permit_local_app,
)
from mesh.decide.match import Fields
from mesh.model.identity import Kind, SpiffeId, service_id
from mesh.model.intention import Action, HeaderMatch, HttpMatch, Intention, IntentionSet, Permission
from mesh.model.snapshot import Local

TD = "a1.consul"
WEB = service_id(TD, "dc1", "web")
ALLOW, DENY = Action.ALLOW, Action.DENY


def intention(
    source: str,
    action: Action | None = None,
    *permissions: Permission,
    destination: str = "api",
    precedence: int | None = None,
) -> Intention:
    if precedence is None:
        precedence = (9 if source != "*" else 8) if destination != "*" else (6 if source != "*" else 5)
    return Intention(source, destination, precedence, action, permissions)


def policy(*intentions: Intention, protocol: str = "http", default: Action = DENY) -> Policy:
    return compile_policy(IntentionSet("api", 7, protocol, default, intentions), TD)


def allowed(verdict: Verdict) -> bool:
    assert isinstance(verdict, (Permit, Denied))
    return isinstance(verdict, Permit)


def ask(
    permission_list: list[Permission],
    method: bytes = b"GET",
    path: bytes = b"/",
    fields: Fields = (),
    default: Action = DENY,
) -> bool:
    return allowed(policy(intention("web", None, *permission_list), default=default).request(WEB, method, path, fields))


@pytest.mark.parametrize(
    ("intentions", "default", "expected"),
    [
        ((), DENY, False),
        ((), ALLOW, True),
        ((intention("web", ALLOW),), DENY, True),
        ((intention("web", DENY),), ALLOW, False),
        ((intention("other", ALLOW),), DENY, False),
        ((intention("*", ALLOW),), DENY, True),
        ((intention("*", DENY), intention("web", ALLOW)), DENY, True),
        ((intention("*", ALLOW), intention("web", DENY)), DENY, False),
        # 8 (any source to api) stands before 6 (web to any destination), which stands before 5.
        ((intention("*", DENY), intention("web", ALLOW, destination="*")), ALLOW, False),
        ((intention("web", ALLOW, destination="*"), intention("*", DENY, destination="*")), DENY, True),
        ((intention("web", DENY), intention("web", ALLOW, destination="*")), ALLOW, False),
        # The order of the list does not decide, precedence does.
        ((intention("*", ALLOW, destination="*"), intention("web", DENY)), ALLOW, False),
        # One for another destination says nothing here.
        ((intention("web", ALLOW, destination="db"),), DENY, False),
    ],
)
def test_first_match_by_precedence_decides(intentions: tuple[Intention, ...], default: Action, expected: bool) -> None:
    """The intention of the highest precedence whose source matches decides; none leaves the default policy."""
    assert expected == allowed(policy(*intentions, default=default).connection(WEB))


@pytest.mark.parametrize(
    "source",
    [
        SpiffeId("other.consul", Kind.SERVICE, "dc1", "web"),
        SpiffeId(TD, Kind.NODE, "dc1", "web"),
        SpiffeId(TD, Kind.GATEWAY, "dc1", "web"),
        SpiffeId(TD, Kind.SERVER, "dc1"),
        SpiffeId(TD, Kind.SERVICE, "dc1", "web", "team"),
    ],
)
def test_only_services_of_this_trust_domain_may_call(source: SpiffeId) -> None:
    """Another trust domain, an identity that is no service and another namespace are denied even when all is allowed."""
    open_policy = policy(intention("*", ALLOW), default=ALLOW)
    verdict = open_policy.connection(source)
    assert isinstance(verdict, Denied)
    assert verdict.rule == "identity"
    assert not allowed(open_policy.request(source, b"GET", b"/", ()))


def test_the_datacenter_is_ignored() -> None:
    """Consul compares trust domain, namespace and service only."""
    assert allowed(policy(intention("web", ALLOW)).connection(service_id(TD, "dc9", "web")))


def test_missing_intentions_deny() -> None:
    """No intention set is not an empty one: it denies whatever the default would be."""
    verdict = compile_policy(None, TD).connection(WEB)
    assert Denied("this proxy has no intentions yet", "no intentions") == verdict
    assert not allowed(compile_policy(None, TD).request(WEB, b"GET", b"/", ()))


@pytest.mark.parametrize("protocol", ["tcp", "", "udp"])
def test_permissions_on_a_destination_that_is_not_http_deny(protocol: str) -> None:
    """An L7 intention acts as deny on a tcp destination."""
    verdict = policy(intention("web", None, Permission(ALLOW)), protocol=protocol, default=ALLOW).connection(WEB)
    assert not allowed(verdict)


def test_bytes_that_are_not_http_are_denied_where_permissions_apply() -> None:
    """An opaque stream is judged by the L4 action, and denied where there are permissions."""
    assert not allowed(policy(intention("web", None, Permission(ALLOW)), default=ALLOW).opaque(WEB))
    assert allowed(policy(intention("web", ALLOW)).opaque(WEB))


@pytest.mark.parametrize("broken", [intention("web"), intention("web", ALLOW, Permission(ALLOW))])
def test_an_intention_with_neither_or_both_denies(broken: Intention) -> None:
    """Action xor permissions; anything else is no leave."""
    assert not allowed(policy(broken, default=ALLOW).request(WEB, b"GET", b"/", ()))


def test_permissions_are_ordered_and_the_first_match_is_final() -> None:
    """A deny before an allow wins, and the other way round; no match is the default, not the next intention."""
    deny_admin = Permission(DENY, HttpMatch(path_prefix="/admin"))
    allow_all = Permission(ALLOW)
    assert not ask([deny_admin, allow_all], path=b"/admin/x")
    assert ask([deny_admin, allow_all], path=b"/x")
    assert ask([allow_all, deny_admin], path=b"/admin/x")
    below = policy(intention("web", None, deny_admin), intention("*", ALLOW))
    assert not allowed(below.request(WEB, b"GET", b"/x", ()))
    assert allowed(policy(intention("web", None, deny_admin), default=ALLOW).request(WEB, b"GET", b"/x", ()))


@pytest.mark.parametrize(
    ("match", "method", "path", "expected"),
    [
        (HttpMatch(path_exact="/a"), b"GET", b"/a", True),
        (HttpMatch(path_exact="/a"), b"GET", b"/a/", False),
        (HttpMatch(path_prefix="/a"), b"GET", b"/ab", True),
        (HttpMatch(path_prefix="/a/"), b"GET", b"/a", False),
        (HttpMatch(path_regex="/v[0-9]+/x"), b"GET", b"/v12/x", True),
        (HttpMatch(path_regex="/v[0-9]+"), b"GET", b"/v12/x", False),
        (HttpMatch(methods=("GET", "HEAD")), b"HEAD", b"/", True),
        (HttpMatch(methods=("GET",)), b"get", b"/", False),
        (HttpMatch(path_exact="/a", methods=("GET",)), b"POST", b"/a", False),
    ],
)
def test_paths_and_methods(match: HttpMatch, method: bytes, path: bytes, expected: bool) -> None:
    """Exact, prefix of characters, full-match regex; methods are case-sensitive for an allow."""
    assert expected == ask([Permission(ALLOW, match)], method, path)


def test_a_deny_sees_through_parameters_and_letter_case_of_methods() -> None:
    """`/admin;x=1` is `/admin` to some servers, `get` may be GET to others: a deny holds for both."""
    deny = Permission(DENY, HttpMatch(path_exact="/admin", methods=("GET",)))
    assert not ask([deny], b"GET", b"/admin;x=1", default=ALLOW)
    assert not ask([deny], b"get", b"/admin", default=ALLOW)
    assert not ask([Permission(ALLOW, HttpMatch(path_exact="/admin"))], path=b"/admin;x=1")


TWO = ((b"x-a", b"1"), (b"x-a", b"2"))


@pytest.mark.parametrize(
    ("header", "fields", "allow", "deny"),
    [
        (HeaderMatch("X-A", present=True), ((b"x-a", b""),), True, True),
        (HeaderMatch("X-A", present=True), (), False, False),
        (HeaderMatch("x-a", present=True, invert=True), (), True, True),
        (HeaderMatch("x-a", exact="1"), ((b"x-a", b"1"),), True, True),
        (HeaderMatch("x-a", exact="1"), TWO, False, True),
        (HeaderMatch("x-a", exact="2"), TWO, False, True),
        (HeaderMatch("x-a", exact="1,2"), TWO, False, True),
        (HeaderMatch("x-a", exact="1, 2"), TWO, False, True),
        (HeaderMatch("x-a", exact="1", invert=True), (), True, True),
        (HeaderMatch("x-a", exact="1", invert=True), TWO, False, True),
        (HeaderMatch("x-a", exact="3", invert=True), TWO, True, True),
        (HeaderMatch("x-a", prefix="ab"), ((b"x-a", b"abc"),), True, True),
        (HeaderMatch("x-a", suffix="bc"), ((b"x-a", b"abc"),), True, True),
        (HeaderMatch("x-a", contains="b"), ((b"x-a", b"abc"),), True, True),
        (HeaderMatch("x-a", contains="B"), ((b"x-a", b"abc"),), False, False),
        (HeaderMatch("x-a", contains="B", ignore_case=True), ((b"x-a", b"abc"),), True, True),
        (HeaderMatch("x-a", exact="AbC", ignore_case=True), ((b"x-a", b"aBc"),), True, True),
        (HeaderMatch("x-a", regex="a.c"), ((b"x-a", b"abc"),), True, True),
        (HeaderMatch("x-a", regex="a.c"), ((b"x-a", b"xabc"),), False, False),
        (HeaderMatch("x-a", regex="A.C", ignore_case=True), ((b"x-a", b"abc"),), True, True),
        # Bytes that are no UTF-8 are judged like others (a regex rule must not fail open on them).
        (HeaderMatch("x-a", regex=".*root.*"), ((b"x-a", b"\xff\xferoot"),), True, True),
        (HeaderMatch("x-a", prefix="b"), ((b"x-a", b"b" * 50_000),), True, True),
        # Too long to judge: no allow, every deny.
        (HeaderMatch("x-a", regex="b*"), ((b"x-a", b"b" * 8193),), False, True),
        (HeaderMatch("x-a", regex="c", invert=True), ((b"x-a", b"b" * 8193),), False, True),
    ],
)
def test_headers(header: HeaderMatch, fields: Fields, allow: bool, deny: bool) -> None:
    """Names without case; every line must hold for an allow, any line or the joined one for a deny."""
    match = HttpMatch(headers=(header,))
    assert allow == ask([Permission(ALLOW, match)], fields=fields)
    assert deny == (not ask([Permission(DENY, match)], fields=fields, default=ALLOW))


def test_all_headers_must_hold() -> None:
    """Header rules of one permission are joined by and."""
    match = HttpMatch(headers=(HeaderMatch("a", exact="1"), HeaderMatch("b", exact="2")))
    assert ask([Permission(ALLOW, match)], fields=((b"a", b"1"), (b"b", b"2")))
    assert not ask([Permission(ALLOW, match)], fields=((b"a", b"1"),))


@pytest.mark.parametrize(
    "match",
    [
        HttpMatch(path_regex="("),
        HttpMatch(path_regex="(?=x)"),
        HttpMatch(path_exact="/a", path_prefix="/a"),
        HttpMatch(headers=(HeaderMatch("x"),)),
        HttpMatch(headers=(HeaderMatch("", present=True),)),
        HttpMatch(headers=(HeaderMatch("é", present=True),)),
        HttpMatch(headers=(HeaderMatch("x", exact="1", prefix="2"),)),
    ],
)
def test_a_rule_that_cannot_be_used_counts_against_the_caller(match: HttpMatch) -> None:
    """A broken allow never matches, a broken deny always does."""
    assert not ask([Permission(ALLOW, match)])
    assert not ask([Permission(DENY, match), Permission(ALLOW)], default=ALLOW)


def test_verdicts_are_cached_per_source() -> None:
    """The same caller gets the same permit object under one policy, and the cache stays bounded."""
    one = policy(intention("*", ALLOW))
    assert one.connection(WEB) is one.connection(service_id(TD, "dc1", "web"))
    for number in range(5000):
        one.connection(service_id(TD, "dc1", f"s{number}"))
    assert allowed(one.connection(WEB))


def test_a_verdict_names_its_rule() -> None:
    """The log says which rule decided."""
    verdict = policy(intention("web", None, Permission(ALLOW), Permission(DENY))).connection(WEB)
    assert isinstance(verdict, ByRequest)
    permit = verdict.request(b"GET", b"/", ())
    assert isinstance(permit, Permit)
    assert permit.rule == "intention web -> api permission 1"
    assert permit.source == f"spiffe://{TD}/ns/default/dc/dc1/svc/web"
    assert permit.service == "web"
    assert "permission 1" in repr(permit)
    denied = policy(intention("web", DENY)).connection(WEB)
    assert repr(denied) == "Denied(reason='web is denied by intention web -> api', rule='intention web -> api')"
    assert hash(denied) == hash(policy(intention("web", DENY)).connection(WEB))


def test_a_permit_is_only_granted() -> None:
    """Nobody else builds, copies, stores or changes one."""
    permit = permit_local_app(Local("web", "vm", "dc1", TD))
    assert permit.source.endswith("/svc/web")
    with pytest.raises(TypeError):
        Permit("spiffe://x", "web", "mine", mint=object())
    with pytest.raises(AttributeError):
        permit.source = "spiffe://other"
    with pytest.raises(AttributeError):
        del permit.rule
    with pytest.raises(TypeError):
        copy.copy(permit)
    with pytest.raises(TypeError):
        pickle.dumps(permit)
