"""The part of an agent that needs no catalog of its own: state, checks, files, anti-entropy, and the API's view of them.

`linkspan agent` and `linkspan dev` are both this core with a different way to the catalog.
"""

import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import trio

from agents.vm.api.forward import Upstream
from agents.vm.api.host import Filter, Host, News
from agents.vm.api.rights import REFUSING, TRUSTING, Forwarded, Rights
from agents.vm.checks.probe import EdgeProber
from agents.vm.checks.remote import RemoteWatch
from agents.vm.checks.runner import CheckRunner
from agents.vm.host.files import ServiceFiles
from agents.vm.local.entropy import AntiEntropy
from agents.vm.local.forms import NodeFacts
from agents.vm.local.keep import Kept, RegistrationFile, recall_states, restore
from agents.vm.local.registrar import CatalogRegistrar, Registrar
from agents.vm.local.state import LocalState


class CoreSettings(msgspec.Struct, frozen=True):
    """`config_dir` None: no service files. `keep_in` None: registrations do not outlive the process.

    `beside` are keys in the service files that others read. `foreign` are IDs of services that others keep on this node in the catalog: they are left alone.

    `upstream` is the way to the catalog for callers' questions. `rights` None trusts whoever reaches the API; `key_rights`
    None gives private keys only to whom the catalog says may have them.
    """

    config_dir: Path | None = None
    keep_in: Path | None = None
    file_scripts: bool = False
    api_scripts: bool = False
    is_server: bool = False
    filter_items: Filter | None = None
    foreign: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    upstream: Upstream | None = None
    rights: Rights | None = None
    key_rights: Rights | None = None


class Core:
    """The parts, wired; `run` runs them."""

    def __init__(
        self, node: NodeFacts, registrar: Registrar, settings: CoreSettings, leave: Callable[[], Awaitable[None]]
    ) -> None:
        self.state = LocalState()
        folder = settings.config_dir
        self.files = ServiceFiles(folder, self.state, node.name, settings.beside) if folder else None
        self.entropy = AntiEntropy(self.state, node, registrar, spread, foreign=settings.foreign)
        self._kept = RegistrationFile(settings.keep_in, self.state) if settings.keep_in else None
        prober = EdgeProber(enable_scripts=settings.file_scripts or settings.api_scripts)
        upstream = settings.upstream
        self._runner = CheckRunner(self.state, prober, spread, RemoteWatch(upstream) if upstream else None)
        self.host = Host(
            state=self.state,
            node=node,
            teller=self.entropy,
            news=News(self.state),
            reload=self.reload,
            leave=leave,
            is_server=settings.is_server,
            api_scripts=settings.api_scripts,
            filter_items=settings.filter_items,
            upstream=upstream,
            own_call=registrar.call if isinstance(registrar, CatalogRegistrar) else None,
            rights=settings.rights or TRUSTING,
            key_rights=settings.key_rights or settings.rights or (Forwarded(upstream) if upstream else REFUSING),
        )

    async def reload(self) -> None:
        """Read the service files again."""
        if self.files is not None:
            await self.files.reload()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Restore, read the files, then run everything until cancelled."""
        kept = await trio.to_thread.run_sync(self._kept.load) if self._kept is not None else Kept()
        restore(self.state, kept, trio.current_time())
        await self.reload()
        recall_states(self.state, kept, trio.current_time())
        async with trio.open_nursery() as nursery:
            if self._kept is not None:
                nursery.start_soon(self._kept.run)
            if self.files is not None:
                nursery.start_soon(self.files.run)
            nursery.start_soon(self._runner.run)
            nursery.start_soon(self.entropy.run)
            task_status.started()


def spread(limit_s: float) -> float:
    """Something random between 0 and `limit_s`, so that hosts and checks do not march in step."""
    return random.uniform(0, limit_s)  # noqa: S311 - spreads load; nobody gains by guessing it
