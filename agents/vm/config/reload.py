"""Reading configuration and definitions again while the process runs: at SIGHUP and at `agent/reload`."""

import logging
from collections.abc import Awaitable, Callable

from agents.vm.api.call import CallError
from catalog.server.config.document import ConfigError
from catalog.server.config.reload import Watched

log = logging.getLogger("linkspan.dev")


class Reloader:
    """First the settings, then, if they can be used, the services and checks (`definitions`)."""

    def __init__(self, settings: Watched, definitions: Callable[[], Awaitable[None]]) -> None:
        self._settings = settings
        self._definitions = definitions

    async def __call__(self) -> None:
        """Reload, or say why not.

        Raises:
            CallError: the files cannot be used; nothing was changed (Consul answers 500).
        """
        try:
            await self._settings.reload()
        except (ConfigError, OSError) as error:
            raise CallError(500, f"the configuration was not reloaded: {error}") from error
        await self._definitions()

    async def at_signal(self) -> None:
        """The same for a signal, which nobody waits for: a refusal is logged."""
        try:
            await self()
        except CallError as error:
            log.error("%s", error)  # noqa: TRY400 - its text is all there is to say
