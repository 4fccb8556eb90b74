"""The commands `linkspan join` and `linkspan agent`. Thin: they read flags, call the host's parts, print one line an error."""

import json
import logging
import socket
import sys
from pathlib import Path

import click

log = logging.getLogger("linkspan.agent")

STATE_DIR = "/var/lib/linkspan"
CONFIG_DIR = "/etc/linkspan/services"
SOCKET = "/run/linkspan/agent.sock"


@click.command()
@click.option(
    "--server",
    "servers",
    multiple=True,
    required=True,
    envvar="LINKSPAN_JOIN_SERVER",
    help="The catalog's mesh port, HOST:PORT (8502); repeatable.",
)
@click.option(
    "--token-file",
    required=True,
    envvar="LINKSPAN_JOIN_TOKEN_FILE",
    help="File with the one-time token, or - for standard input.",
)
@click.option(
    "--ca-pin",
    required=True,
    envvar="LINKSPAN_JOIN_CA_PIN",
    help="The mesh's root: sha256:<64 hex>, as 'linkspan token create' prints it.",
)
@click.option(
    "--node",
    default=socket.gethostname,
    show_default="this host's name",
    envvar="LINKSPAN_JOIN_NODE",
    help="The node's name.",
)
@click.option(
    "--network",
    default="default",
    show_default=True,
    envvar="LINKSPAN_JOIN_NETWORK",
    help="The network this host's addresses belong to.",
)
@click.option(
    "--address",
    default="",
    envvar="LINKSPAN_JOIN_ADDRESS",
    help="The address at which others of its network reach this host (default: the one it reaches the catalog from).",
)
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="Node meta; repeatable.")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=STATE_DIR,
    show_default=True,
    help="Where identity and settings are kept.",
)
@click.option("--force", is_flag=True, help="Join even if this host has joined; replaces its identity.")
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def join(  # noqa: PLR0913, PLR0917 - one parameter a flag
    servers: tuple[str, ...],
    token_file: str,
    ca_pin: str,
    node: str,
    network: str,
    address: str,
    meta: tuple[str, ...],
    state_dir: Path,
    force: bool,
    output: str,
) -> None:
    """Make this host a member of the mesh. Do it once; then start the agent."""
    import trio

    from agents.vm.host.enrolment import EnrolmentError
    from agents.vm.host.join import JoinSettings, TokenError, address_towards, enrol, read_token
    from mesh.model.names import InvalidNameError
    from mesh.sync.link.address import InvalidAddressError
    from mesh.sync.link.errors import SyncError

    try:
        address = address or address_towards(servers[0])
        settings = JoinSettings(servers, ca_pin, node, network, address, state_dir, _pairs(meta), force)
        outcome = trio.run(enrol, settings, lambda: read_token(token_file, sys.stdin.read))
    except (SyncError, EnrolmentError, TokenError, InvalidNameError, InvalidAddressError) as error:
        raise click.ClickException(str(error)) from error
    if output == "json":
        click.echo(
            json.dumps(
                {"node": node, "uri": outcome.uri, "services": outcome.enrolment.services, "joined": outcome.is_new}
            )
        )
        return
    what = "joined" if outcome.is_new else "has joined already; nothing was changed, the token was not used"
    click.echo(f"{node} {what}: {outcome.uri}")
    granted = ", ".join(outcome.enrolment.services) or "no services"
    click.echo(
        f"  network {network}, may run: {granted}; certificate valid for {outcome.valid_for_s / 3600:.1f} h, renewed by the agent"
    )
    click.echo("Next: put service files into /etc/linkspan/services, then: systemctl enable --now linkspan-agent")


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--meta")
        pairs[key] = value
    return pairs


@click.command()
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=STATE_DIR,
    show_default=True,
    help="What 'linkspan join' filled.",
)
@click.option(
    "--config-dir",
    type=click.Path(path_type=Path),
    default=None,
    help=f"Service files (YAML, JSON), such as {CONFIG_DIR}.",
)
@click.option(
    "--http", default="127.0.0.1:8500", show_default=True, help="Where Consul's API is served; loopback only."
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A name that the API answers to, beside localhost and loopback addresses. Repeatable.",
)
@click.option(
    "--dns",
    default=None,
    metavar="ADDRESS:PORT",
    help="Serve DNS there, UDP and TCP; 'off' for none.  [default: 127.0.0.1:8600, a free port if --http has another port than 8500]",
)
@click.option("--dns-domain", default="consul", show_default=True, help="The domain that DNS answers for.")
@click.option(
    "--recursor",
    "recursors",
    multiple=True,
    metavar="IP[:PORT]",
    help="A DNS server to ask for all other names. Repeatable: asked in order.",
)
@click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path),
    default=SOCKET,
    show_default=True,
    help="The proxies' Unix socket.",
)
@click.option(
    "--socket-group", default="", help="The group whose members may use the socket (default: the agent's own)."
)
@click.option(
    "--enable-script-checks",
    is_flag=True,
    help="Run script checks that stand in service files (never those sent over the API).",
)
@click.option(
    "--leave-on-terminate",
    is_flag=True,
    help="Take this node out of the catalog at SIGTERM, instead of letting its lease lapse.",
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning"]), default="info", show_default=True)
def agent(  # noqa: PLR0913, PLR0917 - one parameter a flag
    state_dir: Path,
    config_dir: Path | None,
    http: str,
    allowed_hosts: tuple[str, ...],
    dns: str | None,
    dns_domain: str,
    recursors: tuple[str, ...],
    socket_path: Path,
    socket_group: str,
    enable_script_checks: bool,
    leave_on_terminate: bool,
    log_level: str,
) -> None:
    """Run this host's agent: register, check, feed the proxies. The host must have joined."""
    import trio

    from agents.vm.config.host import HostSettings, host_settings
    from agents.vm.host.agent import AgentSettings, load_agent
    from agents.vm.host.enrolment import EnrolmentError
    from agents.vm.host.serve import ListenError
    from catalog.dns.answer.settings import DnsSettings
    from catalog.dns.serve.listen import dns_address
    from catalog.dns.serve.made import check_settings
    from catalog.server.config.read import setting_keys
    from mesh.wire.http1.host import InvalidHostError

    start_log(log_level)
    try:
        names = check_settings(DnsSettings(domain=dns_domain, recursors=recursors))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    found = host_settings(config_dir) if config_dir else HostSettings()
    if found.warning:
        log.warning("%s: %s", config_dir, found.warning)
    settings = AgentSettings(
        state_dir=state_dir,
        socket=socket_path,
        config_dir=config_dir,
        http=http,
        allowed_hosts=allowed_hosts,
        socket_group=socket_group,
        enable_script_checks=enable_script_checks or found.scripts,
        beside=setting_keys(),
        leave_on_terminate=leave_on_terminate,
        dns=dns_address(dns, http),
        dns_settings=names,
    )
    try:
        trio.run(load_agent(settings).run)
    except (EnrolmentError, ListenError, InvalidHostError) as error:
        raise click.ClickException(str(error)) from error


def start_log(level: str) -> None:
    """Log lines to standard error; systemd adds the time."""
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
