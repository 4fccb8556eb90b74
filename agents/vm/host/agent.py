"""`linkspan agent`: a joined host's agent, composed: identity, lease, core, relay, both listeners, systemd, signals."""

import logging
import os
import random
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec
import trio

from agents.vm.api.app import forwarding_app
from agents.vm.api.call import App
from agents.vm.api.rights import TRUSTING
from agents.vm.dns.made import make_names
from agents.vm.host.core import Core, CoreSettings
from agents.vm.host.enrolment import IDENTITY_FOLDER, Enrolment, EnrolmentError, load_enrolment
from agents.vm.host.lease import Lease
from agents.vm.host.serve import listen_loopback, listen_names, listen_unix, only_for, serve
from agents.vm.host.upstream import CatalogLink, ForwardLink
from agents.vm.local.registrar import CatalogRegistrar, RegistrarError
from agents.vm.relay.relay import Relay
from agents.vm.relay.socket_app import ProxyEndpoints, socket_app
from catalog.dns.answer.settings import DnsSettings
from catalog.dns.serve.listen import DnsListener
from mesh.identity.context import UnusableIdentityError
from mesh.identity.keep import KeptLeafError, LeafStore
from mesh.identity.leaf import Leaf
from mesh.identity.live import LiveIdentity
from mesh.model.snapshot import Roots
from mesh.sync.cache import ResourceCache
from mesh.sync.client import SyncClient
from mesh.sync.follow import ROOTS, UnusableResourceError, decode_resource
from mesh.sync.leaf import LeafRenewal
from mesh.sync.link.dial import CatalogDialler
from mesh.sync.link.errors import SyncError
from mesh.telemetry.notify import Notifier
from mesh.wire.http1.host import host_rule

log = logging.getLogger("linkspan.agent")

STATUS_EVERY_S = 5.0
LEAVE_WITHIN_S = 5.0
OWN_CONNECTIONS = 16
FORWARDED_CONNECTIONS = 512
NAMING_CONNECTIONS = 16
LEASE_CONNECTIONS = 2
"""Of its own: a burst of calls by proxies must not keep the lease waiting until it lapses."""


CATALOGS_OWN = frozenset({"consul"})
"""What the catalog registers on its own node, which is ours too if both run on one machine."""

LAPSED = "this host's certificate has lapsed: run 'linkspan join' with a new token"


class LapsedError(SyncError):
    """The node's certificate ran out while the catalog was away, so that it cannot be renewed; the operator must act."""


class AgentSettings(msgspec.Struct, frozen=True):
    """How this agent runs. `socket_group` is the group whose members may reach the proxies' socket; `beside` are keys in service files that others read.

    `allowed_hosts` are names that the API answers to beside loopback's own. `dns` empty: no DNS; of `dns_settings` the
    datacenter is the enrolment's.
    """

    state_dir: Path
    socket: Path
    config_dir: Path | None = None
    http: str = "127.0.0.1:8500"
    socket_group: str = ""
    enable_script_checks: bool = False
    leave_on_terminate: bool = False
    beside: frozenset[str] = frozenset()
    allowed_hosts: tuple[str, ...] = ()
    dns: str = ""
    dns_settings: DnsSettings = DnsSettings()


class Doors(NamedTuple):
    """What is served where."""

    socket_app: App
    unix: socket.socket
    api: App
    tcp: socket.socket
    names: DnsListener | None


