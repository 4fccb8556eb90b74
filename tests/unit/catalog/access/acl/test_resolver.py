"""From a secret to rights: by hash, through policies, roles and identities, anew when any of them changes."""

import pytest

from catalog.access.acl import model
from catalog.access.acl.live import LiveAuthorizer, current, topics_of
from catalog.access.acl.model import AclPolicy, NodeIdentity, Rights, Role, ServiceIdentity, TemplatedPolicy, Token
from catalog.access.acl.resolver import ANONYMOUS_TOKEN, Resolver, UnknownTokenError, is_management
from catalog.access.acl.settings import AclSettings
from catalog.access.authorizer import NOTHING, Access, Resource
from catalog.state.changes import DeleteRecord, PutRecord
from catalog.state.state import State

K = Resource.KEY


class World:
    """A state with tokens in it, and a clock."""

    def __init__(self, settings: AclSettings | None = None) -> None:
        self.state = State()
        self.now_s = 100.0
        self.resolver = Resolver(self.state, "dc1", settings or AclSettings(), lambda: self.now_s)

    def put(self, table: str, key: str, kept: model.Kept | bytes) -> None:
        value = kept if isinstance(kept, bytes) else model.write_kept(kept)
        self.state.apply(PutRecord(table, key, value), self.state.index + 1, 0.0)

    def delete(self, table: str, key: str) -> None:
        self.state.apply(DeleteRecord(table, key), self.state.index + 1, 0.0)

    def token(self, accessor: str = "a", *, expires_s: float = 0.0, **rights: object) -> None:
        hashed = model.secret_hash(f"secret-{accessor}")
        self.put(model.TOKENS, accessor, Token(accessor, hashed, rights=Rights(**rights), expires_s=expires_s))  # type: ignore[arg-type]
        self.put(model.SECRETS, hashed, accessor.encode())

    def policy(self, policy_id: str, rules: str, *datacenters: str) -> None:
        self.put(model.POLICIES, policy_id, AclPolicy(policy_id, policy_id, rules=rules, datacenters=datacenters))

    def may(self, name: str, resource: Resource = K, access: Access = Access.READ, accessor: str = "a") -> bool:
        return self.resolver.resolve(accessor).permissions.allows(resource, name, access)


def test_a_secret_opens_its_token() -> None:
    world = World()
    world.token()
    assert world.resolver.token_of("secret-a").accessor == "a"
    for wrong in ("secret-b", "", "x" * 5000, "a"):
        with pytest.raises(UnknownTokenError, match="ACL not found"):
            world.resolver.token_of(wrong)


def test_a_token_ends_at_its_time_also_in_the_cache() -> None:
    world = World()
    world.token(expires_s=200.0)
    assert world.resolver.resolve("a").until_s == 200.0
    world.now_s = 200.0
    with pytest.raises(UnknownTokenError):
        world.resolver.resolve("a")
    with pytest.raises(UnknownTokenError):
        world.resolver.token_of("secret-a")


def test_rights_come_from_policies_roles_and_identities() -> None:
    world = World()
    world.policy("p", 'key "p" {policy="read"}')
    world.policy("r", 'key "r" {policy="read"}')
    world.put(model.ROLES, "role", Role("role", "role", rights=Rights(("r",), services=(ServiceIdentity("db"),))))
    world.token(
        policies=("p", "gone"),
        roles=("role", "gone"),
        services=(ServiceIdentity("web"), ServiceIdentity("far", ("dc2",))),
        nodes=(NodeIdentity("n1", "dc1"), NodeIdentity("n2", "dc2")),
        templates=(TemplatedPolicy("builtin/service", "tpl"), TemplatedPolicy("builtin/node", "n3", ("dc2",))),
    )
    for key in ("p", "r"):
        assert world.may(key)
    for service, allowed in (("web", True), ("db", True), ("tpl", True), ("far", False)):
        assert world.may(service, Resource.SERVICE, Access.WRITE) is allowed
    for node, allowed in (("n1", True), ("n2", False), ("n3", False)):
        assert world.may(node, Resource.NODE, Access.WRITE) is allowed


