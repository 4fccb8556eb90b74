"""Joining with a service-account token, and the pin; joining with a one-time token is in tests/conformance."""

import hashlib
import ssl
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from catalog.access.callers import Grant
from catalog.access.kubernetes import Cluster
from catalog.access.tokens import GRANT_TABLE, JOIN_TABLE, grant_change, read_grant
from catalog.api.http.errors import BadRequestError, NotFoundError, PermissionDeniedError, UnavailableError
from catalog.api.token_review import KubernetesJoin, ReviewUnavailableError
from catalog.api.v1.identity import IdentityEndpoints, ca_pin
from catalog.state.changes import Register
from catalog.state.records import Node, ServiceInstance
from mesh.identity.keygen import make_key_and_csr_pem
from tests.fakes.catalog_calls import make_call, open_api

CLUSTER = Cluster("k8s-east", agent_account="linkspan/agent", gateway_account="linkspan/gateway")


class FakeReviewer:
    """A cluster that knows the tokens `namespace/account/pod/node`."""

    async def review(self, token: str, audience: str) -> Mapping[str, Any]:
        if token == "down":
            raise ReviewUnavailableError("the cluster's API server cannot be asked")
        namespace, account, pod, node = token.split("/")
        extra = {"authentication.kubernetes.io/pod-name": [pod], "authentication.kubernetes.io/node-name": [node]}
        user = {"username": f"system:serviceaccount:{namespace}:{account}", "extra": extra}
        return {"status": {"authenticated": True, "audiences": [audience], "user": user}}


JOIN = KubernetesJoin(CLUSTER, FakeReviewer())


def csr(path: str, trust_domain: str = "test.consul") -> str:
    pem = make_key_and_csr_pem(f"spiffe://{trust_domain}{path}").decode()
    return pem[pem.index("-----BEGIN CERTIFICATE REQUEST") :]


def call(token: str, path: str, trust_domain: str = "test.consul") -> Any:
    body = {"method": "kubernetes", "token": token, "csr_pem": csr(path, trust_domain)}
    return make_call("POST", body=body)


WEB = "/ns/default/dc/dc1/svc/web"
NODE = "/agent/client/dc/dc1/id/node-1"
GATEWAY = "/gateway/mesh/dc/dc1/net/k8s-east"


@pytest.mark.parametrize(
    ("token", "path"),
    [
        ("shop/web/web-7f/node-1", WEB),
        ("linkspan/agent/agent-x/node-1", NODE),
        ("linkspan/gateway/gw-x/node-1", GATEWAY),
    ],
)
async def test_a_pod_joins_as_what_its_account_stands_for(token: str, path: str) -> None:
    async with open_api(kubernetes=JOIN) as api:
        answer = await IdentityEndpoints(api).join(call(token, path))
        grant = read_grant(api.parking.state.record(GRANT_TABLE, "node-1"))
    assert msgspec.json.decode(answer.body)["leaf"]["uri"] == f"spiffe://test.consul{path}"
    assert (grant is not None) == (path == NODE)


@pytest.mark.parametrize(
    ("token", "path", "trust_domain"),
    [
        ("shop/other/web-7f/node-1", WEB, "test.consul"),
        ("shop/web/web-7f/node-1", WEB, "other.consul"),
        ("shop/web/web-7f/node-1", "/ns/default/dc/dc2/svc/web", "test.consul"),
        ("linkspan/agent/agent-x/node-2", NODE, "test.consul"),
        ("shop/web/web-7f/node-1", GATEWAY, "test.consul"),
        ("shop/web/web-7f/node-1", "/agent/server/dc/dc1", "test.consul"),
    ],
)
async def test_a_pod_joins_as_nothing_else(token: str, path: str, trust_domain: str) -> None:
    async with open_api(kubernetes=JOIN) as api:
        with pytest.raises(PermissionDeniedError):
            await IdentityEndpoints(api).join(call(token, path, trust_domain))


async def test_a_cluster_that_is_away_is_503() -> None:
    async with open_api(kubernetes=JOIN) as api:
        with pytest.raises(UnavailableError, match="cannot be asked"):
            await IdentityEndpoints(api).join(call("down", WEB))


