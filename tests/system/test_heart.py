"""The heart test: pods of a real cluster and services of booted machines call each other across networks without a route.

The cluster comes up by our chart, the machines by `linkspan join` and our units (tests/lab/heart). The tests share one
scene and run in the order they stand in: the last ones take parts of it away, and the capture covers them all.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.heart.callers import Caller
from tests.lab.heart.cluster_side import GATEWAY, TRUST_DOMAIN
from tests.lab.heart.machine_side import APP, APP_LAN, WAN_GATEWAY
from tests.lab.heart.pods import NAMESPACE
from tests.lab.heart.scene import Scene, scene
from tests.lab.process import wait_until

pytestmark = pytest.mark.root

DENIED_WITHIN_S = 1.0
GONE_WITHIN_S = 15.0


def identity(service: str) -> str:
    return f"spiffe://{TRUST_DOMAIN}/ns/default/dc/dc1/svc/{service}"


@pytest.fixture(scope="module")
def mesh() -> Iterator[Scene]:
    with scene() as running:
        yield running


@pytest.fixture(autouse=True)
def _tell_of_failures(request: pytest.FixtureRequest, mesh: Scene) -> Iterator[None]:
    """What every part has said goes under a failure."""
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        print(mesh.report())  # noqa: T201 - pytest shows it under the failure


def caller_in_log(log: Callable[[], str], service: str) -> dict[str, Any]:
    """The record of a TCP stream from `service` in a destination's access log, once it is written."""

    def find() -> dict[str, Any] | None:
        records = (json.loads(line) for line in reversed(log().splitlines()) if line.startswith("{"))
        wanted = ("destination", "tcp", service)
        for record in records:
            if (record["reporter"], record["protocol"], record["source"].rpartition("/")[2]) == wanted:
                return dict(record)
        return None

    return wait_until(find, f"a stream of {service} in the access log", timeout_s=10)  # type: ignore[return-value]


def test_networks_have_no_route(mesh: Scene) -> None:
    """Neither side reaches an address of the other's network: what follows goes by the gateways or not at all."""
    pod = mesh.kube.kubectl("-n", NAMESPACE, "get", "pod", "api", "-o", "jsonpath={.status.podIP}")
    for address in (f"{pod}:20000", GATEWAY, "172.30.0.11:8443"):
        call = ["curl", "-s", "-k", "-m", "1", f"https://{address}/"]
        assert mesh.app.run(call, check=False).returncode in {7, 28}, address  # refused by its own routes, or silence
    for address in (APP_LAN, WAN_GATEWAY.partition(":")[0]):
        wget = ("exec", "api", "-c", "app", "--", "timeout", "2", "wget", "-qO-", f"http://{address}:20000/")
        assert mesh.kube.try_kubectl("-n", NAMESPACE, *wget).returncode != 0, address


def test_machine_calls_pod_over_http(mesh: Scene) -> None:
    """A user of the machine calls the pod's service by name; the application learns who calls."""
    status, answer = mesh.machine_user.get("http://api:9191/from-the-machine")
    assert (status, answer["instance"], answer["path"]) == (200, "api", "/from-the-machine")
    assert f"URI={identity('web')}" in answer["caller"]


def test_machine_calls_pod_over_tcp(mesh: Scene) -> None:
    """The same over plain TCP; the pod's proxy names the caller in its access log."""
    assert mesh.machine_user.talk("cache", 9192) == {"greeting": "hello from cache", "echo": "ping"}
    log = ("-n", NAMESPACE, "logs", "cache", "-c", "proxy", "--tail=200")
    assert caller_in_log(lambda: mesh.kube.kubectl(*log), "web")["decision"] == "allow"


def test_pod_calls_machine_over_http(mesh: Scene) -> None:
    """The pod calls the machine's service by name; the application learns who calls."""
    status, answer = mesh.pod_app.get("http://web:9191/from-the-pod")
    assert (status, answer["instance"], answer["path"]) == (200, "web", "/from-the-pod")
    assert f"URI={identity('api')}" in answer["caller"]


