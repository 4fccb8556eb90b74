"""`linkspan services`, `nodes`, `intention`, `config`: what Consul's CLI does, over the client.

Flags to calls and answers to text: it decides nothing. The token is read from a file or the environment, never from
the arguments, which every process of the machine can read.
"""

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from catalog.client.table import table

Call = Callable[[Any], Awaitable[Any]]


def connection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--http-addr` and `--token-file`, shared by every command."""
    address = click.option(
        "--http-addr",
        envvar=["LINKSPAN_HTTP_ADDR", "CONSUL_HTTP_ADDR"],
        default=None,
        help="The API: host:port, http(s)://host:port or unix:///path.  [default: 127.0.0.1:8500]",
    )
    token = click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        envvar=["LINKSPAN_TOKEN_FILE", "CONSUL_HTTP_TOKEN_FILE"],
        default=None,
        help="File with the token; else LINKSPAN_TOKEN or CONSUL_HTTP_TOKEN.",
    )
    return address(token(function))


def format_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--format table|json`."""
    return click.option(
        "--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True
    )(function)


def call(http_addr: str | None, token_file: Path | None, what: Call) -> Any:
    """Run one call against the catalog; its refusal or absence is the command's error.

    Raises:
        click.ClickException: with the catalog's own words.
    """
    import trio

    import catalog.client as linkspan

    try:
        token = token_file.read_text().strip() if token_file else None
    except OSError as error:
        raise click.ClickException(f"cannot read the token: {error}") from error

    async def run() -> Any:
        async with linkspan.Consul(http_addr, token=token) as client:
            return await what(client)

    try:
        return trio.run(run)
    except (linkspan.ConsulException, linkspan.InvalidAddressError) as error:
        raise click.ClickException(str(error) or type(error).__name__) from error


def show(format_: str, value: Any, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print an answer as JSON, or its rows as a table."""
    click.echo(json.dumps(value, indent=2) if format_ == "json" else table(columns, rows))


@click.command()
@connection_options
@format_option
def services(http_addr: str | None, token_file: Path | None, format_: str) -> None:
    """List the services of the catalog with their instances and health."""

    async def read(client: Any) -> list[dict[str, Any]]:
        _, names = await client.catalog.services()
        found = []
        for name, tags in names.items():
            _, instances = await client.health.service(name)
            passing = sum(all(check["Status"] == "passing" for check in one["Checks"]) for one in instances)
            found.append({"Name": name, "Instances": len(instances), "Passing": passing, "Tags": tags})
        return found

    found = call(http_addr, token_file, read)
    rows = [(one["Name"], one["Instances"], one["Passing"], ",".join(one["Tags"])) for one in found]
    show(format_, found, ("Service", "Instances", "Passing", "Tags"), rows)


@click.command()
@connection_options
@format_option
def nodes(http_addr: str | None, token_file: Path | None, format_: str) -> None:
    """List the nodes of the catalog."""
    _, found = call(http_addr, token_file, lambda client: client.catalog.nodes())
    rows = [
        (one["Node"], one["Address"], one["Meta"].get("linkspan-network", "default"), one["Datacenter"])
        for one in found
    ]
    show(format_, found, ("Node", "Address", "Network", "Datacenter"), rows)


@click.group()
def intention() -> None:
    """Who may call whom."""


@intention.command("create")
@click.argument("source")
@click.argument("destination")
@click.option("--allow", "action", flag_value="allow", help="Connections are allowed.")
@click.option("--deny", "action", flag_value="deny", help="Connections are denied.")
@click.option("--permissions", type=click.File("rb"), help="JSON or YAML file with a list of L7 permissions.")
@click.option("--description", default="")
@click.option("--replace", is_flag=True, help="Write it even if there is one already.")
@connection_options
def create_intention(source: str, destination: str, **flags: Any) -> None:
    """Create the intention SOURCE -> DESTINATION ('*' is any service)."""
    if (flags["action"] is None) == (flags["permissions"] is None):
        raise click.UsageError("give one of --allow, --deny and --permissions")
    body: dict[str, Any] = {"SourceType": "consul", "Description": flags["description"]}
    if flags["permissions"] is None:
        body["Action"] = flags["action"]
    else:
        body["Permissions"] = read_document(flags["permissions"])

    async def write(client: Any) -> None:
        import catalog.client as linkspan

        if not flags["replace"]:
            try:
                await client.linkspan.get_intention(source, destination)
            except linkspan.NotFound:
                pass
            else:
                raise click.ClickException(
                    f"there is an intention {source} => {destination}: use --replace to change it"
                )
        await client.linkspan.put_intention(source, destination, body)

    call(flags["http_addr"], flags["token_file"], write)
    click.echo(f"Created: {source} => {destination} ({flags['action'] or 'permissions'})")


