"""Reading the configuration again while the process runs: at SIGHUP and at `agent/reload`.

A configuration that cannot be used changes nothing. What takes a restart is named, once a reload.
"""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from agents.vm.api.call import CallError
from catalog.server.config.document import ConfigError
from catalog.server.config.overlay import log_level
from catalog.server.config.read import Loaded, load, needs_restart

log = logging.getLogger("linkspan.dev")


class Reloader:
    """Applies what can be applied: `definitions` reads the services and checks again, the level of logging is set here."""

    def __init__(self, path: Path | None, loaded: Loaded, definitions: Callable[[], Awaitable[None]]) -> None:
        self._path = path
        self._loaded = loaded
        self._definitions = definitions
        self._level = logging.getLogger().level

    async def __call__(self) -> None:
        """Reload, or say why not.

        Raises:
            CallError: the files cannot be used; nothing was changed (Consul answers 500).
        """
        if self._path is not None:
            try:
                fresh = await trio.to_thread.run_sync(load, self._path)
            except (ConfigError, OSError) as error:
                raise CallError(500, f"the configuration was not reloaded: {error}") from error
            self._apply(fresh)
        await self._definitions()

    async def at_signal(self) -> None:
        """The same for a signal, which nobody waits for: a refusal is logged."""
        try:
            await self()
        except CallError as error:
            log.error("%s", error)  # noqa: TRY400 - its text is all there is to say

    def _apply(self, fresh: Loaded) -> None:
        level = log_level(fresh.config)
        logging.getLogger().setLevel(self._level if level is None else level.upper())
        if names := needs_restart(self._loaded.config, fresh.config):
            log.warning("these settings take a restart: %s", ", ".join(names))
        if fresh.warning and fresh.ignored != self._loaded.ignored:
            log.warning("%s", fresh.warning)
        self._loaded = fresh
