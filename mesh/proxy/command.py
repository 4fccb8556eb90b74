"""`linkspan proxy`: the sidecar of one workload. It composes the process and decides nothing.

Its memory is counted: nothing here may import cryptography, an HTTP framework or a client library.
"""

from typing import Any

import click
import trio

from mesh.decide.reach import GatewayMode
from mesh.model.identity import Kind
from mesh.model.names import InvalidNameError, check_label
from mesh.proxy.runtime import Proxy
from mesh.proxy.settings import InboundSettings, ProxySettings, Timeouts, Upstream
from mesh.sync.follow import ProxyPlan
from mesh.sync.link.address import HostPort, InvalidAddressError, parse_host_port
from mesh.sync.member import Source, Who, run_member
from mesh.sync.options import ADDRESS, LABEL, make_hosting, make_source, source_options
from mesh.sync.process import Process, run_process


@click.command()
@click.option(
    "--service", required=True, type=LABEL, envvar="LINKSPAN_SERVICE", help="The service whose identity this proxy has."
)
@click.option("--instance", default="", envvar="LINKSPAN_INSTANCE", help="The instance's id in the catalog, for logs.")
@click.option(
    "--inbound",
    type=ADDRESS,
    default="0.0.0.0:20000",
    show_default=True,
    envvar="LINKSPAN_INBOUND",
    help="Where other proxies reach this one.",
)
@click.option(
    "--app", type=ADDRESS, envvar="LINKSPAN_APP", help="The application behind it; without one the proxy only calls."
)
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    envvar="LINKSPAN_UPSTREAM",
    metavar="SERVICE=HOST:PORT",
    help="A service the app calls, and where; repeat for more.",
)
@click.option(
    "--gateway-mode",
    type=click.Choice([mode.value for mode in GatewayMode]),
    default=GatewayMode.REMOTE.value,
    show_default=True,
    envvar="LINKSPAN_GATEWAY_MODE",
    help="Other networks: at their gateway, or through ours (local).",
)
@click.option(
    "--drain-s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    envvar="LINKSPAN_DRAIN_S",
    help="How long open exchanges may take at the end.",
)
@source_options
def proxy(**values: Any) -> None:
    """Run the sidecar proxy of one workload: mutual TLS, intentions, routing, metrics."""
    settings = make_settings(values)
    plan = ProxyPlan(
        values["service"],
        values["network"],
        tuple(sorted({upstream.service for upstream in settings.upstreams})),
        GatewayMode(values["gateway_mode"]),
        values["instance"],
    )
    source = make_source(values)

    async def main(process: Process, nursery: trio.Nursery) -> None:
        await start_proxy(process, nursery, source, plan, settings)

    run_process(make_hosting(values), plan.local, main)


async def start_proxy(
    process: Process, nursery: trio.Nursery, source: Source, plan: ProxyPlan, settings: ProxySettings
) -> None:
    """Become a member of the mesh, then listen."""
    member = await nursery.start(run_member, source, Who(Kind.SERVICE, plan.service), plan, process.holder)
    process.follows(member.follower, member.identity)
    sidecar = Proxy(settings, process.holder, member.identity, process.metrics, process.access_log)
    await nursery.start(sidecar.run)
    process.serves(sidecar.drain)


def make_settings(values: dict[str, Any]) -> ProxySettings:
    """The proxy's settings among parsed flags.

    Raises:
        click.UsageError: an upstream is malformed, or there is nothing to do.
    """
    inbound: HostPort = values["inbound"]
    app: HostPort | None = values["app"]
    upstreams = tuple(parse_upstream(text) for text in values["upstreams"])
    if app is None and not upstreams:
        raise click.UsageError("nothing to do: give --app, --upstream or both")
    ports = [(upstream.address, upstream.port) for upstream in upstreams if upstream.port]
    if len(ports) != len(set(ports)):
        raise click.UsageError("two upstreams have the same address and port")
    return ProxySettings(
        inbound=InboundSettings(app.port, app.host, inbound.host, inbound.port) if app is not None else None,
        upstreams=upstreams,
        timeouts=Timeouts(drain_s=values["drain_s"]),
        gateway_mode=GatewayMode(values["gateway_mode"]),
    )


def parse_upstream(text: str) -> Upstream:
    """`SERVICE=HOST:PORT`, or `SERVICE=PORT` on loopback.

    Raises:
        click.UsageError: it is neither.
    """
    service, _, where = text.partition("=")
    try:
        check_label(service, "upstream service")
        address = parse_host_port(f"127.0.0.1:{where}" if where.isdecimal() else where)
    except (InvalidNameError, InvalidAddressError) as error:
        raise click.UsageError(f"--upstream {text[:120]!r}: {error}") from error
    return Upstream(service, address.port, address.host)
