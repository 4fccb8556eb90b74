"""Who may do what, on both ports, by token and by certificate; over real sockets and real handshakes."""

import ssl
import time
from typing import Any

import pytest
import trio

from catalog.access.callers import Grant
from catalog.access.tokens import grant_change
from catalog.api.v1.sync import LEASE_TTL_S
from catalog.authority.authority import revoke_change
from mesh.model.identity import Kind
from tests.fakes.authority import Authority as OtherAuthority
from tests.fakes.catalog_site import Site, send

REGISTER = {"Node": "vm1", "Address": "192.0.2.1"}
INTENTION = "/v1/connect/intentions/exact?source=web&destination=api"


async def test_anonymous_callers_read_on_loopback_and_nothing_else(guarded: Site) -> None:
    for path in (
        "catalog/nodes",
        "health/service/web",
        "config/service-defaults",
        "connect/intentions",
        "status/leader",
    ):
        assert (await guarded.get(f"/v1/{path}")).status_code == 200
    for method, path, body in (
        ("PUT", "/v1/catalog/register", REGISTER),
        ("PUT", "/v1/catalog/deregister", {"Node": "vm1"}),
        ("PUT", INTENTION, {"Action": "allow"}),
        ("DELETE", INTENTION, None),
        ("PUT", "/v1/config", {"Kind": "service-defaults", "Name": "web"}),
        ("DELETE", "/v1/config/service-defaults/web", None),
        ("POST", "/v1/linkspan/token", {"Node": "vm1"}),
        ("POST", "/v1/linkspan/leaf", {"csr_pem": guarded.csr(Kind.SERVICE, "web")}),
        ("POST", "/v1/linkspan/sync", {"wants": [{"name": "chain/web"}]}),
        ("PUT", "/v1/linkspan/lease/vm1", None),
    ):
        answer = await guarded.request(method, path, body)
        assert (answer.status_code, answer.text.startswith("Permission denied")) == (403, True), (path, answer.text)
    assert (await guarded.get("/v1/status/leader")).headers["X-Consul-Default-ACL-Policy"] == "deny"


async def test_the_operator_may_do_all_by_any_form_of_token(guarded: Site) -> None:
    """`?token` wins, then the header, then Bearer."""
    token = guarded.operator_token
    forms: tuple[dict[str, Any], ...] = (
        {"headers": {"X-Consul-Token": token}},
        {"headers": {"Authorization": f"Bearer {token}"}},
        {"params": {"token": token}, "headers": {"X-Consul-Token": "other"}},
    )
    for form in forms:
        assert (await guarded.put("/v1/catalog/register", REGISTER, **form)).text == "true"
    assert (await guarded.put(INTENTION, {"Action": "allow"}, headers=guarded.as_operator())).text == "true"


@pytest.mark.parametrize("token", ["x", "lso_wrong", "é"])
async def test_an_unknown_token_is_refused_even_for_reads(guarded: Site, token: str) -> None:
    """403 `ACL not found`, as in Consul: a typo must not pass for anonymous."""
    answer = await guarded.get("/v1/catalog/nodes", params={"token": token})
    assert (answer.status_code, answer.text) == (403, "ACL not found")


async def test_the_mesh_port_asks_for_a_certificate(guarded: Site) -> None:
    """Without one only the trust bundle and joining are open; the operator's token does not replace it."""
    async with guarded.member(None) as client:
        for path in ("/v1/catalog/nodes", "/v1/status/leader", "/v1/health/service/web"):
            for headers in ({}, guarded.as_operator()):
                answer = await send(client, "GET", path, headers=headers)
                assert (answer.status_code, "certificate" in answer.text) == (403, True)
        assert (await send(client, "GET", "/v1/connect/ca/roots")).status_code == 200
        answer = await send(client, "POST", "/v1/linkspan/join", {"method": "token", "token": "x", "csr_pem": ""})
        assert (answer.status_code, "join token is not valid" in answer.text) == (403, True)


