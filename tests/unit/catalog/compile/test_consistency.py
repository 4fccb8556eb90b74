"""Writes and deletes that would contradict other entries are refused, with everything else as it was."""

from typing import Any

import pytest

from catalog.compile.config_entries import ConfigEntryError, decode_entry
from catalog.compile.consistency import check_delete, check_write, named_services

HTTP = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
HTTP_API = {"Kind": "service-defaults", "Name": "api", "Protocol": "http"}
SUBSETS = {"Kind": "service-resolver", "Name": "web", "Subsets": {"v1": {}, "v2": {}}}
SPLIT = {
    "Kind": "service-splitter",
    "Name": "web",
    "Splits": [{"Weight": 50, "ServiceSubset": "v1"}, {"Weight": 50, "ServiceSubset": "v2"}],
}
L7 = {
    "Kind": "service-intentions",
    "Name": "web",
    "Sources": [{"Name": "api", "Permissions": [{"Action": "allow", "HTTP": {"PathExact": "/"}}]}],
}


def refused(call: Any, *arguments: Any) -> str:
    with pytest.raises(ConfigEntryError) as caught:
        call(*arguments)
    assert caught.value.status in {400, 500}
    return str(caught.value)


def test_order_matters(world: Any) -> None:
    """Protocol, then subsets, then the split: each alone is refused before what it needs is there."""
    split = decode_entry(SPLIT)
    assert "tcp" in refused(check_write, world.entries, split, "dc1")
    world.put(HTTP)
    assert "v1" in refused(check_write, world.entries, split, "dc1")
    world.put(SUBSETS)
    check_write(world.entries, split, "dc1")


def test_what_is_needed_stays(world: Any) -> None:
    """What another entry needs is neither deleted nor changed under it."""
    world.put(HTTP, SUBSETS, SPLIT)
    assert "v1" in refused(check_delete, world.entries, "service-resolver", "web", "dc1")
    assert "tcp" in refused(check_delete, world.entries, "service-defaults", "web", "dc1")
    fewer = decode_entry({**SUBSETS, "Subsets": {"v1": {}}})
    assert "v2" in refused(check_write, world.entries, fewer, "dc1")
    check_delete(world.entries, "service-splitter", "web", "dc1")
    check_delete(world.entries, "service-splitter", "nowhere", "dc1")


def test_chains_that_lead_here_are_judged(world: Any) -> None:
    """A write is judged by every chain that reaches it, not only by its own."""
    router = {
        "Kind": "service-router",
        "Name": "front",
        "Routes": [{"Destination": {"Service": "web", "ServiceSubset": "v1"}}],
    }
    world.put({**HTTP, "Name": "front"}, HTTP, SUBSETS, router)
    assert "front" in refused(check_delete, world.entries, "service-resolver", "web", "dc1")
    tcp = decode_entry({**HTTP, "Protocol": "tcp"})
    assert "front" in refused(check_write, world.entries, tcp, "dc1")
    loop = {"Kind": "service-resolver", "Name": "web", "Redirect": {"Service": "back"}}
    world.delete("service-router", "front")
    world.put({"Kind": "service-resolver", "Name": "back", "Failover": {"*": {"Service": "front"}}})
    assert "mixes" in refused(check_write, world.entries, decode_entry(loop), "dc1")


def test_proxy_defaults_are_judged_by_all(world: Any) -> None:
    """The default protocol holds every chain that has no protocol of its own."""
    world.put({"Kind": "proxy-defaults", "Config": {"protocol": "http"}}, SUBSETS, SPLIT, L7)
    assert "web" in refused(check_delete, world.entries, "proxy-defaults", "global", "dc1")
    world.delete("service-splitter", "web")
    assert "Permissions" in refused(check_delete, world.entries, "proxy-defaults", "global", "dc1")
    world.delete("service-intentions", "web")
    check_delete(world.entries, "proxy-defaults", "global", "dc1")


def test_l7_intentions(world: Any) -> None:
    """L7 rules need an L7 protocol, when they are written and as long as they stand."""
    assert "tcp" in refused(check_write, world.entries, decode_entry(L7), "dc1")
    world.put(HTTP)
    check_write(world.entries, decode_entry(L7), "dc1")
    world.put(L7)
    assert "tcp" in refused(check_delete, world.entries, "service-defaults", "web", "dc1")


