"""`/v1/agent/*` of the agent itself: who it is, its verbs, its numbers, its certificates."""

import ssl
from typing import Any

import httpx2
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from tests.fakes.agent.dev import Dev


async def test_self(api: httpx2.AsyncClient) -> None:
    """Exactly Consul's parts; the leader is the one that `/v1/status/leader` names."""
    shown = (await api.get("/v1/agent/self")).json()
    assert set(shown) == {"Config", "Coord", "DebugConfig", "Member", "Meta", "Stats", "xDS"}
    assert set(shown["Config"]) == {
        "Datacenter", "PrimaryDatacenter", "NodeName", "NodeID", "Revision", "Server", "Version", "BuildDate",
    }  # fmt: skip
    assert set(shown["Member"]) == {
        "Name", "Addr", "Port", "Tags", "Status", "ProtocolMin", "ProtocolMax", "ProtocolCur", "DelegateMin",
        "DelegateMax", "DelegateCur",
    }  # fmt: skip
    assert shown["Stats"]["consul"]["leader_addr"] == (await api.get("/v1/status/leader")).json()
    assert {"agent", "consul", "raft", "runtime", "serf_lan", "serf_wan"} <= set(shown["Stats"])
    assert set(shown["xDS"]) == {"SupportedProxies", "Port", "Ports"}
    assert (await api.get("/v1/agent/members")).json() == [shown["Member"]]
    wide = (await api.get("/v1/agent/members?wan=1")).json()
    assert [one["Name"] for one in wide] == ["n1.dc1"]


async def test_members_follow_the_catalog(api: httpx2.AsyncClient) -> None:
    """A node with a `serfHealth` of its own is one; a dead one can be taken out, a living one not."""
    for name, status in (("n2", "passing"), ("n3", "critical")):
        check = {"CheckID": "serfHealth", "Name": "Serf Health Status", "Status": status}
        await api.put("/v1/catalog/register", json={"Node": name, "Address": "192.0.2.1", "Check": check})
    shown = {one["Name"]: one["Status"] for one in (await api.get("/v1/agent/members")).json()}
    assert shown == {"n1": 1, "n2": 1, "n3": 4}
    for name in ("n2", "n3"):
        assert (await api.put(f"/v1/agent/force-leave/{name}?prune=true")).status_code == 200
    assert {one["Name"] for one in (await api.get("/v1/agent/members")).json()} == {"n1", "n2"}


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("PUT", "maintenance", 400, "Missing value for enable"),
        ("PUT", "maintenance?enable=perhaps", 400, "Invalid value for enable"),
        ("PUT", "force-leave/nobody", 500, "No node found with name 'nobody'"),
        ("PUT", "join/192.0.2.77", 500, "linkspan join"),
        ("PUT", "join/127.0.0.1", 200, ""),
        ("PUT", "token/default", 401, "ACL support disabled"),
        ("GET", "monitor?loglevel=not-a-real-level", 400, "Unknown log level"),
        ("GET", "services?ns=team", 400, '"ns"'),
        ("GET", "nothing", 404, ""),
        ("GET", "services/", 404, ""),
        ("HEAD", "self", 405, ""),
        ("POST", "services", 405, ""),
    ],
)
async def test_refusals(method: str, path: str, status: int, text: str, api: httpx2.AsyncClient) -> None:
    """Codes and texts."""
    answer = await api.request(method, f"/v1/agent/{path}", json={"Token": "x"} if "token" in path else None)
    assert answer.status_code == status
    assert text in answer.text


async def test_options_name_the_methods(api: httpx2.AsyncClient) -> None:
    """200, an empty JSON body, and `Allow`."""
    answer = await api.options("/v1/agent/services")
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (200, b"", "OPTIONS,GET")
    assert answer.headers["content-type"] == "application/json"


async def test_maintenance_is_a_check(api: httpx2.AsyncClient) -> None:
    """Of the node or of a service, with the reason, or Consul's default text, as its notes."""
    await api.put("/v1/agent/service/register", json={"Name": "web"})
    for path, check_id, what in (
        ("maintenance", "_node_maintenance", "node"),
        ("service/maintenance/web", "_service_maintenance:web", "service"),
    ):
        for query, notes in (
            ({"enable": "true", "reason": "why"}, "why"),
            (
                {"enable": "true"},
                f"Maintenance mode is enabled for this {what}, but no reason was provided. This is a default message.",
            ),
        ):
            assert (await api.put(f"/v1/agent/{path}", params=query)).status_code == 200
            shown = (await api.get("/v1/agent/checks")).json()[check_id]
            assert (shown["Status"], shown["Notes"]) == ("critical", notes)
            assert shown["Name"] == f"{what.capitalize()} Maintenance Mode"
            await api.put(f"/v1/agent/{path}", params={"enable": "false"})
        assert (await api.get("/v1/agent/checks")).json() == {}


