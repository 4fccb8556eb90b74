"""`linkspan dev`: catalog and agent in one process, open to everyone on this machine, and to nobody else.

The one place that may import both the catalog and the agent (docs/decisions). It wires and never decides; it must never
listen on anything but loopback and a Unix socket, because everyone who reaches it is the operator.
"""

import logging
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
import trio

from agents.vm.api.app import agent_routes
from agents.vm.api.call import App, CallError
from agents.vm.api.forward import TOKEN_HEADER, CatalogAwayError
from agents.vm.api.inside import AppUpstream
from agents.vm.api.rights import TRUSTING, InProcess, Rights
from agents.vm.config.overlay import beyond_loopback, overlay
from agents.vm.config.reload import Reloader
from agents.vm.host.core import Core, CoreSettings
from agents.vm.host.serve import ListenError, listen_unix
from agents.vm.local.forms import NETWORK_META, NodeFacts
from agents.vm.local.registrar import CatalogRegistrar, RegistrarError
from catalog.access.acl.settings import EVERYONE
from catalog.access.authorizer import NOTHING, Access, Authorizer, Resource
from catalog.api.acl.start import expire_tokens, keep_initial_tokens
from catalog.api.api import Api
from catalog.api.app import application, routes
from catalog.api.gate import Gate
from catalog.api.http.connection import STATE_KEY, Connection
from catalog.api.http.errors import PermissionDeniedError
from catalog.api.http.serve import DEFAULT_LIMITS, Listener, Server, listen, listen_plain
from catalog.api.query.made import make_dns_queries
from catalog.audit.log import FILE as AUDIT_FILE
from catalog.audit.log import AuditLog
from catalog.authority.authority import Authority
from catalog.dns.serve.listen import USUAL_API_PORT, USUAL_PORT, DnsListener, listen_dns
from catalog.engine import Catalog
from catalog.server.assembly import one_error, own_registration
from catalog.server.certificate import ServerCertificate
from catalog.server.config.overlay import acl_of
from catalog.server.config.read import Loaded, load, setting_keys
from catalog.server.config.reload import Watched
from catalog.server.entries import write_entries
from mesh.wire.http1.host import host_rule

log = logging.getLogger("linkspan.dev")

LOOPBACK = "127.0.0.1"
NO_PORT = -1

ListenerT = TypeVar("ListenerT")


class DevSettings(msgspec.Struct, frozen=True):
    """One dev process. Port 0 picks a free one, `dns_port` -1 serves no DNS; `data_dir` None keeps nothing; `socket` None serves none.

    `loaded` is what the files of `config_dir` said; `enable_local_script_checks` is for scripts in files alone.
    """

    http_port: int = 8500
    mesh_port: int = 8502
    node: str = "localhost"
    network: str = "default"
    datacenter: str = "dc1"
    data_dir: Path | None = None
    config_dir: Path | None = None
    socket: Path | None = None
    enable_script_checks: bool = False
    enable_local_script_checks: bool = False
    allowed_hosts: tuple[str, ...] = ()
    loaded: Loaded = Loaded()
    dns_port: int = NO_PORT


class Running(msgspec.Struct, frozen=True):
    """Where a started dev process listens, and how it is told to read its configuration again."""

    http: str
    mesh: str
    reload: Reloader
    dns: str = ""


async def run_dev(
    settings: DevSettings, stop: trio.Event, task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run catalog and agent until `stop`, or until someone calls `agent/leave`; started once it serves.

    Raises:
        ListenError: a port is taken, or the Unix socket cannot be listened on.
        OSError: the data directory cannot be written.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(one_error())
        listen_api = partial(listen_plain, hosts=host_rule(settings.allowed_hosts))
        plain = _listening(stack, listen_api, settings.http_port, "--http-port")
        mesh_socket = _listening(stack, listen, settings.mesh_port, "--mesh-port")
        dns = _listening(stack, listen_dns, settings.dns_port, "--dns-port") if settings.dns_port != NO_PORT else None
        listeners = [plain] + ([Listener(stack.enter_context(_unix(settings.socket)))] if settings.socket else [])
        folder = settings.data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="linkspan-dev-")))
        engine = await Catalog.open(await _store(settings.data_dir, stack))
        authority = Authority.open(folder, settings.datacenter, time.time(), None)
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run)
            await engine.submit(own_registration(settings.node, LOOPBACK, settings.datacenter))
            acl = acl_of(settings.loaded.config, default_enabled=False, agent_in_process=True)
            api = Api(engine, authority, node=settings.node, acl=acl if acl.enabled else EVERYONE)
            if settings.data_dir is not None:
                api.gate.audit = audit = AuditLog(settings.data_dir / AUDIT_FILE)
                stack.callback(audit.close)
            await keep_initial_tokens(api)
            await write_entries(api, settings.loaded.config.config_entries.bootstrap)
            nursery.start_soon(expire_tokens, api)
            certificate = ServerCertificate(authority, api.roots, time.time)
            nursery.start_soon(certificate.keep_fresh)
            core = _core(settings, api, stop)
            await nursery.start(core.run)
            listeners.append(Listener(mesh_socket, certificate.context))
            reload = Reloader(Watched(settings.config_dir, settings.loaded, log), core.reload)
            host = msgspec.structs.replace(core.host, reload=reload)
            most = settings.loaded.config.limits.http_max_conns_per_client
            limits = msgspec.structs.replace(DEFAULT_LIMITS, connections_per_address=most) if most else DEFAULT_LIMITS
            server = Server(application([*agent_routes(host), *routes(api)]), listeners, limits)
            async with trio.open_nursery() as serving:
                await serving.start(partial(server.run, stop, on_stop=api.parking.stop))
                await core.entropy.wait_told(1.0)
                where = await _serve_dns(settings, dns, api, engine, nursery)
                task_status.started(Running(plain.address, listeners[-1].address, reload, where))
            nursery.cancel_scope.cancel()


