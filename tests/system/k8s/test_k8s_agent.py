"""The node agent against a real API server: what is annotated and ready is registered, what goes is taken out, whatever the server does."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from agents.k8s.assembly import run_node_agent
from agents.k8s.kube_api import KubeApi
from agents.k8s.node_agent import NodeSettings
from tests.lab.kube.control_plane import ControlPlane, control_plane

Json = dict[str, Any]
SETTINGS = NodeSettings(node="n1", address="192.0.2.1", network="k8s-east")


class Recorder:
    """A catalog that keeps what it is told."""

    def __init__(self) -> None:
        self.services: dict[str, str] = {}

    async def register(self, body: Json) -> None:
        if "Service" in body:
            self.services[body["Service"]["ID"]] = body["Check"]["Status"]

    async def deregister(self, body: Json) -> None:
        self.services.pop(body["ServiceID"], None)

    async def renew_lease(self, node: str) -> None:
        """Nothing lapses here."""

    async def pod_services(self, node: str) -> set[str]:
        return set(self.services)


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with control_plane() as running:
        running.apply(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": "api", "annotations": {"linkspan.io/mesh": "true"}},
                    "spec": {"selector": {"app": "api"}, "ports": [{"port": 80, "targetPort": 8080}]},
                }
            )
        )
        yield running


def create_pod(plane: ControlPlane, name: str, *, node: str = "n1", ready: bool = True) -> None:
    spec = {
        "nodeName": node,
        "containers": [{"name": "app", "image": "local/app:1"}],
        "terminationGracePeriodSeconds": 0,
    }
    plane.apply(
        json.dumps(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "api"}}, "spec": spec}
        )
    )
    report(plane, name, ready=ready)


def report(plane: ControlPlane, name: str, *, ready: bool) -> None:
    """What a kubelet would report of a pod."""
    status = {"phase": "Running", "podIP": "10.244.1.5", "podIPs": [{"ip": "10.244.1.5"}]}
    status["conditions"] = [{"type": "Ready", "status": str(ready), "reason": None if ready else "NotYet"}]  # type: ignore[assignment]
    plane.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))


def delete_pod(plane: ControlPlane, name: str) -> None:
    plane.kubectl("delete", "pod", name, "--force", "--grace-period=0", "--wait=true")


@asynccontextmanager
async def agent(plane: ControlPlane) -> AsyncIterator[Recorder]:
    catalog = Recorder()
    async with trio.open_nursery() as nursery:
        kube = KubeApi(str(plane.kubeconfig))
        await nursery.start(run_node_agent, SETTINGS, kube, catalog, lambda: 0.5, print)
        yield catalog
        nursery.cancel_scope.cancel()


async def until(catalog: Recorder, wanted: dict[str, str], within_s: float = 20) -> None:
    """Wait until the instances (their sidecars left out) stand as wanted."""
    with trio.move_on_after(within_s):
        while True:
            if {
                name: status for name, status in catalog.services.items() if not name.endswith("-sidecar-proxy")
            } == wanted:
                return
            await trio.sleep(0.02)
    pytest.fail(f"expected {wanted}, the catalog has {catalog.services}")


async def run(function: Any, *args: Any, **kwargs: Any) -> None:
    await trio.to_thread.run_sync(lambda: function(*args, **kwargs))


async def test_pods_of_this_node_stand_in_the_catalog(plane: ControlPlane) -> None:
    """A ready pod is registered, its readiness is followed, a pod of another node is not ours, a deleted pod goes."""
    await run(create_pod, plane, "before")
    async with agent(plane) as catalog:
        await until(catalog, {"before-api": "passing"})
        await run(create_pod, plane, "after", ready=False)
        await run(create_pod, plane, "elsewhere", node="n2")
        await until(catalog, {"before-api": "passing", "after-api": "critical"})
        await run(report, plane, "after", ready=True)
        await until(catalog, {"before-api": "passing", "after-api": "passing"})
        for name in ("before", "after", "elsewhere"):
            await run(delete_pod, plane, name)
        await until(catalog, {})


async def test_an_api_server_that_crashes_costs_no_registration(plane: ControlPlane) -> None:
    """While the API server is away everything stays registered; when it is back, what it says is followed again."""
    await run(create_pod, plane, "steady")
    async with agent(plane) as catalog:
        await until(catalog, {"steady-api": "passing"})
        await run(plane.kill_api_server)
        await trio.sleep(2)
        assert set(catalog.services) == {"steady-api", "steady-api-sidecar-proxy"}
        await run(plane.start_api_server)
        await run(create_pod, plane, "second")
        await until(catalog, {"steady-api": "passing", "second-api": "passing"}, within_s=40)
        for name in ("steady", "second"):
            await run(delete_pod, plane, name)
        await until(catalog, {})


async def test_stopping_leaves_no_thread_behind(plane: ControlPlane) -> None:
    """An agent that is cancelled in the middle of its watches ends at once."""
    with trio.fail_after(10):
        async with agent(plane):
            pass
