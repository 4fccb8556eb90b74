"""Intentions: Consul's precedence, and the API's questions (reference/consul.md 2 and 9a.13)."""

from typing import Any

import pytest

from catalog.compile.config_entries import ConfigEntryError, decode_source
from catalog.compile.intentions import (
    check_allowed,
    check_source_write,
    compile_intentions,
    find_intention,
    legacy_intention,
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
        "Meta": {},
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


TOKEN = {"Providers": [{"Name": "okta", "VerifyClaims": [{"Path": ["role"], "Value": "admin"}]}]}


def test_what_cannot_be_checked_is_denied(world: Any) -> None:
    """A permission that asks for a token denies what its HTTP part matches; an entry that does lets nobody in."""
    permissions = [
        {"Action": "allow", "HTTP": {"PathPrefix": "/admin"}, "JWT": TOKEN},
        {"Action": "allow", "JWT": TOKEN},
    ]
    world.put(
        HTTP, {"Kind": "service-intentions", "Name": "web", "Sources": [{"Name": "api", "Permissions": permissions}]}
    )
    (intention,) = compile_intentions(world.entries, "web").intentions
    assert [permission.action for permission in intention.permissions] == [Action.DENY, Action.DENY]
    assert intention.permissions[0].http.path_prefix == "/admin"
    every = {"Kind": "service-intentions", "Name": "web", "JWT": TOKEN, "Sources": [{"Name": "api", "Action": "allow"}]}
    world.put(every)
    found = compile_intentions(world.entries, "web", default_action=Action.ALLOW)
    assert ([part.action for part in found.intentions], found.default_action) == ([Action.DENY], Action.DENY)
    assert not check_allowed(world.entries, "api", "web", Action.ALLOW)


def test_a_peers_source_is_nobody_here(world: Any) -> None:
    """It is kept and shown, and neither lets in nor keeps out a service of the same name."""
    sources = [{"Name": "api", "Peer": "east", "Action": "allow"}, {"Name": "api", "Action": "deny"}]
    world.put({"Kind": "service-intentions", "Name": "web", "Meta": {"team": "a"}, "Sources": sources})
    (intention,) = compile_intentions(world.entries, "web").intentions
    assert (intention.source, intention.action) == ("api", Action.DENY)
    row = find_intention(world.state, world.entries, "api", "web", "east")
    assert row is not None
    assert {key: row.to_json()[key] for key in ("SourcePeer", "Action", "Meta")} == {
        "SourcePeer": "east",
        "Action": "allow",
        "Meta": {"team": "a"},
    }
    assert len(list_intentions(world.state, world.entries)) == 2
    assert len(match_intentions(world.state, world.entries, "source", "api")) == 1


def test_legacy(world: Any) -> None:
    """One made by the form of before 1.9 has an id, meta and times of its own."""
    source = {"Name": "api", "Action": "allow", "LegacyID": "u-1", "LegacyMeta": {"a": "b"}, "LegacyCreateTime": "t"}
    world.put({"Kind": "service-intentions", "Name": "web", "Sources": [source]})
    row = legacy_intention(world.state, world.entries, "u-1")
    assert row is not None
    assert {key: row.to_json()[key] for key in ("ID", "Meta", "CreatedAt")} == {
        "ID": "u-1",
        "Meta": {"a": "b"},
        "CreatedAt": "t",
    }
    assert legacy_intention(world.state, world.entries, "u-2") is None