async def test_a_node_reads_all_and_registers_itself_on_a_lease(guarded: Site) -> None:
    """Under its own name only, and what its grant says; what it registers hangs on its lease."""
    await guarded.engine.submit(grant_change("vm1", Grant(("web",), network="paris")))
    here = {**REGISTER, "NodeMeta": {"linkspan-network": "paris"}}
    async with guarded.member(await guarded.leaf(Kind.NODE, "vm1")) as client:
        assert (await send(client, "GET", "/v1/catalog/nodes")).json() == []
        for service in ({}, {"Service": {"Service": "web"}}):
            assert (await send(client, "PUT", "/v1/catalog/register", {**here, **service})).text == "true"
        for refused, lacks in (
            (REGISTER, "--network default"),
            ({**here, "Service": {"Service": "db"}}, "--service db"),
            ({**here, "Service": {"Service": "web", "Meta": {"linkspan-network": "lyon"}}}, "--network lyon"),
            ({**here, "Service": {"Service": "mesh-gateway", "Kind": "mesh-gateway"}}, "--network paris --gateway"),
        ):
            answer = await send(client, "PUT", "/v1/catalog/register", refused)
            assert (answer.status_code, f"token create --node vm1 {lacks}" in answer.text) == (403, True), answer.text
        other = await send(client, "PUT", "/v1/catalog/register", {**REGISTER, "Node": "vm2"})
        assert (other.status_code, "vm2" in other.text) == (403, True)
        assert (await send(client, "PUT", "/v1/catalog/deregister", {"Node": "vm2"})).status_code == 403
        assert (await send(client, "PUT", INTENTION, {"Action": "allow"})).status_code == 403
        lease = guarded.engine.state.lease("vm1")
        assert lease is not None
        assert (lease.ttl_s, lease.lapsed_at_s) == (LEASE_TTL_S, None)
        (check,) = (await send(client, "GET", "/v1/health/node/vm1")).json()
        assert (check["CheckID"], check["Status"]) == ("serfHealth", "passing")
        assert (await send(client, "PUT", "/v1/catalog/deregister", {"Node": "vm1", "ServiceID": "web"})).text == "true"
        assert (await send(client, "PUT", "/v1/linkspan/lease/vm1")).text == "true"
        assert (await send(client, "PUT", "/v1/linkspan/lease/vm2")).status_code == 403


async def test_a_lease_is_granted_to_a_node_without_one(guarded: Site) -> None:
    """404 while the node is not registered."""
    path = "/v1/linkspan/lease/vm1"
    assert (await guarded.put(path, headers=guarded.as_operator())).status_code == 404
    await guarded.put("/v1/catalog/register", REGISTER, headers=guarded.as_operator())
    assert guarded.engine.state.lease("vm1") is None
    assert (await guarded.put(path, headers=guarded.as_operator())).text == "true"
    assert guarded.engine.state.lease("vm1") is not None


async def test_services_and_gateways_see_what_they_need(guarded: Site) -> None:
    """Sync of the mesh's resources and the roots; no lists of nodes."""
    for kind, own, foreign in (
        (Kind.SERVICE, "intentions/web", "intentions/db"),
        (Kind.GATEWAY, "exports/web", "exports/other"),
    ):
        async with guarded.member(await guarded.leaf(kind, "web")) as client:
            assert (await send(client, "GET", "/v1/catalog/nodes")).status_code == 403
            assert (await send(client, "GET", "/v1/connect/ca/roots")).status_code == 200
            answer = await send(client, "POST", "/v1/linkspan/sync", {"wants": [{"name": own}, {"name": "roots"}]})
            assert [one["name"] for one in answer.json()["changed"]] == [own, "roots"]
            answer = await send(client, "POST", "/v1/linkspan/sync", {"wants": [{"name": foreign}]})
            assert (answer.status_code, foreign in answer.text) == (403, True)