def test_policies_of_other_datacenters_do_not_count() -> None:
    world = World()
    world.policy("p", 'key "p" {policy="read"}', "dc2")
    world.token(policies=("p",))
    assert not world.may("p")


def test_a_change_of_any_part_counts_at_once() -> None:
    """Of the token, of its policy, of its role, of its role's policy; and a policy that is deleted gives nothing."""
    world = World()
    world.policy("p", "")
    world.token(policies=("p",), roles=("role",))
    assert not world.may("x")
    world.policy("p", 'key "x" {policy="read"}')
    assert world.may("x")
    world.delete(model.POLICIES, "p")
    assert not world.may("x")
    world.put(model.ROLES, "role", Role("role", "role", rights=Rights(("q",))))
    world.policy("q", 'key "x" {policy="read"}')
    assert world.may("x")
    world.policy("q", 'key "x" {policy="deny"}')
    assert not world.may("x")
    world.delete(model.TOKENS, "a")
    with pytest.raises(UnknownTokenError):
        world.resolver.resolve("a")


def test_unrelated_changes_keep_the_compiled_rights() -> None:
    world = World()
    world.policy("p", 'key "p" {policy="read"}')
    world.token(policies=("p",))
    first = world.resolver.resolve("a")
    world.policy("other", "")
    assert world.resolver.resolve("a") is first


def test_a_policy_that_cannot_be_read_gives_nothing_at_all() -> None:
    """The rule that is lost may be one that denies."""
    world = World()
    world.policy("p", 'key_prefix "" {policy="read"}')
    world.policy("broken", "future rules")
    world.token(policies=("p", "broken"))
    assert not world.may("x")


def test_the_anonymous_token_is_there_and_may_be_given_policies() -> None:
    world = World()
    assert world.resolver.token_of("anonymous") == ANONYMOUS_TOKEN
    assert not world.may("x", accessor=ANONYMOUS_TOKEN.accessor)
    world.policy("p", 'key "x" {policy="read"}')
    world.put(model.TOKENS, model.ANONYMOUS_ID, Token(model.ANONYMOUS_ID, "", rights=Rights(("p",))))
    assert world.may("x", accessor=ANONYMOUS_TOKEN.accessor)
    assert str(world.resolver.resolve(ANONYMOUS_TOKEN.accessor).permissions) == "anonymous token"


def test_default_allow_is_for_every_token() -> None:
    world = World(AclSettings(default_policy="allow"))
    assert world.may("x", accessor=ANONYMOUS_TOKEN.accessor)


def test_management_is_the_policy_that_grants_everything() -> None:
    assert is_management(Token("a", "", rights=Rights((model.MANAGEMENT_ID,))))
    assert not is_management(Token("a", ""))


def test_a_live_authorizer_asks_again_after_a_change() -> None:
    """And raises when there is no such token any more; a time-out counts without a change."""
    world = World()
    world.policy("p", 'key "x" {policy="read"}')
    world.token(policies=("p",), expires_s=200.0)

    def resolve() -> tuple[object, float, tuple[tuple[str, ...], ...]]:
        found = world.resolver.resolve("a")
        return found.permissions, found.until_s, found.topics

    live = LiveAuthorizer(world.state, resolve, lambda: world.now_s)  # type: ignore[arg-type]
    assert live.allows(K, "x", Access.READ)
    assert not live.allows_all(K, "", Access.READ)
    assert (live.accessor, str(live)) == ("a", "token a")
    assert ("record", model.POLICIES, "p") in topics_of(live)
    assert current(live) is live.now()
    assert (current(NOTHING), topics_of(NOTHING)) == (NOTHING, ())
    world.policy("p", "")
    assert not live.allows(K, "x", Access.READ)
    world.now_s = 200.0
    with pytest.raises(UnknownTokenError):
        live.allows(K, "x", Access.READ)
