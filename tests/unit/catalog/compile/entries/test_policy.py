"""service-intentions and exported-services: what each must satisfy alone."""

from typing import Any

import pytest

from catalog.compile.config_entries import ConfigEntryError, decode_entry, entry_body
from catalog.compile.entries.policy import precedence


def refused(kind: str, name: str = "web", **fields: Any) -> str:
    with pytest.raises(ConfigEntryError) as caught:
        decode_entry({"Kind": kind, "Name": name, **fields})
    assert caught.value.status in {400, 500}
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "destination", "expected"), [("a", "b", 9), ("*", "b", 8), ("a", "*", 6), ("*", "*", 5)]
)
def test_precedence(source: str, destination: str, expected: int) -> None:
    """Consul's numbers for one namespace."""
    assert precedence(source, destination) == expected


def test_sources_are_ordered() -> None:
    """Sources come out highest precedence first, with the precedence that they have, whatever the caller says."""
    sources = [
        {"Name": "*", "Action": "deny", "Precedence": 99},
        {"Name": "b", "Action": "allow"},
        {"Name": "a", "Action": "allow"},
    ]
    body = entry_body(decode_entry({"Kind": "service-intentions", "Name": "web", "Sources": sources}))
    assert [(source["Name"], source["Precedence"]) for source in body["Sources"]] == [("b", 9), ("a", 9), ("*", 8)]


HTTP = {"Action": "allow", "HTTP": {"PathExact": "/"}}


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ({"Action": "allow"}, "Name"),
        ({"Name": "A", "Action": "allow"}, "Name"),
        ({"Name": "a*", "Action": "allow"}, "Name"),
        ({"Name": "a"}, "Action"),
        ({"Name": "a", "Action": "perhaps"}, "Action"),
        ({"Name": "a", "Action": "allow", "Permissions": [HTTP]}, "Permissions"),
        ({"Name": "a", "Action": "allow", "Type": "jwt"}, "Type"),
        ({"Name": "a", "Action": "allow", "Peer": "*"}, "Peer"),
        ({"Name": "a", "Action": "allow", "Namespace": "team"}, "Namespace"),
        ({"Name": "a", "Action": "allow", "Description": "x" * 600}, "Description"),
        ({"Name": "a", "Permissions": [{"Action": "allow"}]}, "Permissions[0].HTTP"),
        ({"Name": "a", "Permissions": [{"Action": "allow", "HTTP": {}}]}, "Permissions[0].HTTP"),
        ({"Name": "a", "Permissions": [{"HTTP": {"PathExact": "/"}}]}, "Action"),
        ({"Name": "a", "Permissions": [{**HTTP, "JWT": {"Providers": [{"Name": ""}]}}]}, "JWT"),
        (
            {
                "Name": "a",
                "Permissions": [{"Action": "deny", "JWT": {"Providers": [{"Name": "x", "VerifyClaims": [{}]}]}}],
            },
            "VerifyClaims[0]",
        ),
        ({"Name": "a", "Permissions": [{"Action": "deny", "HTTP": {"PathExact": "x"}}]}, "PathExact"),
        ({"Name": "a", "Permissions": [{"Action": "deny", "HTTP": {"Header": [{"Name": "h"}]}}]}, "Header[0]"),
        (
            {
                "Name": "a",
                "Permissions": [
                    {"Action": "deny", "HTTP": {"Header": [{"Name": "h", "Regex": "a", "IgnoreCase": True}]}}
                ],
            },
            "IgnoreCase",
        ),
        ({"Name": "a", "Permissions": [HTTP] * 300}, "Permissions"),
    ],
)
def test_source(source: dict[str, Any], named: str) -> None:
    """A source that could be misread is refused, with its place."""
    assert named in refused("service-intentions", Sources=[source])


def test_entry() -> None:
    """No sources, one twice, L7 rules for every destination: refused."""
    assert "Sources" in refused("service-intentions")
    twice = [{"Name": "a", "Action": "allow"}, {"Name": "a", "Action": "deny"}]
    assert "Sources[1]" in refused("service-intentions", Sources=twice)
    assert "wildcard" in refused("service-intentions", "*", Sources=[{"Name": "a", "Permissions": [HTTP]}])
    assert "Name" in refused("service-intentions", "we*", Sources=twice[:1])


@pytest.mark.parametrize(
    ("service", "named"),
    [
        ({"Name": "W", "Consumers": [{"Network": "a"}]}, "Services[0].Name"),
        ({"Name": "web"}, "Consumers"),
        ({"Name": "web", "Consumers": [{}]}, "Network"),
        ({"Name": "web", "Consumers": [{"Network": "A B"}]}, "Consumers[0].Network"),
        ({"Name": "web", "Consumers": [{"Peer": "east", "Network": "a"}]}, "Peer"),
        ({"Name": "web", "Consumers": [{"Peer": "*"}]}, "Peer"),
        ({"Name": "web", "Consumers": [{"Network": "a", "Partition": "b"}]}, "Partition"),
    ],
)
def test_exports(service: dict[str, Any], named: str) -> None:
    """An export says which service and which networks, in our words."""
    assert named.lower() in refused("exported-services", "default", Services=[service]).lower()


def test_export_twice() -> None:
    """A service stands in an entry once."""
    service = {"Name": "web", "Consumers": [{"Network": "*"}]}
    assert "Services[1]" in refused("exported-services", "default", Services=[service, service])