@intention.command("delete")
@click.argument("source")
@click.argument("destination")
@connection_options
def delete_intention(source: str, destination: str, http_addr: str | None, token_file: Path | None) -> None:
    """Delete the intention SOURCE -> DESTINATION."""
    call(http_addr, token_file, lambda client: client.linkspan.delete_intention(source, destination))
    click.echo("Intention deleted.")


@intention.command("get")
@click.argument("source")
@click.argument("destination")
@connection_options
def get_intention(source: str, destination: str, http_addr: str | None, token_file: Path | None) -> None:
    """Show the intention SOURCE -> DESTINATION as JSON."""
    found = call(http_addr, token_file, lambda client: client.linkspan.get_intention(source, destination))
    click.echo(json.dumps(found, indent=2))


@intention.command("check")
@click.argument("source")
@click.argument("destination")
@connection_options
def check_intention(source: str, destination: str, http_addr: str | None, token_file: Path | None) -> None:
    """Say whether SOURCE may connect to DESTINATION; exit code 2 if not."""
    answer = call(http_addr, token_file, lambda client: client.connect.intentions.check(source, destination))
    click.echo("Allowed" if answer["Allowed"] else "Denied")
    if not answer["Allowed"]:
        sys.exit(2)


@intention.command("list")
@connection_options
@format_option
def list_intentions(http_addr: str | None, token_file: Path | None, format_: str) -> None:
    """List all intentions, highest precedence first."""
    found = call(http_addr, token_file, lambda client: client.connect.intentions.list())
    rows = [
        (one["SourceName"], one.get("Action") or "permissions", one["DestinationName"], one["Precedence"])
        for one in found
    ]
    show(format_, found, ("Source", "Action", "Destination", "Precedence"), rows)


@click.group()
def config() -> None:
    """Config entries: service-defaults, -router, -splitter, -resolver, -intentions, exported-services."""


@config.command("write")
@click.argument("file", type=click.File("rb"))
@click.option("--cas", is_flag=True, help="Write only over the entry at --modify-index.")
@click.option(
    "--modify-index", type=click.IntRange(min=0), default=None, help="Index for --cas; 0: there must be none."
)
@connection_options
def write_entry(file: Any, **flags: Any) -> None:
    """Write the config entry in a JSON or YAML FILE ('-' is standard input)."""
    if flags["cas"] != (flags["modify_index"] is not None):
        raise click.UsageError("--cas and --modify-index go together")
    entry = read_document(file)
    written = call(
        flags["http_addr"],
        flags["token_file"],
        lambda client: client.linkspan.put_config(entry, cas=flags["modify_index"]),
    )
    if not written:
        raise click.ClickException("not written: the entry is not at that index")
    click.echo(f"Config entry written: {_of(entry, 'kind')}/{_of(entry, 'name')}")


@config.command("read")
@click.option("--kind", required=True)
@click.option("--name", required=True)
@connection_options
def read_entry(kind: str, name: str, http_addr: str | None, token_file: Path | None) -> None:
    """Show one config entry as JSON."""
    found = call(http_addr, token_file, lambda client: client.config.get(kind, name))
    if not isinstance(found, dict):  # python-consul2 gives (index, None) for a 404
        raise click.ClickException(f"there is no config entry {kind}/{name}")
    click.echo(json.dumps(found, indent=2))


@config.command("list")
@click.option("--kind", required=True)
@connection_options
@format_option
def list_entries(kind: str, http_addr: str | None, token_file: Path | None, format_: str) -> None:
    """List the config entries of a kind."""
    found = call(http_addr, token_file, lambda client: client.config.list(kind))
    show(format_, found, ("Name", "ModifyIndex"), [(one["Name"], one["ModifyIndex"]) for one in found])


@config.command("delete")
@click.option("--kind", required=True)
@click.option("--name", required=True)
@connection_options
def delete_entry(kind: str, name: str, http_addr: str | None, token_file: Path | None) -> None:
    """Delete one config entry."""
    call(http_addr, token_file, partial(_delete, kind, name))
    click.echo(f"Config entry deleted: {kind}/{name}")


async def _delete(kind: str, name: str, client: Any) -> Any:
    return await client.linkspan.delete_config(kind, name)


def read_document(file: Any) -> Any:
    """The JSON or YAML document in an open file.

    Raises:
        click.ClickException: it is neither.
    """
    import yaml

    try:
        return yaml.safe_load(file.read())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{getattr(file, 'name', '-')}: neither JSON nor YAML: {error}") from error


def _of(entry: Any, field: str) -> str:
    """A field of an entry, whichever way its key is spelled."""
    return (
        next((str(value) for key, value in entry.items() if key.lower() == field), "")
        if isinstance(entry, dict)
        else ""
    )
