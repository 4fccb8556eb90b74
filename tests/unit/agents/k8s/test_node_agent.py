"""The node agent's rules: register what is ready, take out what is gone, survive a catalog that is away."""

from typing import Any

import trio

from agents.k8s.node_agent import CatalogUnavailableError, NodeAgent, NodeSettings
from agents.k8s.reflector import Reflector

Json = dict[str, Any]
SETTINGS = NodeSettings(node="n1", address="172.30.0.11", network="k8s-east")


class FakeCatalog:
    """Keeps what was registered; `away` makes every call fail."""

    def __init__(self) -> None:
        self.services: dict[str, str] = {}
        self.nodes: dict[str, Json] = {}
        self.renewed = 0
        self.calls = 0
        self.away = False

    def _call(self) -> None:
        self.calls += 1
        if self.away:
            raise CatalogUnavailableError("connection refused")

    async def register(self, body: Json) -> None:
        self._call()
        if "Service" in body:
            self.services[body["Service"]["ID"]] = body["Check"]["Status"]
        else:
            self.nodes[body["Node"]] = body

    async def deregister(self, body: Json) -> None:
        self._call()
        self.services.pop(body["ServiceID"], None)

    async def renew_lease(self, node: str) -> None:
        self._call()
        self.renewed += 1

    async def pod_services(self, node: str) -> set[str]:
        self._call()
        return set(self.services)


class Idle:
    """A source that nothing is asked of: the tests put objects into the reflectors."""


def pod(name: str, *, ready: bool = True) -> Json:
    return {
        "metadata": {"namespace": "d", "name": name, "uid": name, "labels": {"app": "api"}},
        "spec": {"containers": []},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


SERVICE = {
    "metadata": {"namespace": "d", "name": "api", "annotations": {"linkspan.io/mesh": "true"}},
    "spec": {"selector": {"app": "api"}, "ports": [{"port": 80}]},
}


def scene(*pods: Json) -> tuple[NodeAgent, FakeCatalog, Reflector]:
    catalog = FakeCatalog()
    agent = NodeAgent(SETTINGS, catalog, lambda text: None)
    nothing: Any = Idle()
    for name in ("pods", "services"):
        reflector = Reflector(nothing, agent.on_change, lambda: None, lambda: 0.0, lambda text: None)
        setattr(agent, name, reflector)
        agent.on_synced(name)
    assert agent.pods is not None
    assert agent.services is not None
    agent.services.objects[("d", "api")] = SERVICE
    agent.pods.objects = {("d", one["metadata"]["name"]): one for one in pods}
    return agent, catalog, agent.pods


async def test_pods_come_and_go(autojump_clock: trio.abc.Clock, nursery: trio.Nursery) -> None:
    """A new pod is registered with its readiness, a pod that is gone is taken out, both within the quiet window."""
    agent, catalog, pods = scene(pod("a"))
    await nursery.start(agent.run)
    assert catalog.services == {"a-api": "passing", "a-api-sidecar-proxy": "passing"}
    assert catalog.nodes["n1"]["NodeMeta"]["linkspan-network"] == "k8s-east"
    pods.objects = {("d", "b"): pod("b", ready=False)}
    agent.on_synced("pods")
    await trio.sleep(0.5)
    assert catalog.services == {"b-api": "critical", "b-api-sidecar-proxy": "critical"}


async def test_what_an_earlier_agent_left_is_taken_out(autojump_clock: trio.abc.Clock, nursery: trio.Nursery) -> None:
    """Registrations of pods that went while no agent ran do not outlive its start."""
    agent, catalog, _ = scene(pod("a"))
    catalog.services = {"old-api": "passing", "old-api-sidecar-proxy": "passing"}
    await nursery.start(agent.run)
    assert set(catalog.services) == {"a-api", "a-api-sidecar-proxy"}


async def test_a_catalog_that_is_away_is_asked_again(autojump_clock: trio.abc.Clock, nursery: trio.Nursery) -> None:
    """Nothing is lost and nothing loops while the catalog is away; it catches up when it is back."""
    agent, catalog, _ = scene(pod("a"))
    catalog.away = True
    nursery.start_soon(agent.run)
    await trio.sleep(10)
    assert catalog.calls < 20
    catalog.away = False
    await trio.sleep(2)
    assert set(catalog.services) == {"a-api", "a-api-sidecar-proxy"}


async def test_lost_registrations_come_back(autojump_clock: trio.abc.Clock, nursery: trio.Nursery) -> None:
    """The full state is sent again within a minute, whatever the catalog forgot."""
    agent, catalog, _ = scene(pod("a"))
    await nursery.start(agent.run)
    catalog.services.clear()
    await trio.sleep(61)
    assert set(catalog.services) == {"a-api", "a-api-sidecar-proxy"}
    assert catalog.renewed >= 12


async def test_nothing_is_registered_before_both_lists_are_whole(
    autojump_clock: trio.abc.Clock, nursery: trio.Nursery
) -> None:
    """With half the picture nothing is registered, so nothing is taken out either."""
    catalog = FakeCatalog()
    catalog.services = {"x-api": "passing"}
    agent = NodeAgent(SETTINGS, catalog, lambda text: None)
    agent.on_synced("pods")
    nursery.start_soon(agent.run)
    await trio.sleep(30)
    assert catalog.services == {"x-api": "passing"}
