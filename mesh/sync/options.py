"""Settings that every data-plane process has: where it gets identity and snapshot, and where it is looked at. For click.

Flags go over the environment (`LINKSPAN_*`), that over the file given with `--config` (JSON, or YAML by its ending).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from mesh.model.names import InvalidNameError, check_label
from mesh.sync.link.address import HostPort, InvalidAddressError, parse_host_port, parse_unix
from mesh.sync.member import Source
from mesh.wire.http1.host import HostRule, InvalidHostError, host_rule

SYNC_PORT = 8502
DEFAULT_AGENT = "unix:/run/linkspan/agent.sock"
MAX_CONFIG_BYTES = 1024 * 1024

Function = TypeVar("Function", bound=Callable[..., Any])


class Hosting(msgspec.Struct, frozen=True):
    """Where a process is looked at: admin pages, metrics for Prometheus, the access log's path (`-` is stdout, empty is none).

    `hosts` are the names that the pages answer to on loopback.
    """

    admin: HostPort | None = None
    metrics: HostPort | None = None
    access_log: str = ""
    hosts: HostRule = HostRule()


class AddressType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """`HOST:PORT` as a `HostPort`."""

    name = "HOST:PORT"

    def __init__(self, default_port: int = 0) -> None:
        self._default_port = default_port

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> HostPort:
        if isinstance(value, HostPort):
            return value
        try:
            return parse_host_port(str(value), self._default_port)
        except InvalidAddressError as error:
            self.fail(str(error), param, ctx)


class LabelType(click.ParamType):  # type: ignore[type-arg]  # as above
    """A name that fits into SNI and DNS."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return check_label(str(value), param.name or "name" if param else "name")
        except InvalidNameError as error:
            self.fail(str(error), param, ctx)


ADDRESS = AddressType()
LABEL = LabelType()


def read_config(ctx: click.Context, param: click.Parameter, path: str | None) -> None:
    """Take a file's settings as defaults: its keys are the flags' names, with `-` or `_`.

    Raises:
        click.BadParameter: the file cannot be read, is no mapping, or has a key that is no flag.
    """
    if not path:
        return
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
        settings = _decode_config(path, content)
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path}: {error}", ctx, param) from error
    known = {
        str(option.name): {opt.lstrip("-").replace("-", "_") for opt in option.opts} for option in ctx.command.params
    }
    defaults: dict[str, Any] = {}
    for key, value in settings.items():
        name = next((name for name, flags in known.items() if key.replace("-", "_") in flags), None)
        if name is None or name == param.name:
            raise click.BadParameter(f"{path}: {key[:80]!r} is no setting of `{ctx.info_name}`", ctx, param)
        defaults[name] = value
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _decode_config(path: str, content: bytes) -> dict[str, Any]:
    if len(content) > MAX_CONFIG_BYTES:
        raise ValueError(f"larger than {MAX_CONFIG_BYTES} bytes")
    if path.endswith((".yaml", ".yml")):
        import yaml  # only whoever writes YAML pays for its reader

        try:
            decoded = yaml.safe_load(content)
        except yaml.YAMLError as error:
            raise ValueError(" ".join(str(error).split())) from error
        return msgspec.convert(decoded or {}, dict[str, Any])
    return msgspec.json.decode(content or b"{}", type=dict[str, Any])


_OPTIONS = (
    click.option(
        "--network",
        type=LABEL,
        default="default",
        show_default=True,
        envvar="LINKSPAN_NETWORK",
        help="The network this process is in.",
    ),
    click.option("--agent", envvar="LINKSPAN_AGENT", help=f"The host agent's socket.  [default: {DEFAULT_AGENT}]"),
    click.option(
        "--server",
        "servers",
        multiple=True,
        type=AddressType(SYNC_PORT),
        envvar="LINKSPAN_SERVER",
        help="A catalog's mesh port instead of an agent; repeat for more.",
    ),
    click.option("--ca-file", envvar="LINKSPAN_CA_FILE", help="The catalog's root certificate (with --server)."),
    click.option(
        "--token-file",
        envvar="LINKSPAN_TOKEN_FILE",
        help="A projected service-account token, read anew at each use (with --server).",
    ),
    click.option(
        "--state-dir",
        required=True,
        envvar=["LINKSPAN_STATE_DIR", "STATE_DIRECTORY"],
        help="Where certificate and last-known-good are kept.",
    ),
    click.option(
        "--admin",
        type=ADDRESS,
        default="127.0.0.1:19000",
        show_default=True,
        envvar="LINKSPAN_ADMIN",
        help="Admin pages: /ready /metrics /snapshot.",
    ),
    click.option(
        "--metrics",
        type=ADDRESS,
        envvar="LINKSPAN_METRICS",
        help="/metrics and /ready alone, for other hosts to read.",
    ),
    click.option(
        "--allowed-host",
        "allowed_hosts",
        multiple=True,
        metavar="NAME",
        envvar="LINKSPAN_ALLOWED_HOST",
        help="A name that pages on loopback answer to, beside localhost and loopback addresses; repeatable.",
    ),
    click.option("--access-log", default="", envvar="LINKSPAN_ACCESS_LOG", help="A file, or - for stdout."),
    click.option(
        "--config",
        callback=read_config,
        is_eager=True,
        expose_value=False,
        envvar="LINKSPAN_CONFIG",
        help="A JSON or YAML file with these settings.",
    ),
)


def source_options(function: Function) -> Function:
    """The flags of `Source` and `Hosting`, to be read with `make_source` and `make_hosting`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def make_source(values: dict[str, Any]) -> Source:
    """The source among parsed flags.

    Raises:
        click.UsageError: the flags contradict each other or one is missing.
    """
    servers: tuple[HostPort, ...] = values["servers"]
    state_dir, network = values["state_dir"].partition(":")[0], values["network"]
    if servers:
        if values["agent"]:
            raise click.UsageError("--agent and --server exclude each other")
        if not values["ca_file"] or not values["token_file"]:
            raise click.UsageError("--server needs --ca-file and --token-file")
        return Source(state_dir, network, "", servers, values["ca_file"], values["token_file"])
    try:
        return Source(state_dir, network, parse_unix(values["agent"] or DEFAULT_AGENT))
    except InvalidAddressError as error:
        raise click.UsageError(f"--agent: {error}") from error


def make_hosting(values: dict[str, Any]) -> Hosting:
    """The hosting among parsed flags.

    Raises:
        click.UsageError: an allowed host is none.
    """
    try:
        hosts = host_rule(values["allowed_hosts"])
    except InvalidHostError as error:
        raise click.UsageError(f"--allowed-host: {error}") from error
    return Hosting(values["admin"], values["metrics"], values["access_log"], hosts)