async def _serve_dns(
    settings: DevSettings, listener: DnsListener | None, api: Api, engine: Catalog, nursery: trio.Nursery
) -> str:
    """Answer names from the engine's state, with the rights of who shows no token; where."""
    from catalog.server.dns import dns_settings, rights_of_askers, serve_state

    if listener is None:
        return ""
    names = dns_settings(settings.loaded.config, settings.datacenter)
    rights = rights_of_askers(api.gate)
    server = serve_state(names, engine, rights, make_dns_queries(api))
    await nursery.start(server.run, listener)
    return listener.address


def _listening(stack: AsyncExitStack, listen: Callable[[str], ListenerT], port: int, flag: str) -> ListenerT:
    """What `listen` makes of a port of loopback, closed at the end."""
    try:
        made = listen(f"{LOOPBACK}:{port}")
    except OSError as error:
        raise ListenError(f"{error.strerror}: choose another {flag}") from error
    sock: Any = getattr(made, "socket", made)
    stack.callback(sock.close)
    return made


def _core(settings: DevSettings, api: Api, stop: trio.Event) -> Core:
    catalog_app = application(routes(api))

    async def leave() -> None:
        stop.set()

    meta = {**settings.loaded.config.node_meta, NETWORK_META: settings.network}
    node = NodeFacts(settings.node, LOOPBACK, settings.datacenter, meta=meta)
    core_settings = CoreSettings(
        config_dir=settings.config_dir,
        beside=setting_keys(),
        keep_in=settings.data_dir / "registrations.json" if settings.data_dir else None,
        file_scripts=settings.enable_script_checks or settings.enable_local_script_checks,
        api_scripts=settings.enable_script_checks,
        is_server=True,
        filter_items=filter_items,
        foreign=frozenset({"consul"}),
        upstream=AppUpstream(called_from(catalog_app, Connection(loopback=True))),
        rights=rights_of(api.gate),
    )
    own = AppCall(called_from(catalog_app, Connection(own_process=True)))
    return Core(node, CatalogRegistrar(own), core_settings, leave)


async def _store(data_dir: Path | None, stack: AsyncExitStack) -> Any:
    from catalog.server.settings import STORE_FILE
    from catalog.store.memory import MemoryStore
    from catalog.store.sqlite import open_sqlite
    from mesh.identity.keep import make_private_directory

    if data_dir is None:
        return MemoryStore()
    make_private_directory(data_dir)
    store = await open_sqlite(data_dir / STORE_FILE)
    stack.push_async_callback(store.close)
    return store


@contextmanager
def _unix(path: Path) -> Iterator[socket.socket]:
    sock = listen_unix(path)
    sock.setblocking(False)  # noqa: FBT003 - its only argument
    try:
        yield sock
    finally:
        sock.close()
        path.unlink(missing_ok=True)