def test_what_a_proxy_would_refuse(world: Any) -> None:
    """Header edits that belong to the proxy are refused at the write, not in a hundred proxies."""
    world.put(HTTP)
    router = {
        "Kind": "service-router",
        "Name": "web",
        "Routes": [{"Destination": {"RequestHeaders": {"Set": {"X-Forwarded-Client-Cert": "me"}}}}],
    }
    assert "belongs to the proxy" in refused(check_write, world.entries, decode_entry(router), "dc1")


def test_unrelated_kinds_pass(world: Any) -> None:
    """Exports and mesh settings contradict nobody."""
    world.put(HTTP, SUBSETS, SPLIT)
    check_write(world.entries, decode_entry({"Kind": "mesh"}), "dc1")
    check_write(world.entries, decode_entry({"Kind": "exported-services", "Name": "default"}), "dc1")
    check_delete(world.entries, "exported-services", "default", "dc1")


PROVIDER = {
    "Kind": "jwt-provider",
    "Name": "okta",
    "JSONWebKeySet": {"Remote": {"URI": "https://keys.example.com"}},
}


def test_token_providers(world: Any) -> None:
    """An intention names providers that are there, and one in use stays."""
    asking = {
        **L7,
        "Sources": [{"Name": "api", "Permissions": [{"Action": "allow", "JWT": {"Providers": [{"Name": "okta"}]}}]}],
    }
    world.put(HTTP)
    assert "okta" in refused(check_write, world.entries, decode_entry(asking), "dc1")
    world.put(PROVIDER)
    check_write(world.entries, decode_entry(asking), "dc1")
    world.put(asking)
    assert "'web'" in refused(check_delete, world.entries, "jwt-provider", "okta", "dc1")
    world.delete("service-intentions", "web")
    check_delete(world.entries, "jwt-provider", "okta", "dc1")


def test_ingress_listeners_speak_their_services_protocol(world: Any) -> None:
    """At the write of the gateway, and at a later write of the protocol."""
    listener = {"Port": 80, "Protocol": "http", "Services": [{"Name": "web"}, {"Name": "*"}]}
    gateway = decode_entry({"Kind": "ingress-gateway", "Name": "edge", "Listeners": [listener]})
    assert "listener protocol 'http'" in refused(check_write, world.entries, gateway, "dc1")
    world.put(HTTP)
    check_write(world.entries, gateway, "dc1")
    world.put({"Kind": "ingress-gateway", "Name": "edge", "Listeners": [listener]})
    assert "'edge'" in refused(check_delete, world.entries, "service-defaults", "web", "dc1")


def test_permissive_tls_is_allowed_first(world: Any) -> None:
    """MutualTLSMode=permissive needs the mesh entry's word."""
    permissive = decode_entry({"Kind": "service-defaults", "Name": "web", "MutualTLSMode": "permissive"})
    assert "AllowEnabling" in refused(check_write, world.entries, permissive, "dc1")
    world.put({"Kind": "mesh", "AllowEnablingPermissiveMutualTLS": True})
    check_write(world.entries, permissive, "dc1")
    world.put({"Kind": "service-defaults", "Name": "web", "MutualTLSMode": "permissive"})
    assert "'web'" in refused(check_delete, world.entries, "mesh", "mesh", "dc1")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"Kind": "service-router", "Name": "web", "Routes": [{}, {"Destination": {"Service": "a"}}]}, {"a"}),
        (
            {"Kind": "service-splitter", "Name": "web", "Splits": [{"Weight": 50, "Service": "b"}, {"Weight": 50}]},
            {"", "b"},
        ),
        ({"Kind": "service-resolver", "Name": "web", "Redirect": {"Service": "c"}}, {"c"}),
        (
            {
                "Kind": "service-resolver",
                "Name": "web",
                "Failover": {"*": {"Targets": [{"Service": "d"}]}},
            },
            {"", "d"},
        ),
        ({"Kind": "service-defaults", "Name": "web"}, set()),
    ],
)
def test_named_services(body: dict[str, Any], named: set[str]) -> None:
    """Whom an entry sends traffic to: its writer must be allowed to see them."""
    assert set(named_services(decode_entry(body))) == named
