"""Puts a catalog process together and runs it until it is told to stop.

The order matters: sockets first (a taken port is told before anything is written), then the store and its engine, the
operator's token, the catalog's own registration, and only then is anybody served.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import msgspec
import trio

from catalog.access.tokens import OPERATOR_KEY, OPERATOR_TABLE, SECRET_BYTES, make_operator_token
from catalog.api.acl.start import expire_tokens, keep_initial_tokens
from catalog.api.api import SERVER_PORT, Api
from catalog.api.app import application, routes
from catalog.api.http.serve import Listener, Server, listen, listen_plain
from catalog.api.query.made import make_dns_queries
from catalog.api.token_review import KubernetesJoin
from catalog.audit.log import FILE as AUDIT_FILE
from catalog.audit.log import AuditLog
from catalog.authority.authority import Authority
from catalog.authority.root_file import ROOT_FILE, AuthorityFileError
from catalog.dns.serve.listen import listen_dns
from catalog.engine import Catalog
from catalog.server.certificate import ServerCertificate
from catalog.server.dns import rights_of_askers, serve_state
from catalog.server.entries import write_entries
from catalog.server.kubernetes import RETRY_S, KubernetesApi, PublishError
from catalog.server.settings import OPERATOR_FILE, STORE_FILE, Settings
from catalog.state.changes import Register
from catalog.state.records import SERF_HEALTH, Check, Node, ServiceInstance
from catalog.store.sqlite import open_sqlite
from mesh.identity.keep import make_private_directory, replace_file
from mesh.model.endpoint import Health
from mesh.wire.http1.host import host_rule

logger = logging.getLogger(__name__)

PUBLISH_EVERY_S = 600.0


class Running(msgspec.Struct, frozen=True):
    """Where a started catalog listens (`http` empty: no plain port, `dns` empty: no DNS), and its parts."""

    http: str
    mesh: str
    api: Api
    server: Server
    dns: str = ""


async def run_catalog(
    settings: Settings,
    stop: trio.Event,
    task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED,
    epoch: Callable[[], float] = time.time,
) -> None:
    """Run a catalog until `stop`; started once it serves.

    Raises:
        OSError: a port is taken, or the data directory cannot be written.
        NotLoopbackError: the plain port is not a loopback address.
        StoreError: the store cannot be opened, or failed while running.
        UnreadableStateError: a newer version wrote it.
        AuthorityFileError: the authority in the data directory cannot be used.
    """
    with one_error():
        await _run(settings, stop, task_status, epoch)


async def _run(
    settings: Settings, stop: trio.Event, task_status: trio.TaskStatus[Running], epoch: Callable[[], float]
) -> None:
    async with AsyncExitStack() as stack:
        plain = (
            _closing(stack, listen_plain(settings.http, host_rule(settings.allowed_hosts))) if settings.http else None
        )
        mesh_socket = listen(settings.mesh, backlog=settings.limits.backlog)
        stack.callback(mesh_socket.close)
        dns = stack.enter_context(listen_dns(settings.dns)) if settings.dns else None
        engine = await _open_engine(stack, settings, epoch)
        authority = Authority.open(
            settings.data_dir, settings.datacenter, epoch(), settings.trust_domain, leaf_ttl_s=settings.leaf_ttl_s
        )
        kubernetes = (
            await stack.enter_async_context(KubernetesApi(settings.kubernetes)) if settings.kubernetes else None
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run)
            await keep_operator_token(engine, settings.data_dir)
            await _register_own_node(engine, settings)
            join = KubernetesJoin(settings.cluster, kubernetes) if kubernetes and settings.cluster else None
            api = Api(
                engine,
                authority,
                address=settings.address,
                node=settings.node,
                kubernetes=join,
                epoch=epoch,
                acl=settings.acl,
            )
            api.gate.audit = stack.enter_context(closing(AuditLog(settings.data_dir / AUDIT_FILE, epoch)))
            await keep_initial_tokens(api)
            await write_entries(api, settings.entries)
            nursery.start_soon(expire_tokens, api)
            certificate = ServerCertificate(authority, api.roots, epoch)
            nursery.start_soon(certificate.keep_fresh)
            if kubernetes and settings.publish_roots:
                nursery.start_soon(_publish_roots, kubernetes, settings.publish_roots, api)
            mesh = Listener(mesh_socket, certificate.context)
            server = Server(application(routes(api)), [plain, mesh] if plain else [mesh], settings.limits)
            running = Running(plain.address if plain else "", mesh.address, api, server, dns.address if dns else "")
            if dns is not None:
                rights = rights_of_askers(api.gate)
                await nursery.start(serve_state(settings.dns_settings, engine, rights, make_dns_queries(api)).run, dns)
            async with trio.open_nursery() as serving:
                await serving.start(partial(server.run, stop, on_stop=api.parking.stop))
                task_status.started(running)
            nursery.cancel_scope.cancel()


async def _open_engine(stack: AsyncExitStack, settings: Settings, epoch: Callable[[], float]) -> Catalog:
    make_private_directory(settings.data_dir)
    store = await open_sqlite(settings.data_dir / STORE_FILE)
    stack.push_async_callback(store.close)
    engine = await Catalog.open(store, epoch=epoch)
    check_authority_kept(engine, settings.data_dir)
    return engine


def check_authority_kept(engine: Catalog, data_dir: Path) -> None:
    """Refuse to make a new authority beside the state of an old one: every certificate of the mesh would be void at once.

    Raises:
        AuthorityFileError: the state was used before, and its authority is not there.
    """
    if engine.state.record(OPERATOR_TABLE, OPERATOR_KEY) is not None and not (data_dir / ROOT_FILE).exists():
        raise AuthorityFileError(
            f"{data_dir / ROOT_FILE} is gone, but {STORE_FILE} beside it is in use: restore it from a backup, "
            f"or remove {STORE_FILE} too and let every host join again"
        )


@contextmanager
def one_error() -> Iterator[None]:
    """Raise the first of several errors as itself, so that whoever starts a catalog can tell why it ended; log the others."""
    try:
        yield
    except ExceptionGroup as group:
        leaves = list(_leaves(group))
        for error in leaves[1:]:
            logger.error("and another: %s", error, exc_info=error)  # noqa: TRY400 - not the one being handled
        raise leaves[0] from None


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _closing(stack: AsyncExitStack, listener: Listener) -> Listener:
    stack.callback(listener.socket.close)
    return listener


async def keep_operator_token(engine: Catalog, data_dir: Path) -> None:
    """At the first start, make the operator's token: its text into a file (0600), its hash into the store.

    The file comes first: a crash in between leaves a token that opens nothing, and the next start makes another.
    """
    if engine.state.record(OPERATOR_TABLE, OPERATOR_KEY) is None:
        text, change = make_operator_token(os.urandom(SECRET_BYTES))
        replace_file(data_dir / OPERATOR_FILE, f"{text}\n".encode())
        await engine.submit(change)


async def _register_own_node(engine: Catalog, settings: Settings) -> None:
    shared = engine.state.lease(settings.node) is not None
    own = own_registration(settings.node, settings.address, settings.datacenter, shared=shared, meta=settings.node_meta)
    await engine.submit(own)


def own_registration(
    node: str, address: str, datacenter: str, *, shared: bool = False, meta: dict[str, str] | None = None
) -> Register:
    """The catalog's own node, with the service `consul` that Consul's clients expect on a server's.

    `shared`: an agent holds the node's lease, so its address, meta and health are the agent's to say.
    """
    return Register(
        skip_node_update=shared,
        node=Node(
            node=node,
            address=address,
            datacenter=datacenter,
            tagged_addresses={"lan": address, "wan": address},
            meta=meta or {},
        ),
        services=(ServiceInstance(service="consul", id="consul", port=SERVER_PORT),),
        checks=()
        if shared
        else (
            Check(
                check_id=SERF_HEALTH,
                name="Serf Health Status",
                status=Health.PASSING,
                output="Agent alive and reachable",
            ),
        ),
    )


async def _publish_roots(kubernetes: KubernetesApi, name: str, api: Api) -> None:
    """Keep the cluster's copy of the trust bundle true, for ever. Survives every refusal of the cluster."""
    while True:
        index = api.parking.state.index_of(("roots",))
        pem = "".join(f"{root.pem.strip()}\n" for root in api.roots().roots)
        try:
            await kubernetes.publish_roots(name, pem)
        except PublishError as error:
            logger.warning("trust bundle to ConfigMap %s: %s", name, error)
            await trio.sleep(RETRY_S)
            continue
        with trio.move_on_after(PUBLISH_EVERY_S):
            await api.parking.wait((("roots",),), index, PUBLISH_EVERY_S)
        await trio.sleep(1)
