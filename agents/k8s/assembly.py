"""Puts a node agent together: two reflectors over one API server feed it, all under one nursery. It decides nothing."""

from collections.abc import Callable

import trio

from agents.k8s.kube_api import KubeApi, Listing
from agents.k8s.node_agent import Catalog, NodeAgent, NodeSettings
from agents.k8s.reflector import Reflector


async def run_node_agent(  # noqa: PLR0917 - trio's start passes arguments by position
    settings: NodeSettings,
    kube: KubeApi,
    catalog: Catalog,
    draw: Callable[[], float],
    log: Callable[[str], None],
    task_status: trio.TaskStatus[NodeAgent] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run until cancelled; started, with the agent, once this node's workloads stand in the catalog."""
    agent = NodeAgent(settings, catalog, log)
    listings = {
        "pods": Listing(kube, "/api/v1/pods", field_selector=f"spec.nodeName={settings.node}"),
        "services": Listing(kube, "/api/v1/services"),
    }
    made: dict[str, Reflector] = {}
    for name, listing in listings.items():

        def synced(name: str = name) -> None:
            agent.on_synced(name)

        def trouble(text: str, name: str = name) -> None:
            log(f"{name}: {text}")

        made[name] = Reflector(listing, agent.on_change, synced, draw, trouble)
    agent.pods, agent.services = made["pods"], made["services"]
    async with trio.open_nursery() as nursery:
        for reflector in made.values():
            nursery.start_soon(reflector.run)
        await nursery.start(agent.run)
        task_status.started(agent)
