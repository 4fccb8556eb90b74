"""Intentions: Consul's precedence, and the API's questions (reference/consul.md 2 and 9a.13)."""

from typing import Any

import pytest

from catalog.compile.config_entries import ConfigEntryError, decode_source
from catalog.compile.intentions import (
    check_allowed,
    check_source_write,
    compile_intentions,
    find_intention,
    list_intentions,
    match_intentions,
    source_body,
)
from catalog.state.changes import PutIntention
from mesh.model.intention import Action, HeaderMatch, HttpMatch, Permission

HTTP = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
GET_ONLY = {
    "Permissions": [
        {
            "Action": "allow",
            "HTTP": {
                "PathPrefix": "/api",
                "Methods": ["GET"],
                "Header": [{"Name": "x-a", "Contains": "b", "IgnoreCase": True}],
            },
        },
        {"Action": "deny", "HTTP": {"PathRegex": "/.*"}},
    ]
}


def test_empty(world: Any) -> None:
    """A destination that nobody wrote about: nothing but the default, which is deny."""
    found = compile_intentions(world.entries, "web")
    assert (found.intentions, found.default_action, found.protocol) == ((), Action.DENY, "tcp")
    assert not check_allowed(world.entries, "api", "web")
    assert check_allowed(world.entries, "api", "web", Action.ALLOW)


def test_precedence(world: Any) -> None:
    """9 exact, 8 any source, 6 any destination, 5 both; ties by name; one with a source seen above is dropped."""
    for source, destination in [("*", "*"), ("api", "*"), ("cli", "*"), ("*", "web"), ("db", "web"), ("api", "web")]:
        world.intend(source, destination)
    found = compile_intentions(world.entries, "web").intentions
    assert [(part.source, part.destination, part.precedence) for part in found] == [
        ("api", "web", 9),
        ("db", "web", 9),
        ("*", "web", 8),
        ("cli", "*", 6),
    ]
    others = compile_intentions(world.entries, "other").intentions
    assert [(part.source, part.precedence) for part in others] == [("api", 6), ("cli", 6), ("*", 5)]


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ([("api", "web", "allow"), ("*", "*", "deny")], True),
        ([("api", "web", "deny"), ("*", "web", "allow")], False),
        ([("*", "web", "deny"), ("api", "*", "allow")], False),
        ([("api", "*", "allow"), ("*", "*", "deny")], True),
        ([("*", "*", "allow")], True),
        ([("db", "web", "allow")], False),
    ],
)
def test_check(world: Any, rules: list[tuple[str, str, str]], allowed: bool) -> None:
    """The first that matches decides; none leaves the default."""
    for rule in rules:
        world.intend(*rule)
    assert check_allowed(world.entries, "api", "web") is allowed


def test_permissions(world: Any) -> None:
    """Permissions arrive in order and as written; `check` says no to them."""
    world.put(HTTP)
    source = decode_source(GET_ONLY, "web", "api")
    check_source_write(world.entries, source, "web")
    world.apply(PutIntention("web", source_body(source)))
    found = compile_intentions(world.entries, "web", 7)
    assert (found.protocol, found.index) == ("http", 7)
    (intention,) = found.intentions
    header = HeaderMatch("x-a", contains="b", ignore_case=True)
    assert intention.action is None
    assert intention.permissions == (
        Permission(Action.ALLOW, HttpMatch(path_prefix="/api", methods=("GET",), headers=(header,))),
        Permission(Action.DENY, HttpMatch(path_regex="/.*")),
    )
    assert not check_allowed(world.entries, "api", "web", Action.ALLOW)


def test_permissions_need_a_protocol(world: Any) -> None:
    """L7 rules on a destination whose requests are not seen are refused at the write."""
    source = decode_source(GET_ONLY, "web", "api")
    with pytest.raises(ConfigEntryError, match="tcp"):
        check_source_write(world.entries, source, "web")


def test_api_rows(world: Any) -> None:
    """Exact, list and match, in Consul's order and JSON."""
    world.intend("*", "*", "deny").intend("api", "web").intend("*", "web", "deny").intend("api", "db")
    row = find_intention(world.state, world.entries, "api", "web")
    assert row is not None
    stored = world.state.config("service-intentions", "web")
    assert row.to_json() == {
        "SourceNS": "default",
        "SourceName": "api",
        "DestinationNS": "default",
        "DestinationName": "web",
        "SourceType": "consul",
        "Action": "allow",
        "Precedence": 9,
        "CreateIndex": stored.create_index,
        "ModifyIndex": stored.modify_index,
    }
    assert find_intention(world.state, world.entries, "cli", "web") is None
    assert find_intention(world.state, world.entries, "api", "nowhere") is None

    def pairs(rows: list[Any]) -> list[tuple[str, str]]:
        return [(row.source.name, row.destination) for row in rows]

    every = [("api", "db"), ("api", "web"), ("*", "web"), ("*", "*")]
    assert pairs(list_intentions(world.state, world.entries)) == every
    assert pairs(match_intentions(world.state, world.entries, "destination", "web")) == every[1:]
    assert pairs(match_intentions(world.state, world.entries, "destination", "*")) == [("*", "*")]
    assert pairs(match_intentions(world.state, world.entries, "source", "api")) == every
    assert pairs(match_intentions(world.state, world.entries, "source", "cli")) == [("*", "web"), ("*", "*")]
    with pytest.raises(ConfigEntryError, match="by"):
        match_intentions(world.state, world.entries, "neither", "web")
