"""A node agent put together: it stands once both reflectors hold a full list, and follows them from then on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from agents.k8s.assembly import run_node_agent
from agents.k8s.node_agent import NodeSettings
from agents.k8s.reflector import UnavailableError

Json = dict[str, Any]


class FakeKube:
    """An API server that has one empty page for everything, once its gate is open, and never any news."""

    def __init__(self) -> None:
        self.gate = trio.Event()
        self.asked: list[tuple[str, str]] = []

    async def get(self, path: str, query: dict[str, str]) -> Json:
        self.asked.append((path, query.get("fieldSelector", "")))
        if path == "/api/v1/services":
            await self.gate.wait()
        return {"metadata": {"resourceVersion": "1"}, "items": []}

    def open(self, path: str, query: dict[str, str], read_timeout_s: float) -> Any:
        raise UnavailableError("no watch today")


class FakeCatalog:
    """Takes everything."""

    def __init__(self) -> None:
        self.nodes: list[str] = []

    async def register(self, body: Json) -> None:
        self.nodes.append(body["Node"])

    async def deregister(self, body: Json) -> None:
        raise AssertionError("nothing stood")

    async def renew_lease(self, node: str) -> None:
        await trio.lowlevel.checkpoint()

    async def pod_services(self, node: str) -> set[str]:
        return set()


@asynccontextmanager
async def agent(kube: Any, catalog: Any) -> AsyncIterator[trio.Event]:
    """A running agent; the event is set once it stands."""
    stands = trio.Event()
    async with trio.open_nursery() as nursery:

        async def start() -> None:
            await nursery.start(
                run_node_agent, NodeSettings("n1", "10.0.0.1", "east"), kube, catalog, lambda: 1.0, lambda text: None
            )
            stands.set()

        nursery.start_soon(start)
        yield stands
        nursery.cancel_scope.cancel()


async def test_it_stands_only_once_pods_and_services_are_known(autojump_clock: trio.abc.Clock) -> None:
    """With half a picture nothing is registered: workloads would be taken out that still run."""
    kube, catalog = FakeKube(), FakeCatalog()
    async with agent(kube, catalog) as stands:
        await trio.testing.wait_all_tasks_blocked()
        assert not stands.is_set()
        kube.gate.set()
        with trio.fail_after(100):
            await stands.wait()
        assert set(catalog.nodes) <= {"n1"}


async def test_only_this_nodes_pods_are_asked_for(autojump_clock: trio.abc.Clock) -> None:
    """The pods' list is bound to the node; Services are those of the cluster."""
    kube = FakeKube()
    kube.gate.set()
    async with agent(kube, FakeCatalog()) as stands:
        with trio.fail_after(100):
            await stands.wait()
    assert ("/api/v1/pods", "spec.nodeName=n1") in kube.asked
    assert ("/api/v1/services", "") in kube.asked
