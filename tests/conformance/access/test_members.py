"""Attacks by holders of certificates: a stolen host gains no other host, network, service or policy by any path."""

from typing import Any

import msgspec
import pytest

from catalog.access.acl.settings import OFF, AclSettings
from catalog.access.callers import Grant
from catalog.access.tokens import grant_change
from mesh.model.identity import Kind
from tests.conformance.access.acting import operate, register
from tests.fakes.catalog_site import Site, open_site, send

GRANTS = {
    "named": Grant(services=("web",), network="paris"),
    "any name": Grant(services=("*",), network="paris"),
    "cluster": Grant(network="paris", any_service=True),
}
NETWORK = {"linkspan-network": "london"}
WEB = {"Service": "web", "ID": "web"}


def txn(kind: str, verb: str, **fields: Any) -> list[dict[str, Any]]:
    """A transaction of one operation."""
    return [{kind: {"Verb": verb, **fields}}]


ATTACKS = {
    "another node": txn("Service", "set", Node="vm2", Service={**WEB, "Port": 666}),
    "another node, deleted": txn("Service", "delete", Node="vm2", Service=WEB),
    "another node's check": txn(
        "Check", "set", Check={"Node": "vm2", "CheckID": "c", "Name": "c", "ServiceID": "web", "Status": "critical"}
    ),
    "another network": txn("Service", "set", Node="vm1", Service={**WEB, "Meta": NETWORK}),
    "the node into another network": txn("Node", "set", Node={"Node": "vm1", "Address": "192.0.2.1", "Meta": NETWORK}),
    "a gateway": txn("Service", "set", Node="vm1", Service={**WEB, "Kind": "mesh-gateway", "Meta": NETWORK}),
    "a proxy": txn(
        "Service",
        "set",
        Node="vm1",
        Service={**WEB, "Kind": "connect-proxy", "Proxy": {"DestinationServiceName": "db"}, "Meta": NETWORK},
    ),
}
ENTRIES = (
    {"Kind": "service-defaults", "Name": "web", "Protocol": "http"},
    {"Kind": "service-resolver", "Name": "web", "Redirect": {"Service": "evil"}},
    {"Kind": "service-intentions", "Name": "web", "Sources": [{"Name": "*", "Action": "allow"}]},
    {"Kind": "proxy-defaults", "Name": "global"},
    {"Kind": "mesh"},
    {"Kind": "exported-services", "Name": "default", "Services": [{"Name": "*", "Consumers": [{"Network": "evil"}]}]},
)


async def stolen(site: Site, grant: Grant) -> Any:
    """A client with the certificate of a node that has this grant; both hosts run what they may."""
    await site.engine.submit(grant_change("vm1", grant))
    for node in ("vm1", "vm2"):
        await register(site, node, "web", ID="web")
    return site.member(await site.leaf(Kind.NODE, "vm1"))


@pytest.mark.parametrize("grant", GRANTS.values(), ids=GRANTS)
@pytest.mark.parametrize("body", ATTACKS.values(), ids=ATTACKS)
async def test_a_transaction_is_no_way_around_the_grant(guarded: Site, body: Any, grant: Grant) -> None:
    """What a host registers is judged where it registers; nothing changes by a transaction."""
    async with await stolen(guarded, grant) as client:
        before = guarded.engine.state.index
        answer = await send(client, "PUT", "/v1/txn", body)
        assert answer.status_code == 403, answer.text
        assert guarded.engine.state.index == before


@pytest.mark.parametrize("grant", GRANTS.values(), ids=GRANTS)
async def test_a_host_writes_no_policy(guarded: Site, grant: Grant) -> None:
    """Not even of the services that it may run: an entry counts in the whole mesh."""
    await operate(guarded, "PUT", "config", {"Kind": "service-defaults", "Name": "web", "Protocol": "tcp"})
    async with await stolen(guarded, grant) as client:
        for entry in ENTRIES:
            answer = await send(client, "PUT", "/v1/config", entry)
            assert answer.status_code == 403, (entry, answer.text)
        assert (await send(client, "DELETE", "/v1/config/service-defaults/web")).status_code == 403
        pair = "/v1/connect/intentions/exact?source=evil&destination=web"
        assert (await send(client, "PUT", pair, {"Action": "allow"})).status_code == 403


@pytest.mark.parametrize("acl", [OFF, AclSettings(default_policy="allow")], ids=["off", "allow"])
async def test_the_mesh_port_is_never_open(acl: AclSettings) -> None:
    """Whatever the plain port allows: there certificates count, and nobody without one does."""
    async with open_site(acl=acl) as site:
        assert (await site.put("/v1/kv/a", b"v")).text == "true"
        async with site.member(None) as client:
            for path in ("kv/a", "catalog/nodes", "snapshot"):
                assert (await send(client, "GET", f"/v1/{path}")).status_code == 403
        async with site.member(await site.leaf(Kind.SERVICE, "web")) as client:
            for token in ("", "made up"):
                answer = await send(client, "PUT", "/v1/kv/a", b"x", headers={"X-Consul-Token": token})
                assert answer.status_code == 403, answer.text
        check = "/v1/connect/intentions/check?source=a&destination=b"
        assert (await site.get(check)).json() == {"Allowed": False}


@pytest.mark.parametrize(("kind", "name"), [(Kind.NODE, "vm1"), (Kind.SERVICE, "web"), (Kind.GATEWAY, "paris")])
async def test_a_certificate_opens_no_keys_tokens_or_operators_doors(guarded: Site, kind: Kind, name: str) -> None:
    """Reads and writes that take a token, with the strongest grant that there is."""
    await guarded.engine.submit(grant_change("vm1", Grant(services=("*",), gateway=True, network="paris")))
    await operate(guarded, "PUT", "kv/a", b"v")
    async with guarded.member(await guarded.leaf(kind, name)) as client:
        for method, path in (
            ("GET", "kv/a"),
            ("PUT", "kv/a"),
            ("DELETE", "kv/?recurse"),
            ("GET", "acl/tokens"),
            ("GET", "acl/token/self"),
            ("PUT", "acl/bootstrap"),
            ("GET", "snapshot"),
            ("PUT", "event/fire/x"),
            ("POST", "linkspan/token"),
            ("GET", "operator/usage"),
            ("PUT", "agent/service/register"),
        ):
            answer = await send(client, method, f"/v1/{path}", {} if method == "POST" else None)
            assert answer.status_code in {400, 403}, (method, path, answer.text)
            assert answer.status_code == 403 or path == "linkspan/token"
        assert (await send(client, "GET", "/v1/kv/?recurse")).status_code == 404
        asks = [{"Resource": "service", "Segment": "web", "Access": "write"}]
        answer = await send(client, "POST", "/v1/internal/acl/authorize", asks)
        assert msgspec.json.decode(answer.content)[0]["Allow"] is False