async def test_leaves_are_given_by_grant(guarded: Site) -> None:
    await guarded.engine.submit(grant_change("vm1", Grant(("web",), gateway=True, network="paris")))
    async with guarded.member(await guarded.leaf(Kind.NODE, "vm1")) as client:

        async def ask(kind: Kind, name: str) -> int:
            answer = await send(client, "POST", "/v1/linkspan/leaf", {"csr_pem": guarded.csr(kind, name)})
            if answer.status_code == 200:
                assert answer.json()["uri"].endswith(f"/{name}")
            return answer.status_code

        assert await ask(Kind.SERVICE, "web") == 200
        assert await ask(Kind.GATEWAY, "paris") == 200
        assert await ask(Kind.NODE, "vm1") == 200
        assert await ask(Kind.SERVICE, "db") == 403
        assert await ask(Kind.GATEWAY, "lyon") == 403
        assert await ask(Kind.NODE, "vm2") == 403
        answer = await send(client, "POST", "/v1/linkspan/leaf", {"csr_pem": "nonsense"})
        assert (answer.status_code, "certificate request" in answer.text) == (403, True)


async def test_a_revoked_certificate_is_refused_at_its_next_request(guarded: Site) -> None:
    """Also on a connection that stood before."""
    leaf = await guarded.leaf(Kind.NODE, "vm1")
    async with guarded.member(leaf) as client:
        assert (await send(client, "GET", "/v1/catalog/nodes")).status_code == 200
        await guarded.engine.submit(revoke_change(leaf.serial))
        answer = await send(client, "GET", "/v1/catalog/nodes")
        assert (answer.status_code, "revoked" in answer.text) == (403, True)


async def test_a_withdrawn_nodes_certificate_opens_nothing(guarded: Site) -> None:
    """Neither leaves nor registrations, until it joins anew."""
    await guarded.engine.submit(grant_change("vm1", Grant(("web",))))
    async with guarded.member(await guarded.leaf(Kind.NODE, "vm1")) as client:
        await guarded.request("DELETE", "/v1/linkspan/grant/vm1", headers=guarded.as_operator())
        leaf = await send(client, "POST", "/v1/linkspan/leaf", {"csr_pem": guarded.csr(Kind.NODE, "vm1")})
        register = await send(client, "PUT", "/v1/catalog/register", REGISTER)
        assert (leaf.status_code, register.status_code, "withdrawn" in register.text) == (403, 403, True)
        assert (await send(client, "DELETE", "/v1/linkspan/grant/vm2")).status_code == 403


async def test_foreign_certificates_fail_the_handshake(guarded: Site) -> None:
    """Another authority's, whatever the names in it; our own's for another trust domain; and TLS below 1.3."""
    stranger = OtherAuthority("test.consul").leaf("spiffe://test.consul/agent/client/dc/dc1/id/vm1")
    with pytest.raises((ssl.SSLError, trio.BrokenResourceError)):
        await handshake(guarded, guarded.mesh_context(stranger))
    outside = await guarded.leaf(Kind.NODE, "vm1", trust_domain="other.consul")
    with pytest.raises((ssl.SSLError, trio.BrokenResourceError)):
        await handshake(guarded, guarded.mesh_context(outside))
    old = guarded.mesh_context(None)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, trio.BrokenResourceError)):
        await handshake(guarded, old)
    assert (await guarded.get("/v1/status/leader")).status_code == 200


async def handshake(site: Site, context: ssl.SSLContext) -> None:
    """A handshake with the mesh port, and a byte after it: a server that speaks TLS 1.3 refuses a certificate only then."""
    host, _, port = site.mesh_address.rpartition(":")
    stream = await trio.open_ssl_over_tcp_stream(host, int(port), ssl_context=context)
    async with stream:
        await stream.do_handshake()
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        if not await stream.receive_some(1):
            raise trio.BrokenResourceError("the server hung up, and gave no byte")


async def test_the_servers_certificate_names_the_server(guarded: Site) -> None:
    """SPIFFE ID of kind server, DNS names for clients that check those, no session tickets."""
    host, _, port = guarded.mesh_address.rpartition(":")
    context = guarded.mesh_context(None)
    stream = await trio.open_ssl_over_tcp_stream(host, int(port), ssl_context=context)
    async with stream:
        await stream.do_handshake()
        names = stream.getpeercert()["subjectAltName"]
        assert stream.version() == "TLSv1.3"
    assert ("URI", "spiffe://test.consul/agent/server/dc/dc1") in names
    assert ("DNS", "server.dc1.test.consul") in names
    assert ("IP Address", "127.0.0.1") in names


