"""Rules: a table of what is read, and of what is refused rather than dropped."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.access.acl.rules import MAX_RULES, Policy, Rule, RuleError, parse_rules, strictest
from catalog.access.authorizer import Resource

R = Resource
D, READ, L, W = Policy.DENY, Policy.READ, Policy.LIST, Policy.WRITE


def rule(resource: R, policy: Policy, name: str = "", *, prefix: bool = False) -> Rule:
    return Rule(resource, name, prefix, policy)


SERVICE = (rule(R.SERVICE, W, "web"), rule(R.INTENTION, READ, "web"))
TABLE = {
    "": (),
    'operator = "read"': (rule(R.OPERATOR, READ),),
    'acl = "write" keyring = "deny" mesh = "read" peering = "write"': (
        rule(R.ACL, W),
        rule(R.KEYRING, D),
        rule(R.MESH, READ),
        rule(R.PEERING, W),
    ),
    'service "web" { policy = "write" }': SERVICE,
    '{"service": {"web": {"policy": "write"}}}': SERVICE,
    '{"service": [{"web": [{"policy": "write"}]}]}': SERVICE,
    'service "web" { policy = "deny" }': (rule(R.SERVICE, D, "web"), rule(R.INTENTION, D, "web")),
    'service_prefix "" { policy = "read" intentions = "write" }': (
        rule(R.SERVICE, READ, prefix=True),
        rule(R.INTENTION, W, prefix=True),
    ),
    'service "web" { intentions = "read" }': (rule(R.INTENTION, READ, "web"),),
    'key_prefix "a/" { policy = "list" }': (rule(R.KEY, L, "a/", prefix=True),),
    'key "a" { policy = "deny" }': (rule(R.KEY, D, "a"),),
    'agent "x" {policy="read"} event_prefix "" {policy="write"} node "n" {policy="write"}': (
        rule(R.AGENT, READ, "x"),
        rule(R.EVENT, W, prefix=True),
        rule(R.NODE, W, "n"),
    ),
    'query "q" {policy="read"}\nsession_prefix "s" {policy="write"}': (
        rule(R.QUERY, READ, "q"),
        rule(R.SESSION, W, "s", prefix=True),
    ),
    '{"key_prefix": {"": {"policy": "read"}}, "operator": "read"}': (
        rule(R.KEY, READ, prefix=True),
        rule(R.OPERATOR, READ),
    ),
}


@pytest.mark.parametrize(("text", "rules"), TABLE.items())
def test_what_rules_say(text: str, rules: tuple[Rule, ...]) -> None:
    assert parse_rules(text) == rules


@pytest.mark.parametrize(
    "text",
    [
        'service "web" { policy = "list" }',
        'service "web" { policy = "allow" }',
        'service "web" {}',
        'service "web" { policy = "read" color = "red" }',
        'node "n" { policy = "read" intentions = "read" }',
        'operator "x" { policy = "read" }',
        'operator = "list"',
        'acl_prefix "" { policy = "read" }',
        'intention "x" { policy = "read" }',
        'namespace "x" { policy = "read" }',
        'namespace_prefix "" { acl = "read" }',
        'planet "x" { policy = "read" }',
        'service = "read"',
        'service { policy = "read" }',
        'service "web" = "read"',
        '{"service": {"web": {"policy": 1}}}',
        '{"service": {"web": []}, "x": 1}',
        '{"service": 1}',
        "{",
        '{"a":' * 40 + "1" + "}" * 40,
        f'service "{"x" * 600}" {{ policy = "read" }}',
        "?",
        "x" * 300_000,
    ],
)
def test_what_is_refused(text: str) -> None:
    """Whole: the rule that cannot be read might be the one that denies."""
    with pytest.raises(RuleError):
        parse_rules(text)


def test_the_number_of_rules_is_bounded() -> None:
    body = {"key": {str(number): {"policy": "read"} for number in range(MAX_RULES + 1)}}
    with pytest.raises(RuleError, match="more than"):
        parse_rules(msgspec.json.encode(body).decode())


def test_deny_beats_and_else_the_widest_counts() -> None:
    assert strictest([W, D, READ]) is D
    assert strictest([READ, W, L]) is W


@given(st.text() | st.text('{}[]="ab \n:,') | st.sampled_from(list(TABLE)).map(lambda text: text[:-1]))
def test_any_text_gives_rules_or_the_writers_error(text: str) -> None:
    try:
        assert isinstance(parse_rules(text), tuple)
    except RuleError as error:
        assert str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["service", "key_prefix", "policy", "operator", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_gives_rules_or_the_writers_error(value: object) -> None:
    try:
        parse_rules(msgspec.json.encode(value).decode())
    except RuleError as error:
        assert str(error)


def test_a_key_that_comes_twice_in_json_drops_no_rule() -> None:
    """The one that is dropped could be the one that denies."""
    text = (
        '{"key": {"a": {"policy": "deny"}}, "key": {"a": {"policy": "write"}, "b": {"policy": "read"}}, '
        '"node": {"n": {"policy": "write"}, "n": {"policy": "deny"}}, "service": {"s": {"policy": "deny", "policy": "read"}}}'
    )
    found = [(rule.resource, rule.name, rule.policy.name) for rule in parse_rules(text) if rule.resource != "intention"]
    assert found == [
        ("key", "a", "DENY"),
        ("key", "a", "WRITE"),
        ("key", "b", "READ"),
        ("node", "n", "WRITE"),
        ("node", "n", "DENY"),
        ("service", "s", "DENY"),
    ]
