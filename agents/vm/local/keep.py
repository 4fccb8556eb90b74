"""Registrations made over the API, and what all checks showed, kept on disk over a restart of the agent (0600, replaced whole).

Definitions from files are not kept: the files are. States are, so that a restart does not take a host out of service until
its checks have run. A file that is damaged is said and ignored: programs register again.
"""

import logging
from pathlib import Path

import msgspec
import trio

from agents.vm.definition.values import AliasProbe, CheckDefinition, MaintenanceProbe, ServiceDefinition
from agents.vm.local.entries import Change, LocalError, Origin
from agents.vm.local.state import LocalState
from mesh.identity.keep import replace_file
from mesh.model.endpoint import Health

log = logging.getLogger("linkspan.agent.state")

SAVE_PAUSE_S = 1.0
MAX_BYTES = 64 * 1024 * 1024


class Kept(msgspec.Struct, frozen=True):
    """What is kept. `states` are the last states of checks, also of those from files, with their outputs."""

    services: tuple[ServiceDefinition, ...] = ()
    checks: tuple[CheckDefinition, ...] = ()
    states: dict[str, tuple[Health, str]] = {}


def kept_of(state: LocalState) -> Kept:
    """What of the state is to be kept. Pure."""
    services = tuple(
        entry.definition for entry in state.services.values() if entry.origin is Origin.API and not entry.parent
    )
    own = {check.check_id for service in services for check in service.checks}
    parents = {key: entry.parent for key, entry in state.services.items()}
    checks = tuple(
        entry.definition
        for key, entry in state.checks.items()
        if entry.origin is Origin.API and key not in own and not parents.get(entry.definition.service_id)
    )
    states = {
        key: (entry.status, entry.output)
        for key, entry in state.checks.items()
        if not isinstance(entry.definition.probe, AliasProbe | MaintenanceProbe)
    }
    return Kept(services, checks, states)


def restore(state: LocalState, kept: Kept, now_s: float) -> None:
    """Put back what was kept; a check that does not fit any more is said and left out."""
    for service in kept.services:
        if service.id not in state.services:
            state.put_service(service, Origin.API, now_s)
    for check in kept.checks:
        try:
            if check.check_id not in state.checks:
                state.put_check(check, Origin.API, now_s)
        except LocalError as error:
            log.warning("the kept check %r is left out: %s", check.check_id, error)


def recall_states(state: LocalState, kept: Kept, now_s: float) -> None:
    """Show the kept states of the checks that are there again; to be called when the files were read."""
    for check_id, (status, output) in kept.states.items():
        state.recall(check_id, status, output, now_s)


class RegistrationFile:
    """The file, written a second after a change at the latest. `load` and `save` block on the disk."""

    def __init__(self, path: Path, state: LocalState) -> None:
        self._path = path
        self._state = state
        self._changed = trio.Event()
        state.subscribe(self._on_change)

    def load(self) -> Kept:
        """What is kept; nothing if there is no file or it is damaged."""
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_BYTES), type=Kept)
        except FileNotFoundError:
            return Kept()
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("kept registrations are ignored, %s cannot be used: %s", self._path, error)
            return Kept()

    def save(self, kept: Kept) -> None:
        """Replace the file; a disk that fails is said."""
        try:
            replace_file(self._path, msgspec.json.encode(kept))
        except OSError as error:
            log.warning("registrations are not kept in %s: %s", self._path, error.strerror)

    async def run(self) -> None:
        """Save after changes until cancelled, and once more then."""
        try:
            while True:
                await self._changed.wait()
                self._changed = trio.Event()
                await trio.to_thread.run_sync(self.save, kept_of(self._state))
                await trio.sleep(SAVE_PAUSE_S)
        finally:
            if self._changed.is_set():
                self.save(kept_of(self._state))

    def _on_change(self, change: Change) -> None:
        if not change.output_only:
            self._changed.set()
