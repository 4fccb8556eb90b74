"""`linkspan bridge consul`: the composition of a bridge. It wires and decides nothing.

Tokens come from files, never from the arguments, which every process of the machine can read, and never from the
environment, which would hand one side's token to the other.
"""

from pathlib import Path
from typing import Any

import click

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def bridge() -> None:
    """Mirror services between two catalogs, for migration."""


@bridge.command()
@click.option("--from", "source", required=True, envvar="LINKSPAN_BRIDGE_FROM", help="API of the source, a URL.")
@click.option("--to", "target", required=True, envvar="LINKSPAN_BRIDGE_TO", help="API of the target, a URL.")
@click.option("--both", is_flag=True, envvar="LINKSPAN_BRIDGE_BOTH", help="Mirror the target's own to the source, too.")
@click.option("--from-token-file", type=_FILE, envvar="LINKSPAN_BRIDGE_FROM_TOKEN_FILE", help="Token for the source.")
@click.option("--to-token-file", type=_FILE, envvar="LINKSPAN_BRIDGE_TO_TOKEN_FILE", help="Token for the target.")
@click.option("--from-ca-file", type=_FILE, envvar="LINKSPAN_BRIDGE_FROM_CA_FILE", help="Roots to trust at the source.")
@click.option("--to-ca-file", type=_FILE, envvar="LINKSPAN_BRIDGE_TO_CA_FILE", help="Roots to trust at the target.")
@click.option(
    "--name",
    default="bridge",
    show_default=True,
    envvar="LINKSPAN_BRIDGE_NAME",
    help="Name of this bridge: it knows its own by it, also after a restart. One name, one process.",
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="GLOB",
    envvar="LINKSPAN_BRIDGE_SERVICE",
    help="Services to mirror, repeatable.  [default: all but consul]",
)
@click.option("--intentions/--no-intentions", default=True, show_default=True, help="Mirror intentions, too.")
@click.option("--connect/--no-connect", default=False, show_default=True, help="Mirror connect proxies, too.")
@click.option(
    "--hold",
    "hold_s",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    envvar="LINKSPAN_BRIDGE_HOLD",
    help="Seconds without trouble at the source before what it no longer shows is removed.",
)
@click.option(
    "--watches",
    type=click.IntRange(min=1, max=5000),
    default=100,
    show_default=True,
    help="Services of a source that are followed by a call each; Consul takes 200 calls from an address.",
)
@click.option("--once", is_flag=True, help="One pass, then end; it removes only with --hold 0.")
@click.option("--dry-run", is_flag=True, help="Print what one pass would do, and do nothing.")
@click.option(
    "--admin", metavar="HOST:PORT", envvar="LINKSPAN_ADMIN", help="Pages /ready and /metrics.  [default: none]"
)
def consul(**options: Any) -> None:
    """Mirror services, their health and intentions from one Consul-speaking catalog to another until SIGTERM."""
    import logging
    import os

    import trio

    import catalog.client as linkspan
    from agents.bridge.assembly import run_bridge
    from agents.bridge.settings import FAILURES, settings_of
    from mesh.telemetry.shell import set_up_log

    set_up_log(os.environ)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it would log every call
    try:
        settings = settings_of(options)
        done = trio.run(run_bridge, settings, click.echo)
    except (*FAILURES, linkspan.InvalidAddressError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if not done:
        raise click.ClickException("not everything was written: the log says what was refused")
