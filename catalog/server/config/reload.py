"""Reading the configuration again while the process runs. What can be applied is; what takes a restart is named.

A configuration that cannot be used changes nothing.
"""

import logging
from pathlib import Path

import trio

from catalog.server.config.document import ConfigError
from catalog.server.config.overlay import log_level
from catalog.server.config.read import Loaded, load, needs_restart


class Watched:
    """The configuration that a process was started with, or has read since. `log` is that process's own."""

    def __init__(self, path: Path | None, loaded: Loaded, log: logging.Logger) -> None:
        self._path = path
        self._loaded = loaded
        self._log = log
        self._level = logging.getLogger().level

    async def reload(self) -> None:
        """Read it again and apply the level of logging.

        Raises:
            ConfigError: it cannot be used; nothing was changed.
            OSError: it cannot be read; nothing was changed.
        """
        if self._path is None:
            return
        fresh = await trio.to_thread.run_sync(load, self._path)
        level = log_level(fresh.config)
        logging.getLogger().setLevel(self._level if level is None else level.upper())
        if names := needs_restart(self._loaded.config, fresh.config):
            self._log.warning("these settings take a restart: %s", ", ".join(names))
        if fresh.warning and fresh.ignored != self._loaded.ignored:
            self._log.warning("%s", fresh.warning)
        self._loaded = fresh

    async def reload_at_signal(self) -> None:
        """The same for a signal, which nobody waits for: a refusal is logged."""
        try:
            await self.reload()
        except (ConfigError, OSError) as error:
            self._log.error("the configuration was not reloaded: %s", error)
