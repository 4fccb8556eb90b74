"""`linkspan k8s agent`: the composition of a node agent. It wires and decides nothing."""

import logging
import random
from typing import Any

import click
import trio

from mesh.model.names import InvalidNameError, check_label, check_node
from mesh.sync.link.address import InvalidAddressError, parse_host_port

_log = logging.getLogger("linkspan.k8s")


@click.group()
def k8s() -> None:
    """What runs in a Kubernetes cluster."""


@k8s.command()
@click.option(
    "--server", "servers", multiple=True, required=True, help="HOST:PORT of the catalog's mesh port; repeatable."
)
@click.option("--ca-file", required=True, type=click.Path(), help="The mesh's root certificates.")
@click.option(
    "--token-file", required=True, type=click.Path(), help="Projected service-account token for the audience linkspan."
)
@click.option("--state-dir", required=True, type=click.Path(), help="Where the node's certificate is kept, mode 0700.")
@click.option("--node", required=True, envvar="NODE_NAME", help="The Kubernetes node that this agent runs on.")
@click.option("--address", required=True, envvar="NODE_ADDRESS", help="That node's address.")
@click.option("--network", required=True, help="The network of this cluster's pods.")
@click.option("--gateway-account", default="", help="NAMESPACE/NAME of the service account that mesh gateways run as.")
@click.option("--kubeconfig", default="", help="Default: the pod's own service account.")
@click.option(
    "--ready-file", default="", type=click.Path(), help="Made once this node's workloads stand in the catalog."
)
def agent(**options: Any) -> None:
    """Register this node's pods of annotated Services."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        trio.run(run, options)
    except (InvalidNameError, InvalidAddressError) as error:
        raise click.ClickException(str(error)) from error


async def run(options: dict[str, Any]) -> None:
    """Join the mesh as this node, then keep its pods registered until SIGTERM."""
    import signal

    from agents.k8s.assembly import run_node_agent
    from agents.k8s.catalog_calls import CatalogCalls
    from agents.k8s.kube_api import KubeApi
    from agents.k8s.node_agent import NodePlan, NodeSettings
    from mesh.model.identity import Kind
    from mesh.model.snapshot import Snapshot
    from mesh.sync.holder import SnapshotHolder
    from mesh.sync.member import Source, Who, run_member

    node, network = check_node(options["node"]), check_label(options["network"], "network")
    source = Source(
        state_dir=options["state_dir"],
        network=network,
        servers=tuple(parse_host_port(server, 8502) for server in options["servers"]),
        ca_file=options["ca_file"],
        token_file=options["token_file"],
    )
    who = Who(kind=Kind.NODE, name=node)
    async with trio.open_nursery() as nursery:

        async def stop_on_signal() -> None:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    nursery.cancel_scope.cancel()
                    return

        nursery.start_soon(stop_on_signal)
        plan = NodePlan(network)
        member = await nursery.start(run_member, source, who, plan, SnapshotHolder(Snapshot(plan.local)))
        settings = NodeSettings(node, options["address"], network, options["gateway_account"])
        calls, kube = CatalogCalls(member.client), KubeApi(options["kubeconfig"])
        await nursery.start(run_node_agent, settings, kube, calls, random.random, _log.info)
        _log.info("the pods of node %s stand in the catalog", node)
        if options["ready_file"]:
            await trio.Path(options["ready_file"]).touch()