async def test_numbers_and_machine(api: httpx2.AsyncClient) -> None:
    """Both forms of the metrics; the host; the version."""
    shown = (await api.get("/v1/agent/metrics")).json()
    assert set(shown) == {"Timestamp", "Gauges", "Points", "Counters", "Samples"}
    text = await api.get("/v1/agent/metrics?format=prometheus")
    assert "# TYPE linkspan_agent_services gauge" in text.text
    assert {"Memory", "CPU", "Host", "Disk"} <= set((await api.get("/v1/agent/host")).json())
    version = (await api.get("/v1/agent/version")).json()
    assert version["HumanVersion"] == (await api.get("/v1/agent/self")).json()["Config"]["Version"]
    assert (await api.get("/v1/agent/version?pretty")).text.startswith('{\n    "')
    assert (await api.get("/")).status_code == 200


async def test_the_log_is_streamed(dev: Dev) -> None:
    """The answer starts at once; then come lines of the level asked for; the reader ends it."""
    with trio.fail_after(5):
        async with await _monitor(dev, "loglevel=debug&logjson=true") as first:
            assert (await _until(first, b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            async with await _monitor(dev, "") as second:
                await _until(second, b"\r\n\r\n")
                assert b"a caller reads the log" in await _until(first, b'"@timestamp"')


async def _monitor(dev: Dev, query: str) -> trio.SocketStream:
    stream = await trio.open_tcp_stream("127.0.0.1", dev.port)
    await stream.send_all(f"GET /v1/agent/monitor?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return stream


async def _until(stream: trio.SocketStream, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        piece = await stream.receive_some()
        assert piece, data
        data += piece
    return data


async def test_reload_and_leave(dev: Dev, api: httpx2.AsyncClient) -> None:
    """`leave` really ends the process, after it has answered."""
    assert (await api.put("/v1/agent/reload")).status_code == 200
    assert (await api.put("/v1/agent/leave")).status_code == 200
    with trio.fail_after(5):
        await dev.over.wait()


async def test_a_leaf_is_signed_by_the_roots_and_matches_its_key(api: httpx2.AsyncClient) -> None:
    """The same one again until it is renewed; blocking by its index waits."""
    answer = await api.get("/v1/agent/connect/ca/leaf/web")
    leaf = answer.json()
    roots = await api.get("/v1/agent/connect/ca/roots")
    assert int(roots.headers["x-consul-index"]) > 0
    certificate = x509.load_pem_x509_certificate(leaf["CertPEM"].encode())
    root = x509.load_pem_x509_certificate(roots.json()["Roots"][0]["RootCert"].encode())
    certificate.verify_directly_issued_by(root)
    key = load_pem_private_key(leaf["PrivateKeyPEM"].encode(), None)
    assert _public(key.public_key()) == _public(certificate.public_key())
    assert leaf["ServiceURI"] == f"spiffe://{roots.json()['TrustDomain']}/ns/default/dc/dc1/svc/web"
    index = answer.headers["x-consul-index"]
    assert (await api.get("/v1/agent/connect/ca/leaf/web")).json() == leaf
    began_s = trio.current_time()
    waited = await api.get(f"/v1/agent/connect/ca/leaf/web?index={index}&wait=100ms")
    assert waited.json() == leaf
    assert trio.current_time() - began_s >= 0.1
    assert ssl.PEM_cert_to_DER_cert(leaf["CertPEM"])


def _public(key: Any) -> bytes:
    data: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return data


async def test_authorize_asks_the_intentions(api: httpx2.AsyncClient) -> None:
    """Allow and deny by name; what depends on requests is not allowed."""
    domain = (await api.get("/v1/connect/ca/roots")).json()["TrustDomain"]
    await api.put("/v1/config", json={"Kind": "service-defaults", "Name": "l7", "Protocol": "http"})
    for destination, body in (
        ("yes", {"Action": "allow"}),
        ("no", {"Action": "deny"}),
        ("l7", {"Permissions": [{"Action": "allow", "HTTP": {"PathPrefix": "/"}}]}),
    ):
        where = f"/v1/connect/intentions/exact?source=web&destination={destination}"
        assert (await api.put(where, json=body)).status_code == 200
    for target, authorized in (("yes", True), ("no", False), ("l7", False)):
        body = {"Target": target, "ClientCertURI": f"spiffe://{domain}/ns/default/dc/dc1/svc/web"}
        answer = await api.post("/v1/agent/connect/authorize", json={**body, "ClientCertSerial": "01"})
        assert answer.json()["Authorized"] is authorized, answer.text
        assert answer.json()["Reason"]
