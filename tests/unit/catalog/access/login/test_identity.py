"""Binding rules: what they give, and what no rule may be."""

import pytest

from catalog.access.acl.model import BindingRule, NodeIdentity, ServiceIdentity, TemplatedPolicy
from catalog.access.login.identity import (
    JWT_FIELDS,
    KUBERNETES_FIELDS,
    BindingError,
    Identity,
    bind,
    check_rule,
    holds,
    interpolate,
)

WHO = Identity(
    {"value": {"name": "web", "team": "a b"}, "list": {"groups": ["x", "y"]}},
    {"value.name": "web", "value.team": "a b"},
)


def rule(bind_type: str, bind_name: str, selector: str = "", **bind_vars: str) -> BindingRule:
    return BindingRule("1", "m", bind_type, bind_name, selector, bind_vars=bind_vars)


def test_what_rules_give() -> None:
    bound = bind(
        [
            rule("service", "${value.name}"),
            rule("node", "n-${ value.name }"),
            rule("role", "r-${value.name}"),
            rule("policy", "p", 'value.name == "web" and "x" in list.groups'),
            rule("templated-policy", "builtin/service", name="${value.name}-t"),
            rule("policy", "no", 'value.name == "db"'),
        ],
        WHO,
        "dc1",
    )
    assert bound.rights.services == (ServiceIdentity("web"),)
    assert bound.rights.nodes == (NodeIdentity("n-web", "dc1"),)
    assert bound.rights.templates == (TemplatedPolicy("builtin/service", "web-t"),)
    assert (bound.roles, bound.policies) == (("r-web",), ("p",))


@pytest.mark.parametrize("bind_type", ["service", "node", "role", "policy"])
def test_a_name_that_cannot_be_gives_nothing_at_all(bind_type: str) -> None:
    """A claim must not smuggle rules into a name."""
    with pytest.raises(BindingError):
        bind([rule(bind_type, "${value.team}")], WHO, "dc1")


@pytest.mark.parametrize(
    ("one", "fits"),
    [
        (rule("service", "${value.name}", 'value.x == "y"'), True),
        (rule("role", "fixed"), True),
        (rule("templated-policy", "builtin/node", name="${value.name}"), True),
        (rule("planet", "x"), False),
        (rule("service", ""), False),
        (rule("service", "No Good"), False),
        (rule("service", "${value.other}"), False),
        (rule("service", "${value.name"), False),
        (rule("service", "x", "value.x =="), False),
        (rule("service", "x", 'planet == "y"'), False),
        (rule("service", "x", name="y"), False),
        (rule("templated-policy", "builtin/none"), False),
        (rule("templated-policy", "builtin/service"), False),
        (rule("service", "x" * 600), False),
    ],
)
def test_what_a_rule_may_be(one: BindingRule, fits: bool) -> None:
    if fits:
        check_rule(one, JWT_FIELDS, ["value.name"])
    else:
        with pytest.raises(BindingError):
            check_rule(one, JWT_FIELDS, ["value.name"])


def test_selectors_ask_about_what_the_method_says() -> None:
    check_rule(rule("role", "r", 'serviceaccount.name != "default"'), KUBERNETES_FIELDS, [])
    with pytest.raises(BindingError):
        check_rule(rule("role", "r", 'value.name == "x"'), KUBERNETES_FIELDS, [])
    assert holds("", WHO)
    assert not holds("broken (", WHO)
    assert not holds('value.missing == "x"', WHO)


def test_what_is_filled_in() -> None:
    assert interpolate("a-${value.name}-${value.name}", WHO.variables) == "a-web-web"
    for wrong in ("${x}", "${}", "${value.name", "${value name}"):
        with pytest.raises(BindingError):
            interpolate(wrong, WHO.variables)