class Agent:
    """One agent. `run` runs it until a signal or `agent/leave`."""

    def __init__(self, settings: AgentSettings, enrolment: Enrolment, identity: LiveIdentity) -> None:
        self._settings = settings
        self._enrolment = enrolment
        self._identity = identity
        self._store = LeafStore(settings.state_dir / IDENTITY_FOLDER)
        self._stopping = trio.Event()
        self._leaving = settings.leave_on_terminate
        self._notifier = Notifier(os.environ)
        self._client = self._connect(OWN_CONNECTIONS)
        self._forwarding = self._connect(FORWARDED_CONNECTIONS)
        self._leasing = self._connect(LEASE_CONNECTIONS)
        self._naming = self._connect(NAMING_CONNECTIONS)
        self._core = Core(
            enrolment.facts,
            CatalogRegistrar(CatalogLink(self._client)),
            CoreSettings(
                config_dir=settings.config_dir,
                beside=settings.beside,
                keep_in=settings.state_dir / "registrations.json",
                file_scripts=settings.enable_script_checks,
                foreign=CATALOGS_OWN,
                upstream=ForwardLink(self._forwarding),
            ),
            self.leave,
        )
        self._lease = Lease(self._leasing, enrolment.node, self._core.entropy.request_full)
        owner = f"node:{enrolment.node}@{identity.spiffe_id.trust_domain}"
        cache = ResourceCache(settings.state_dir / "cache" / "resources.json", owner)
        self._relay = Relay(self._client, cache, random.random, self._on_news)

    async def leave(self) -> None:
        """Take the node out of the catalog and stop."""
        self._leaving = True
        self._stopping.set()

    async def run(self) -> None:
        """Run until told to stop."""
        settings, host = self._settings, self._core.host
        with ExitStack() as stack:
            tcp = stack.enter_context(listen_loopback(settings.http))
            names = stack.enter_context(listen_names(settings.dns)) if settings.dns else None
            unix = stack.enter_context(listen_unix(settings.socket, settings.socket_group))
            await self._relay.restore()
            self._on_news({ROOTS})
            proxies = ProxyEndpoints(host, self._relay, self._client, self._identity.spiffe_id.trust_domain)
            api = only_for(host_rule(settings.allowed_hosts), forwarding_app(host, ForwardLink(self._forwarding)))
            try:
                trusted = msgspec.structs.replace(
                    host, key_rights=TRUSTING
                )  # the socket's file rights are the access rule
                await self._run_all(Doors(socket_app(trusted, proxies), unix, api, tcp, names))
            finally:
                settings.socket.unlink(missing_ok=True)
                with trio.CancelScope(shield=True):
                    await self._client.aclose()
                    await self._forwarding.aclose()
                    await self._leasing.aclose()
                    await self._naming.aclose()

    async def _run_all(self, doors: Doors) -> None:
        settings = self._settings
        async with trio.open_nursery() as nursery:
            await nursery.start(self._watch_signals)
            await nursery.start(self._core.run)
            nursery.start_soon(self._hold_lease)
            nursery.start_soon(self._relay.run)
            nursery.start_soon(LeafRenewal(self._client, self._identity, self._store, self.rejoined).run)
            nursery.start_soon(self._notifier.watch)
            nursery.start_soon(self._tell_status)
            if doors.names is not None:
                names = msgspec.structs.replace(settings.dns_settings, datacenter=self._enrolment.datacenter)
                await nursery.start(
                    make_names(names, ForwardLink(self._naming), self._core.host.tokens).run, doors.names
                )
                log.info("DNS for %s on %s", names.domain, doors.names.address)
            async with trio.open_nursery() as serving:
                await serving.start(serve, doors.socket_app, doors.unix, self._stopping.wait)
                await serving.start(serve, doors.api, doors.tcp, self._stopping.wait)
                name = self._enrolment.node
                log.info("agent of node %s: API on %s, proxies on %s", name, settings.http, settings.socket)
                self._notifier.ready(self.status)
                await self._stopping.wait()
                self._notifier.stopping()
            if self._leaving:
                await self._leave_catalog()
            nursery.cancel_scope.cancel()

    async def rejoined(self) -> Leaf:
        """The certificate that another `linkspan join` put on disk, for when ours has lapsed.

        Raises:
            LapsedError: there is none yet that could be used.
        """
        try:
            leaf = await trio.to_thread.run_sync(self._store.load)
        except KeptLeafError as error:
            raise LapsedError(f"{LAPSED} ({error})") from error
        if leaf is None or leaf.not_after_s <= time.time():
            raise LapsedError(LAPSED)
        return leaf

    @property
    def status(self) -> str:
        """One line on how this agent is."""
        node, state = self._enrolment, self._core.state
        lapsed = LAPSED if self._identity.leaf.not_after_s <= time.time() else ""
        trouble = lapsed or self._lease.problem or self._core.entropy.problem or self._relay.problem
        parts = [
            f"node {node.node} in {node.network}: {len(state.services)} services",
            f"catalog away: {trouble}" if trouble else "catalog answers",
        ]
        files = self._core.files
        if files is not None and files.problems:
            parts.append(f"{len(files.problems)} service files with problems")
        if self._core.entropy.refused:
            parts.append(f"{len(self._core.entropy.refused)} registrations refused")
        return ", ".join(parts)

    def _connect(self, connections: int) -> SyncClient:
        diallers = [CatalogDialler(address, self._identity) for address in self._enrolment.server_addresses]
        return SyncClient(diallers, max_connections=connections)

    async def _hold_lease(self) -> None:
        """The lease is of a registered node: first registered, then held."""
        await self._core.entropy.wait_first()
        await self._lease.run()

    def _on_news(self, names: set[str]) -> None:
        """Trust new roots at once; those that cannot be used are said, and the last good ones stay."""
        held = self._relay.held(ROOTS)
        if ROOTS not in names or held is None:
            return
        try:
            roots = decode_resource(held)
            assert isinstance(roots, Roots)
            self._identity.replace(roots=roots)
        except (UnusableResourceError, UnusableIdentityError) as error:
            log.warning("the new trust bundle is not used: %s", error)

    async def _watch_signals(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number != signal.SIGHUP:
                    self._stopping.set()
                    return
                self._notifier.status("reading service files")
                await self._core.reload()
                self._notifier.ready(self.status)

    async def _tell_status(self) -> None:
        while True:
            await trio.sleep(STATUS_EVERY_S)
            self._notifier.status(self.status)

    async def _leave_catalog(self) -> None:
        try:
            with trio.fail_after(LEAVE_WITHIN_S):
                await self._core.entropy.leave()
        except (RegistrarError, trio.TooSlowError) as error:
            log.warning("the node could not be taken out of the catalog, its lease will lapse: %s", error)


def load_agent(settings: AgentSettings) -> Agent:
    """The agent of a host that has joined. Blocks on the disk.

    Raises:
        EnrolmentError: it has not, or what is on disk cannot be used.
    """
    enrolment = load_enrolment(settings.state_dir)
    if enrolment is None:
        raise EnrolmentError(
            f"this host has not joined ({settings.state_dir} holds no agent.json): run 'linkspan join'"
        )
    try:
        leaf = LeafStore(settings.state_dir / IDENTITY_FOLDER).load()
        if leaf is None:
            raise EnrolmentError("this host has no certificate: run 'linkspan join' again with --force")
        identity = LiveIdentity(leaf, enrolment.roots)
    except (KeptLeafError, UnusableIdentityError) as error:
        raise EnrolmentError(f"{error}: run 'linkspan join' again with --force") from error
    return Agent(settings, enrolment, identity)