def filter_items(text: str, listing: str, forms: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What a `?filter=` keeps of a listing (`services` or `checks`), in Consul's language.

    Raises:
        CallError: it cannot be read (Consul answers 500).
    """
    from catalog.compile.filter import FilterError, parse_filter
    from catalog.compile.selectors import CHECK, SERVICE

    try:
        keep = parse_filter(text, {"services": SERVICE, "checks": CHECK}[listing])
        return {key: form for key, form in forms.items() if keep(form)}
    except FilterError as error:
        raise CallError(500, f"Failed to create boolean expression evaluator: {error}") from error


class AppCall:
    """Calls the catalog's app in this process (`agents.vm.local.registrar.CatalogCall`): same rules, no socket."""

    def __init__(self, app: App) -> None:
        self._upstream = AppUpstream(app)

    async def __call__(self, method: str, target: str, body: bytes = b"", token: str = "") -> tuple[int, bytes]:
        """Status and body of the catalog's answer; `token` is what someone registered with.

        Raises:
            RegistrarError: it gave none.
        """
        try:
            passed = await self._upstream(method, target, ((TOKEN_HEADER, token),) if token else (), body)
        except CatalogAwayError as error:
            raise RegistrarError(str(error)) from error
        return passed.status, passed.body


class GateJudge:
    """The rights of one token at the catalog of this process (`agents.vm.api.rights.Judge`)."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def allows(self, resource: str, name: str, access: str) -> bool:
        """Whether it may; Consul's words, never compared as bare text."""
        return self._authorizer.allows(Resource(resource), name, Access(access))


def rights_of(gate: Gate) -> Rights:
    """What callers of the agent may do: everything where there is no access control, else what the gate says."""
    if not gate.acl.enabled:
        return TRUSTING

    def judge_of(token: str) -> GateJudge:
        scope: dict[str, Any] = {"state": {STATE_KEY: Connection(loopback=True)}}
        try:
            caller = gate.caller(scope, token)
            return GateJudge(NOTHING if caller is None else gate.authorizer(caller))
        except PermissionDeniedError as error:
            raise CallError(403, str(error)) from error

    return InProcess(judge_of)


def called_from(app: App, connection: Connection) -> App:
    """The app, for calls that come over no socket but as if over `connection`."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {**scope["state"], STATE_KEY: connection}}, receive, send)

    return called


@click.command()
@click.option("--http-port", default=8500, show_default=True, help="Consul's API, on 127.0.0.1.")
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A name that the API answers to, beside localhost and loopback addresses. Repeatable.",
)
@click.option("--mesh-port", default=8502, show_default=True, help="Mutual TLS for proxies, on 127.0.0.1.")
@click.option(
    "--dns-port",
    type=click.IntRange(-1, 65535),
    help="DNS on 127.0.0.1, -1 for none.  [default: 8600, a free port if --http-port is not 8500]",
)
@click.option("--node", default=socket.gethostname, show_default="this host's name", help="The node's name.")
@click.option("--network", default="default", show_default=True, help="The network of services registered here.")
@click.option("--datacenter", default="dc1", show_default=True)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Keep the catalog here.  [default: in memory]")
@click.option(
    "--config-dir",
    type=click.Path(path_type=Path),
    help="Consul's configuration and service files (JSON, YAML).",
)
@click.option("--socket", "socket_path", type=click.Path(path_type=Path), help="Unix socket for local proxies.")
@click.option("--enable-script-checks", is_flag=True, help="Run script checks, also those registered over the API.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning"]), default="warning", show_default=True)
@click.pass_context
def dev(context: click.Context, /, **flags: Any) -> None:
    """Catalog and agent in one process for development: open, on this machine only."""
    from agents.vm.command import start_log

    given = {name for name in flags if context.get_parameter_source(name) in _GIVEN}
    try:
        settings, level = settings_of(flags, given)
        start_log(level)
        for warning in warnings_of(settings.loaded):
            log.warning("%s", warning)
        trio.run(_until_signal, settings)
    except (OSError, ListenError, ValueError) as error:
        raise click.ClickException(str(error)) from error


_GIVEN = {click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT}


def settings_of(flags: dict[str, Any], given: set[str]) -> tuple[DevSettings, str]:
    """What the flags and the configuration say together, and the level of logging.

    Raises:
        ConfigError: the configuration cannot be used.
        OSError: it cannot be read.
    """
    loaded = load(flags["config_dir"]) if flags["config_dir"] else Loaded()
    chosen = overlay(flags, given, loaded.config)
    level = str(chosen.pop("log_level"))
    if chosen["dns_port"] is None:
        chosen["dns_port"] = USUAL_PORT if str(chosen["http_port"]) == USUAL_API_PORT else 0
    local_scripts = bool(loaded.config.enable_local_script_checks)
    return (
        DevSettings(
            socket=chosen.pop("socket_path"), enable_local_script_checks=local_scripts, loaded=loaded, **chosen
        ),
        level,
    )


def warnings_of(loaded: Loaded) -> list[str]:
    """What the configuration asked for in vain, a line each."""
    open_to = beyond_loopback(loaded.config)
    loopback = f"a dev process is open, so it serves this machine only: {', '.join(open_to)} ignored" if open_to else ""
    return [text for text in (loaded.warning, loopback) if text]


async def _until_signal(settings: DevSettings) -> None:
    stop = trio.Event()
    announcement = _Announcement(settings)
    with one_error(), trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_heed_signals, signals, stop, announcement)
            await run_dev(settings, stop, announcement)
            nursery.cancel_scope.cancel()


class _Announcement(trio.TaskStatus[Running]):
    """Says on standard output where everything is, once it is served."""

    def __init__(self, settings: DevSettings) -> None:
        self._settings = settings
        self.running: Running | None = None

    def started(self, value: Running | None = None) -> None:
        assert value is not None
        self.running = value
        click.echo(f"linkspan dev: node {self._settings.node}, API on http://{value.http}, mesh port {value.mesh}")
        if value.dns:
            click.echo(f"linkspan dev: DNS on {value.dns}")
        if self._settings.socket:
            click.echo(f"linkspan dev: proxies on unix:{self._settings.socket}")


async def _heed_signals(signals: Any, stop: trio.Event, announcement: _Announcement) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            stop.set()
            return
        if announcement.running is not None:
            await announcement.running.reload.at_signal()
