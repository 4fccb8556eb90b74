"""What rules allow: exact before longest prefix, deny before all, nothing that no rule names."""

import pytest

from catalog.access.acl.permissions import Permissions
from catalog.access.acl.rules import parse_rules
from catalog.access.authorizer import Access, Resource

READ, LIST, WRITE = Access.READ, Access.LIST, Access.WRITE
R = Resource


def holder(rules: str, *, default_allow: bool = False) -> Permissions:
    return Permissions(parse_rules(rules), accessor="a", default_allow=default_allow)


APP = 'key_prefix "app/" {policy="write"} key_prefix "app/x/" {policy="deny"} key "app/x/y" {policy="read"}'
TABLE = [
    ("", R.KEY, "a", READ, False),
    (APP, R.KEY, "app/a", WRITE, True),
    (APP, R.KEY, "app", READ, False),
    (APP, R.KEY, "app/x/a", READ, False),
    (APP, R.KEY, "app/x/y", READ, True),
    (APP, R.KEY, "app/x/y", WRITE, False),
    ('key_prefix "" {policy="list"}', R.KEY, "a", LIST, True),
    ('key_prefix "" {policy="read"}', R.KEY, "a", LIST, False),
    ('key_prefix "" {policy="list"}', R.KEY, "a", WRITE, False),
    ('key "a" {policy="write"} key "a" {policy="deny"}', R.KEY, "a", READ, False),
    ('key "a" {policy="write"} key "a" {policy="read"}', R.KEY, "a", WRITE, True),
    ('service "web" {policy="write"}', R.SERVICE, "web", WRITE, True),
    ('service "web" {policy="write"}', R.SERVICE, "web2", READ, False),
    ('service "web" {policy="read"}', R.INTENTION, "web", READ, True),
    ('service "web" {policy="write"}', R.INTENTION, "web", WRITE, False),
    ('service "web" {policy="write" intentions="write"}', R.INTENTION, "web", WRITE, True),
    ('service "web" {policy="read"}', R.INTENTION, "*", READ, True),
    ('service_prefix "" {policy="deny"}', R.INTENTION, "*", READ, False),
    ('service "web" {policy="write" intentions="write"}', R.INTENTION, "*", WRITE, False),
    ('service_prefix "" {policy="read" intentions="write"}', R.INTENTION, "*", WRITE, True),
    ('operator = "write"', R.OPERATOR, "", WRITE, True),
    ('operator = "write"', R.OPERATOR, "ignored", WRITE, True),
    ('operator = "read"', R.MESH, "", READ, True),
    ('operator = "read" mesh = "deny"', R.MESH, "", READ, False),
    ('operator = "write"', R.PEERING, "", WRITE, True),
    ('operator = "write"', R.KEYRING, "", READ, False),
    ('acl = "read"', R.ACL, "", WRITE, False),
]


@pytest.mark.parametrize(("rules", "resource", "name", "access", "allowed"), TABLE)
def test_what_is_allowed(rules: str, resource: Resource, name: str, access: Access, allowed: bool) -> None:
    assert holder(rules).allows(resource, name, access) is allowed


@pytest.mark.parametrize(
    ("rules", "prefix", "allowed"),
    [
        ('key_prefix "" {policy="write"}', "a/", True),
        ('key_prefix "a/" {policy="write"}', "a/", True),
        ('key_prefix "a/" {policy="write"}', "a", False),
        ('key_prefix "a/" {policy="write"} key "a/b" {policy="read"}', "a/", False),
        ('key_prefix "a/" {policy="write"} key_prefix "a/b/" {policy="deny"}', "a/", False),
        ('key_prefix "a/" {policy="write"} key_prefix "b/" {policy="deny"}', "a/", True),
        ('key "a" {policy="write"}', "a", False),
    ],
)
def test_all_below_a_prefix(rules: str, prefix: str, allowed: bool) -> None:
    """The longest prefix allows it, and no rule below takes it back."""
    assert holder(rules).allows_all(R.KEY, prefix, WRITE) is allowed


def test_default_allow_is_all_but_the_access_control() -> None:
    open_ = holder('key "x" {policy="deny"}', default_allow=True)
    assert open_.allows(R.KEY, "a", WRITE)
    assert open_.allows(R.INTENTION, "*", WRITE)
    assert not open_.allows(R.KEY, "x", READ)
    assert not open_.allows_all(R.KEY, "", READ)
    assert not open_.allows(R.ACL, "", READ)


def test_who_it_is() -> None:
    """The accessor, never a secret."""
    assert (str(holder("")), holder("").accessor) == ("token a", "a")
    assert str(Permissions((), label="anonymous token")) == "anonymous token"
