"""`linkspan catalog` and `linkspan token`: run a catalog, and make the tokens that hosts join with.

Flags to values and values to text; it must never take a secret as an argument.
"""

import logging
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import click

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the catalog keeps its data (mode 0700).")
@click.option(
    "--config-dir",
    type=click.Path(path_type=Path),
    help="Consul's configuration files (JSON, YAML). Flags count over them.",
)
@click.option("--datacenter", default="dc1", show_default=True, help="Name of the datacenter.")
@click.option("--trust-domain", default=None, help="Trust domain of the mesh; made at the first start if not given.")
@click.option(
    "--http", default="127.0.0.1:8500", show_default=True, help="Plain API port, loopback only; 'off' for none."
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A name that the plain port answers to, beside localhost and loopback addresses. Repeatable.",
)
@click.option(
    "--mesh", default="0.0.0.0:8502", show_default=True, help="Mutual TLS port for agents, proxies and joins."
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
@click.option("--node", default=None, help="Name of this node in the catalog.  [default: the host's name]")
@click.option("--advertise", default="127.0.0.1", show_default=True, help="Address of this node in the catalog.")
@click.option("--max-connections-per-address", default=2000, show_default=True, type=click.IntRange(min=1))
@click.option("--leaf-ttl", default="24h", show_default=True, help="Life of the certificates it issues, 10s to 168h.")
@click.option("--kubernetes", is_flag=True, help="Let pods join with their service-account token (TokenReview).")
@click.option(
    "--kubernetes-node-agent", default="", metavar="NAMESPACE/NAME", help="Service account of the node agents."
)
@click.option("--kubernetes-gateway", default="", metavar="NAMESPACE/NAME", help="Service account of the mesh gateway.")
@click.option(
    "--kubernetes-namespace",
    "kubernetes_namespaces",
    multiple=True,
    metavar="NAMESPACE",
    help="A namespace whose pods may be services of the mesh. Repeatable; without it: every namespace.",
)
@click.option("--kubernetes-network", default="kubernetes", show_default=True, help="Network of the cluster's pods.")
@click.option("--kubernetes-api", default="", help="URL of the API server.  [default: the cluster this runs in]")
@click.option("--kubernetes-ca", type=click.Path(path_type=Path), default=SERVICE_ACCOUNT / "ca.crt", show_default=True)
@click.option(
    "--kubernetes-token-file", type=click.Path(path_type=Path), default=SERVICE_ACCOUNT / "token", show_default=True
)
@click.option("--publish-roots", default="", metavar="NAMESPACE/NAME", help="ConfigMap to keep the trust bundle in.")
@click.pass_context
def catalog(context: click.Context, /, **flags: Any) -> None:
    """Run the catalog: registry, health, policy and certificate authority."""
    import trio

    from catalog.api.http.serve import NotLoopbackError
    from catalog.authority.root_file import AuthorityFileError
    from catalog.state.state import UnreadableStateError
    from catalog.store import StoreError
    from mesh.model.names import InvalidNameError

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it tells of every token review
    raise_file_limit()
    given = {name for name in flags if context.get_parameter_source(name) in _GIVEN}
    try:
        chosen = configured(flags, given)
        trio.run(_run, settings_of(chosen), chosen["watched"])
    except (
        NotLoopbackError,
        InvalidNameError,
        ValueError,
        AuthorityFileError,
        StoreError,
        UnreadableStateError,
    ) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot start: {error}") from error


_GIVEN = {click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT}


def configured(flags: dict[str, Any], given: set[str]) -> dict[str, Any]:
    """The flags over what the configuration says; what of it is not honoured is logged.

    Raises:
        ConfigError: the configuration cannot be used.
        OSError: it cannot be read.
    """
    from catalog.server.config.overlay import log_level, overlay, without_agent
    from catalog.server.config.read import Loaded, load
    from catalog.server.config.reload import Watched

    log = logging.getLogger("linkspan.catalog")
    loaded = load(flags["config_dir"]) if flags["config_dir"] else Loaded()
    logging.getLogger().setLevel((log_level(loaded.config) or "info").upper())
    for warning in (loaded.warning, without_agent(loaded.config)):
        if warning:
            log.warning("%s", warning)
    chosen = overlay(flags, given, loaded.config)
    if chosen["data_dir"] is None:
        raise click.UsageError("Missing option '--data-dir' (or data_dir in the configuration).")
    return {**chosen, "config": loaded.config, "watched": Watched(flags["config_dir"], loaded, log)}


def settings_of(flags: dict[str, Any]) -> Any:
    """The flags as `catalog.server.settings.Settings`."""
    import msgspec

    from catalog.api.http.serve import DEFAULT_LIMITS
    from catalog.compile.entries.duration import parse_duration
    from catalog.dns.serve.listen import dns_address
    from catalog.dns.serve.made import check_settings
    from catalog.server.config.overlay import acl_of
    from catalog.server.config.shapes import Config
    from catalog.server.dns import dns_settings
    from catalog.server.settings import Settings
    from mesh.model.names import check_label, check_node, check_trust_domain

    check_label(flags["datacenter"], "datacenter")
    if flags["trust_domain"] is not None:
        check_trust_domain(flags["trust_domain"])
    cluster, access = _kubernetes_of(flags)
    config = flags.get("config") or Config()
    return Settings(
        data_dir=flags["data_dir"],
        datacenter=flags["datacenter"],
        trust_domain=flags["trust_domain"],
        http="" if flags["http"] == "off" else flags["http"],
        mesh=flags["mesh"],
        node=check_node(flags["node"] or socket.gethostname()),
        address=flags["advertise"],
        limits=msgspec.structs.replace(DEFAULT_LIMITS, connections_per_address=flags["max_connections_per_address"]),
        cluster=cluster,
        kubernetes=access,
        publish_roots=flags["publish_roots"],
        allowed_hosts=flags["allowed_hosts"],
        leaf_ttl_s=parse_duration(flags["leaf_ttl"]).seconds,
        acl=acl_of(config, default_enabled=True),
        node_meta=config.node_meta,
        entries=tuple(config.config_entries.bootstrap),
        dns=dns_address(flags["dns"], flags["http"]),
        dns_settings=check_settings(
            msgspec.structs.replace(
                dns_settings(config, flags["datacenter"]),
                domain=flags["dns_domain"],
                recursors=tuple(flags["recursors"]),
            )
        ),
    )


def _kubernetes_of(flags: dict[str, Any]) -> tuple[Any, Any]:
    """The cluster whose pods may join, and the way to its API server; None for none.

    Raises:
        ValueError: there is no way.
    """
    import os

    from catalog.access.kubernetes import Cluster
    from catalog.server.settings import KubernetesAccess
    from mesh.model.names import check_label

    cluster = access = None
    if flags["kubernetes"] or flags["publish_roots"]:
        host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        url = flags["kubernetes_api"] or (host and f"https://{f'[{host}]' if ':' in host else host}:{port}")
        if not url:
            raise ValueError("--kubernetes outside a cluster needs --kubernetes-api")
        access = KubernetesAccess(url, flags["kubernetes_ca"], flags["kubernetes_token_file"])
    if flags["kubernetes"]:
        cluster = Cluster(
            check_label(flags["kubernetes_network"], "network"),
            agent_account=flags["kubernetes_node_agent"],
            gateway_account=flags["kubernetes_gateway"],
            namespaces=tuple(check_label(name, "namespace") for name in flags["kubernetes_namespaces"]),
        )
    return cluster, access


def raise_file_limit() -> None:
    """Every connection is a descriptor: use as many as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run(settings: Any, watched: Any) -> None:
    import os

    import trio

    from catalog.server.assembly import Running, one_error, run_catalog
    from catalog.server.settings import OPERATOR_FILE
    from mesh.telemetry.notify import Notifier

    stop = trio.Event()
    notifier = Notifier(os.environ)
    with one_error(), trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:

            async def serve(task_status: trio.TaskStatus[Running]) -> None:
                await run_catalog(settings, stop, task_status)
                nursery.cancel_scope.cancel()

            running = await nursery.start(serve)
            plain = f"http://{running.http} and " if running.http else ""
            dns = f", DNS on {running.dns}" if running.dns else ""
            click.echo(
                f"linkspan catalog: serving {plain}mesh port {running.mesh}{dns}; trust domain {running.api.authority.trust_domain}"
            )
            click.echo(f"linkspan catalog: the operator's token is in {settings.data_dir / OPERATOR_FILE}")
            nursery.start_soon(notifier.watch)
            notifier.ready("serving")
            async for number in signals:
                if number == signal.SIGHUP:
                    await watched.reload_at_signal()
                    continue
                notifier.stopping()
                click.echo("linkspan catalog: stopping")
                stop.set()
                break


@click.group()
def token() -> None:
    """Make the one-time tokens that hosts join the mesh with; take certificates and grants back."""


@token.command("create")
@click.option("--node", required=True, help="Name of the node that may join with it.")
@click.option(
    "--service",
    "services",
    multiple=True,
    help="A service the node may register and have certificates of ('*': any). Repeatable; without it: none.",
)
@click.option("--gateway", is_flag=True, help="The node may run the mesh gateway of its network.")
@click.option("--network", default="", help="The one network the node may be in; needed for a gateway.  [default: any]")
@click.option("--ttl", default="1h", show_default=True, help="How long the token may be used.")
@click.option("--server", default="CATALOG:8502", help="The catalog's mesh address, for the printed command.")
@click.option("--http-addr", envvar=["LINKSPAN_HTTP_ADDR", "CONSUL_HTTP_ADDR"], default=None, help="The catalog's API.")
@click.option(
    "--token-file",
    envvar=["LINKSPAN_TOKEN_FILE", "CONSUL_HTTP_TOKEN_FILE"],
    type=click.Path(path_type=Path),
    default=None,
    help="File with the operator's token.",
)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def create(**flags: Any) -> None:
    """Make a one-time join token and print it once, with the command to join by.

    The node may register and run what the token names, and nothing else. To change that, make another one and join anew.
    """
    import json

    from catalog.client.command import call

    made = call(
        flags["http_addr"],
        flags["token_file"],
        lambda c: c.linkspan.create_token(
            flags["node"],
            services=flags["services"],
            gateway=flags["gateway"],
            network=flags["network"],
            ttl=flags["ttl"],
        ),
    )
    if flags["format_"] == "json":
        click.echo(json.dumps(made, indent=2))
        return
    network = f" --network {flags['network']}" if flags["network"] else ""
    click.echo(made["Token"])
    click.echo(
        f"On {flags['node']}, put it into a file and run (it works once, for {flags['ttl']}):\n"
        f"  linkspan join --server {flags['server']} --ca-pin {made['CaPin']} --node {flags['node']}{network} --token-file FILE",
        err=True,
    )


def _operator_options(function: Any) -> Any:
    from catalog.client.command import connection_options

    return connection_options(function)


@token.command("revoke")
@click.option("--serial", required=True, help="The certificate's serial number, hexadecimal.")
@_operator_options
def revoke(serial: str, http_addr: str | None, token_file: Path | None) -> None:
    """Revoke one certificate: every proxy refuses it and cuts its connections."""
    from catalog.client.command import call

    call(http_addr, token_file, lambda c: c.linkspan.revoke(serial))
    click.echo(f"Revoked: {serial}")


@token.command("withdraw")
@click.option("--node", required=True, help="The node whose grant and unused tokens are taken back.")
@_operator_options
def withdraw(node: str, http_addr: str | None, token_file: Path | None) -> None:
    """Withdraw what a node was granted: its certificate opens nothing at the catalog until it joins anew."""
    from catalog.client.command import call

    call(http_addr, token_file, lambda c: c.linkspan.withdraw(node))
    click.echo(f"Withdrawn: {node}. Certificates that it holds for services live on until they expire: revoke them.")