async def test_join_makes_a_host_a_member_once(guarded: Site) -> None:
    """Token once, certificate, grant; the second use is refused."""
    made = await guarded.request(
        "POST",
        "/v1/linkspan/token",
        {"Node": "vm1", "Services": ["web"], "Gateway": True, "Network": "paris", "TTL": "10m"},
        headers=guarded.as_operator(),
    )
    token = made.json()
    assert token["CaPin"].startswith("sha256:")
    assert abs(token["ExpiresAt"] - time.time() - 600) < 60
    request = {"method": "token", "token": token["Token"], "csr_pem": guarded.csr(Kind.NODE, "vm1"), "network": "paris"}
    async with guarded.member(None) as client:
        for wrong in (
            {"csr_pem": guarded.csr(Kind.NODE, "vm2")},
            {"csr_pem": guarded.csr(Kind.SERVICE, "web")},
            {"network": "lyon"},
            {"csr_pem": "nonsense"},
            {"token": token["Token"][:-1] + ("A" if token["Token"][-1] != "A" else "B")},
        ):
            answer = await send(client, "POST", "/v1/linkspan/join", {**request, **wrong})
            assert answer.status_code == 403, answer.text
        answer = await send(client, "POST", "/v1/linkspan/join", request)
        joined = answer.json()
        assert joined["leaf"]["uri"] == "spiffe://test.consul/agent/client/dc/dc1/id/vm1"
        assert (joined["datacenter"], joined["trust_domain"], joined["services"]) == ("dc1", "test.consul", ["web"])
        assert joined["roots_pem"] == [guarded.api.authority.root_pem]
        again = await send(client, "POST", "/v1/linkspan/join", request)
        assert (again.status_code, "used" in again.text) == (403, True)
    grant = guarded.engine.state.record("grants", "vm1")
    assert grant is not None
    assert b"paris" in grant.value


async def test_two_that_race_with_one_token_make_one_member(guarded: Site) -> None:
    made = await guarded.request("POST", "/v1/linkspan/token", {"Node": "vm1"}, headers=guarded.as_operator())
    request = {"method": "token", "token": made.json()["Token"], "csr_pem": guarded.csr(Kind.NODE, "vm1")}
    statuses: list[int] = []

    async def race() -> None:
        async with guarded.member(None) as client:
            statuses.append((await send(client, "POST", "/v1/linkspan/join", request)).status_code)

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(race)
    assert sorted(statuses) == [200, 403, 403, 403]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, '"Node"'),
        ({"Node": "vm1", "TTL": "1"}, '"TTL"'),
        ({"Node": "vm1", "TTL": "1s"}, "time to live"),
        ({"Node": "vm 1"}, "node name"),
        ({"Node": "vm1", "Services": ["we_b"]}, "we_b"),
        ({"Node": "vm1", "Gateway": True}, '"Network"'),
        ({"Node": "vm1", "Service": ["web"]}, "Service"),
    ],
)
async def test_bad_tokens_are_refused_by_name(guarded: Site, body: dict[str, Any], names: str) -> None:
    answer = await guarded.request("POST", "/v1/linkspan/token", body, headers=guarded.as_operator())
    assert (answer.status_code, names in answer.text) == (400, True), answer.text


async def test_unknown_methods_of_joining(guarded: Site) -> None:
    async with guarded.member(None) as client:
        for method, status in (("magic", 400), ("kubernetes", 404)):
            body = {"method": method, "token": "a.b.c", "csr_pem": guarded.csr(Kind.NODE, "vm1")}
            assert (await send(client, "POST", "/v1/linkspan/join", body)).status_code == status
        answer = await send(client, "POST", "/v1/linkspan/join", {"method": "token"})
        assert (answer.status_code, "token" in answer.text) == (400, True)