async def test_without_a_cluster_there_is_no_such_method() -> None:
    async with open_api() as api:
        with pytest.raises(NotFoundError, match="--kubernetes"):
            await IdentityEndpoints(api).join(call("a/b/c/d", WEB))


async def test_expired_tokens_go_when_a_new_one_is_made() -> None:
    """The table holds what can still be used, not what ever was."""
    now_s = [1000.0]
    async with open_api(epoch=lambda: now_s[0]) as api:
        identity = IdentityEndpoints(api)
        for _ in range(3):
            await identity.token(make_call("POST", body={"Node": "vm1", "TTL": "1m"}))
        assert len(api.parking.state.records(JOIN_TABLE)) == 3
        now_s[0] += 61
        await identity.token(make_call("POST", body={"Node": "vm1"}))
        assert len(api.parking.state.records(JOIN_TABLE)) == 1


async def test_a_ttl_says_its_unit() -> None:
    async with open_api() as api:
        with pytest.raises(BadRequestError, match='"TTL"'):
            await IdentityEndpoints(api).token(make_call("POST", body={"Node": "vm1", "TTL": "60"}))


async def test_the_pin_is_the_roots_fingerprint() -> None:
    async with open_api() as api:
        pem = api.authority.root_pem
    assert ca_pin(pem) == "sha256:" + hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


@pytest.mark.parametrize("grant", [Grant(), Grant(services=("*",)), Grant(gateway=True, network="vm-paris")])
async def test_a_cluster_cannot_take_a_hosts_name(grant: Grant) -> None:
    """Who names the nodes of a cluster is not who joined the host: neither its name nor its grant may change hands."""
    async with open_api(kubernetes=JOIN) as api:
        await api.submit(grant_change("node-1", grant))
        with pytest.raises(PermissionDeniedError, match="joined with a token of its own"):
            await IdentityEndpoints(api).join(call("linkspan/agent/pod-1/node-1", NODE))
        assert read_grant(api.parking.state.record(GRANT_TABLE, "node-1")) == grant


async def test_a_clusters_node_may_join_again() -> None:
    """A restarted agent keeps its name, also in a cluster whose network was renamed."""
    async with open_api(kubernetes=JOIN) as api:
        await api.submit(grant_change("node-1", Grant(network="former", any_service=True)))
        for _ in range(2):
            answer = await IdentityEndpoints(api).join(call("linkspan/agent/pod-1/node-1", NODE))
            assert answer.status == 200


async def test_a_withdrawn_hosts_name_is_free() -> None:
    async with open_api(kubernetes=JOIN) as api:
        await api.submit(grant_change("node-1", Grant(withdrawn=True)))
        answer = await IdentityEndpoints(api).join(call("linkspan/agent/pod-1/node-1", NODE))
        grant = read_grant(api.parking.state.record(GRANT_TABLE, "node-1"))
    assert answer.status == 200
    assert grant == Grant(network="k8s-east", any_service=True)


async def test_joining_anew_takes_out_what_is_not_granted_any_more() -> None:
    """The new lease would revive it; the catalog's own service on a shared node stays."""
    async with open_api() as api:
        names = ("web", "db", "consul")
        services = tuple(ServiceInstance(name, name) for name in names)
        await api.submit(Register(Node("node-1", "192.0.2.1"), services))
        identity = IdentityEndpoints(api)
        made = await identity.token(make_call("POST", body={"Node": "node-1", "Services": ["web"]}))
        token = msgspec.json.decode(made.body)["Token"]
        await identity.join(make_call("POST", body={"method": "token", "token": token, "csr_pem": csr(NODE)}))
        assert [one.service for one in api.parking.state.node_services("node-1")] == ["consul", "web"]


async def test_no_token_grants_what_only_a_cluster_does() -> None:
    """`any_service` is no field of a token."""
    async with open_api() as api:
        with pytest.raises(BadRequestError, match="AnyService"):
            await IdentityEndpoints(api).token(make_call("POST", body={"Node": "vm1", "AnyService": True}))
