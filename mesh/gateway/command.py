"""`linkspan gateway mesh`: the mesh gateway of one network. It composes the process and decides nothing.

Its memory is counted: nothing here may import cryptography, an HTTP framework or a client library.
"""

from typing import Any

import click
import trio

from mesh.gateway.mesh import GatewayPorts, MeshGateway
from mesh.gateway.registration import Registrar, Registration
from mesh.gateway.settings import GatewayLimits, GatewaySettings
from mesh.model.identity import Kind
from mesh.sync.client import SyncClient
from mesh.sync.follow import GatewayPlan
from mesh.sync.link.address import HostPort
from mesh.sync.link.dial import PlainDialler
from mesh.sync.member import Source, Who, run_follower, run_member
from mesh.sync.options import ADDRESS, AddressType, make_hosting, make_source, source_options
from mesh.sync.process import Process, run_process

MESH_PORT = 8443


@click.group()
def gateway() -> None:
    """Run a proxy at the edge of a network."""


@gateway.command()
@click.option("--lan", type=ADDRESS, envvar="LINKSPAN_LAN", help="Where this network reaches the gateway, to leave it.")
@click.option(
    "--wan",
    type=ADDRESS,
    envvar="LINKSPAN_WAN",
    help=f"Where other networks reach it.  [default: 0.0.0.0:{MESH_PORT} without --lan]",
)
@click.option(
    "--advertise-lan",
    type=ADDRESS,
    envvar="LINKSPAN_ADVERTISE_LAN",
    help="The LAN side as others dial it, if --lan does not say.",
)
@click.option(
    "--advertise-wan",
    type=ADDRESS,
    envvar="LINKSPAN_ADVERTISE_WAN",
    help="The WAN side as others dial it, if --wan does not say.",
)
@click.option(
    "--catalog",
    multiple=True,
    type=AddressType(8502),
    envvar="LINKSPAN_CATALOG",
    help="Where the catalog's own name leads: the catalog, or the next gateway on the way to it.",
)
@click.option(
    "--agent-api",
    type=ADDRESS,
    envvar="LINKSPAN_AGENT_API",
    help="The agent's Consul API to register with.  [default: the agent's socket]",
)
@click.option(
    "--register/--no-register",
    default=None,
    envvar="LINKSPAN_REGISTER",
    help="Register with the agent.  [default: with --agent; in Kubernetes the node agent registers]",
)
@click.option(
    "--id",
    "instance",
    default="mesh-gateway",
    show_default=True,
    envvar="LINKSPAN_INSTANCE",
    help="The instance's id in the catalog.",
)
@click.option(
    "--drain-s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    envvar="LINKSPAN_DRAIN_S",
    help="How long open connections may take at the end.",
)
@source_options
def mesh(**values: Any) -> None:
    """Join this network to others: forward TLS by server name, exported services only, never terminating it."""
    settings = make_settings(values)
    source = make_source(values)
    registers = is_registering(values, source)
    if registers:
        make_registration(values, GatewayPorts(int(settings.lan is not None), int(settings.wan is not None)))
    plan = GatewayPlan(values["network"])

    async def main(process: Process, nursery: trio.Nursery) -> None:
        running = MeshGateway(settings, process.holder, process.metrics, process.access_log)
        ports = await nursery.start(running.run)
        # It listens before it knows anything: the way to the catalog may lead through this very gateway.
        process.serves(running.drain, running.count_bytes)
        client = await start_following(process, nursery, source, plan)
        if registers:
            api = SyncClient([PlainDialler(values["agent_api"])]) if values["agent_api"] else client
            registrar = Registrar(api, make_registration(values, ports))
            nursery.start_soon(registrar.run)

            async def drain() -> None:
                with trio.move_on_after(5):
                    await registrar.withdraw()
                await running.drain()

            process.serves(drain, running.count_bytes)

    run_process(make_hosting(values), plan.local, main)


async def start_following(process: Process, nursery: trio.Nursery, source: Source, plan: GatewayPlan) -> SyncClient:
    """Follow the catalog: through an agent without any certificate, else as a member with the gateway's own."""
    who = Who(Kind.GATEWAY, plan.network)
    if source.agent:
        follows = await nursery.start(run_follower, source, who, plan, process.holder)
        process.follows(follows.follower, None)
        client: SyncClient = follows.client
        return client
    member = await nursery.start(run_member, source, who, plan, process.holder)
    process.follows(member.follower, member.identity)
    direct: SyncClient = member.client
    return direct


def make_settings(values: dict[str, Any]) -> GatewaySettings:
    """The gateway's settings among parsed flags."""
    lan, wan = values["lan"], values["wan"]
    if lan is None and wan is None:
        wan = HostPort("0.0.0.0", MESH_PORT)
    return GatewaySettings(values["network"], lan, wan, values["catalog"], GatewayLimits(drain_s=values["drain_s"]))


def is_registering(values: dict[str, Any], source: Source) -> bool:
    """Whether this gateway registers itself: beside an agent, unless told not to.

    Raises:
        click.UsageError: there is no agent to register with.
    """
    if values["register"] is None:
        return bool(source.agent)
    if values["register"] and not source.agent and not values["agent_api"]:
        raise click.UsageError("--register needs an agent: with --server the Kubernetes node agent registers the pod")
    return bool(values["register"])


def make_registration(values: dict[str, Any], ports: GatewayPorts) -> Registration:
    """What to register: the addresses others can dial, with the ports that were picked.

    Raises:
        click.UsageError: a side listens on every address and nothing says which one others dial.
    """
    lan = _dialled("lan", values["advertise_lan"], values["lan"], ports.lan)
    wan = _dialled("wan", values["advertise_wan"], values["wan"], ports.wan)
    near = lan or wan
    assert near is not None
    return Registration(values["network"], near, wan, values["instance"])


def _dialled(side: str, advertised: HostPort | None, listened: HostPort | None, port: int) -> HostPort | None:
    if not port:
        return None
    if advertised is not None:
        return HostPort(advertised.host, advertised.port or port)
    host = listened.host if listened is not None else "0.0.0.0"
    if host in {"0.0.0.0", "::"}:
        raise click.UsageError(f"--{side} listens on every address: say with --advertise-{side} which one others dial")
    return HostPort(host, port)
