"""Service files into the local state: at the start, every two seconds, and when told to (SIGHUP, `agent/reload`)."""

import logging
from pathlib import Path

import trio

from agents.vm.definition.folder import Folder, FolderChange, FolderView, compare
from agents.vm.local.entries import LocalError, Origin
from agents.vm.local.state import LocalState

log = logging.getLogger("linkspan.agent.files")

POLL_EVERY_S = 2.0


class ServiceFiles:
    """Keeps what the files of `folder` define in `state`. `problems` maps a file to what is wrong with it."""

    def __init__(self, folder: Path, state: LocalState, node: str, beside: frozenset[str] = frozenset()) -> None:
        self._folder = Folder(folder, node, beside)
        self._state = state
        self._view = FolderView()
        self._lock = trio.Lock()
        self.problems: dict[str, str] = {}

    async def reload(self, *, force: bool = True) -> None:
        """Read what changed (or everything) and register it; a bad file keeps its last good content."""
        async with self._lock:
            view = await trio.to_thread.run_sync(lambda: self._folder.poll(force=force))
            if view is None:
                return
            refused = self._apply(compare(self._view, view))
            self._view = view
            self._say({**view.problems, **refused})

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await trio.sleep(POLL_EVERY_S)
            await self.reload(force=False)

    def _apply(self, change: FolderChange) -> dict[str, str]:
        now_s, refused = trio.current_time(), {}
        for service_id in change.gone_services:
            entry = self._state.services.get(service_id)
            if entry is not None and entry.origin is Origin.FILE:
                self._state.drop_service(service_id, now_s)
        for check_id in change.gone_checks:
            check = self._state.checks.get(check_id)
            if check is not None and check.origin is Origin.FILE:
                self._state.drop_check(check_id, now_s)
        for service in change.put_services:
            try:
                self._state.put_service(service, Origin.FILE, now_s, replace_checks=True)
            except LocalError as error:
                refused[f"service {service.id}"] = str(error)
        for definition in change.put_checks:
            try:
                self._state.put_check(definition, Origin.FILE, now_s)
            except LocalError as error:
                refused[f"check {definition.check_id}"] = str(error)
        return refused

    def _say(self, problems: dict[str, str]) -> None:
        for where, text in problems.items():
            if self.problems.get(where) != text:
                log.warning("%s: %s", where, text)
        for where in self.problems.keys() - problems.keys():
            log.info("%s: mended", where)
        self.problems = problems