def test_pod_calls_machine_over_tcp(mesh: Scene) -> None:
    """The same over plain TCP; the machine's proxy names the caller in its access log."""
    assert mesh.pod_app.talk("ledger", 9192) == {"greeting": "hello from ledger", "echo": "ping"}
    journal = ["journalctl", "-b", "-o", "cat", "--no-pager", "-u", "linkspan-proxy@ledger"]
    assert caller_in_log(lambda: mesh.app.run(journal).stdout, "api")["decision"] == "allow"


def deny_stops_calls(mesh: Scene, caller: Caller, http: str, tcp: str) -> None:
    """Deny both intentions while calls go on, look how soon they end, allow them again."""
    requests, connection = caller.repeat(f"http://{http}:9191/"), caller.hold(tcp, 9192)
    try:
        assert requests.wait_began() == {"status": 200}
        assert connection.wait_began() == {"greeting": f"hello from {tcp}"}
        denied_s = {}
        for service in (http, tcp):
            denied_s[service] = time.time()
            mesh.operator.intend(caller.service, service, "deny")
        refused, cut = requests.wait_cut(timeout_s=10), connection.wait_cut(timeout_s=10)
    finally:
        requests.stop()
        connection.stop()
        for service in (http, tcp):
            mesh.operator.intend(caller.service, service, "allow")
    took_s = {"request refused": refused["cut_s"] - denied_s[http], "connection cut": cut["cut_s"] - denied_s[tcp]}
    print({what: f"{value * 1000:.0f} ms" for what, value in took_s.items()})  # noqa: T201 - for `pytest -rP`
    assert refused["status"] == 403
    assert cut["again"] == ""
    assert max(took_s.values()) < DENIED_WITHIN_S
    caller.wait_get(f"http://{http}:9191/")
    caller.wait_talk(tcp, 9192)


def test_deny_stops_the_machines_calls_within_a_second(mesh: Scene) -> None:
    """An intention set to deny cuts the open connection to the pod, refuses a new one, and turns requests into 403."""
    deny_stops_calls(mesh, mesh.machine_user, "api", "cache")


def test_deny_stops_the_pods_calls_within_a_second(mesh: Scene) -> None:
    """The same in the other direction."""
    deny_stops_calls(mesh, mesh.pod_app, "web", "ledger")


def wait_gone(mesh: Scene, services: tuple[str, ...], since_s: float) -> None:
    """The services' endpoints leave both health endpoints in time."""
    ask = mesh.operator

    def gone() -> bool:
        return not any(ask.passing(service) or ask.callable(service) for service in services)

    wait_until(gone, f"{services} to be gone", timeout_s=30)
    gone_s = time.time() - since_s
    print(f"{services} gone after {gone_s:.1f} s")  # noqa: T201 - for `pytest -rP`
    assert gone_s < GONE_WITHIN_S


def test_machine_that_loses_power_leaves_and_comes_back(mesh: Scene) -> None:
    """A machine that falls silent is out within 15 s; booted again it serves under its old name without any help."""
    cut_s = time.time()
    mesh.app.power_cut()
    wait_gone(mesh, ("web", "ledger"), cut_s)
    mesh.app.boot()
    for service in ("web", "ledger"):
        wait_until(lambda: mesh.operator.callable(service) == [APP], f"{service} to be back", timeout_s=30)  # noqa: B023 - called at once
    assert mesh.pod_app.wait_get("http://web:9191/")["instance"] == "web"
    assert mesh.machine_user.wait_get("http://api:9191/")["instance"] == "api"


def test_node_that_loses_power_leaves(mesh: Scene) -> None:
    """The pods' node falls silent: its endpoints are out within 15 s, whatever Kubernetes still believes of them."""
    cut_s = time.time()
    mesh.kube.nodes[1].power_cut()
    wait_gone(mesh, ("api", "cache"), cut_s)


def test_outside_link_saw_tls_only(mesh: Scene) -> None:
    """Of all that happened above, the link between the networks carried TLS records and nothing else, both ways."""
    traffic = mesh.tape.traffic()
    assert traffic.findings() == []
    talked_to = {stream.destination for stream in traffic.streams if stream.payload()}
    assert {GATEWAY, WAN_GATEWAY} <= talked_to
    seen = b"".join(stream.payload() for stream in traffic.streams)
    assert len(seen) > 50_000
    assert not [word for word in (b"hello from", b"from-the-machine", b"from-the-pod", b"lsj_") if word in seen]
