"""A data-plane process around what it serves: logs, admin pages, metrics of its own state, readiness, signals.

The proxy's and the gateway's commands compose with it; it decides nothing about traffic.
"""

import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import click
import msgspec
import trio

from mesh.identity.live import LiveIdentity
from mesh.model.snapshot import Local, Snapshot
from mesh.sync.follower import Follower
from mesh.sync.holder import SnapshotHolder
from mesh.sync.options import Hosting
from mesh.telemetry.access_log import AccessLog
from mesh.telemetry.admin import Page, serve_admin
from mesh.telemetry.metrics import CONTENT_TYPE, Metrics
from mesh.telemetry.notify import Notifier
from mesh.telemetry.shell import LogFile, set_up_log, wait_for_stop

Drain = Callable[[], Awaitable[None]]

_log = logging.getLogger("linkspan")


class Process:
    """The parts that every data-plane process has. `main` gets it with a nursery, tells it what it has reached, and returns."""

    def __init__(self, hosting: Hosting, local: Local, environment: Mapping[str, str]) -> None:
        self._hosting = hosting
        self._log_file = LogFile(hosting.access_log)
        self._drain: Drain | None = None
        self._before_scrape: Callable[[], None] = lambda: None
        self.metrics = Metrics()
        self.access_log = AccessLog(self._log_file.fd, self.metrics.log_dropped)
        self.notifier = Notifier(environment)
        self.holder = SnapshotHolder(Snapshot(local))
        self.follower: Follower | None = None
        self.identity: LiveIdentity | None = None

    async def run(self, main: Callable[["Process", trio.Nursery], Awaitable[None]]) -> None:
        """Run `main` and everything around it until a signal; returns when drained.

        Raises:
            OSError: an address cannot be listened on.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_stopped, nursery.cancel_scope)
                nursery.start_soon(self.access_log.run)
                nursery.start_soon(self.notifier.watch)
                await self._serve_pages(nursery)
                self.notifier.status("waiting for the catalog")
                await main(self, nursery)
                nursery.start_soon(self._tell_when_ready)
        finally:
            self._log_file.close()

    def follows(self, follower: Follower, identity: LiveIdentity | None) -> None:
        """The process follows the catalog; `identity` None: it needs none."""
        self.follower, self.identity = follower, identity
        self.metrics.catalog_index.compute = lambda: float(follower.index)
        self.metrics.config_age.compute = follower.age_s
        if identity is not None:
            self.metrics.certificate_expiry.compute = lambda: identity.leaf.not_after_s

    def serves(self, drain: Drain, before_scrape: Callable[[], None] | None = None) -> None:
        """The process listens; `drain` ends that, `before_scrape` brings its counters up to now."""
        self._drain = drain
        if before_scrape is not None:
            self._before_scrape = before_scrape

    def why_not_ready(self) -> str:
        """The empty text when ready, else what is missing, in one line."""
        snapshot = self.holder.current
        if self._drain is None:
            return "not listening yet"
        if self.follower is None or snapshot.roots is None or snapshot.mesh is None:
            return "nothing from the catalog yet"
        missing = self.follower.missing
        if missing:
            return f"not everything from the catalog yet: {len(missing)} missing, {missing[0]} first"
        if self.identity is not None and self.identity.leaf.not_after_s <= time.time():
            return "the certificate has expired"
        return ""

    async def _until_stopped(self, scope: trio.CancelScope) -> None:
        await wait_for_stop(self.notifier, self._log_file, self._drain_if_serving)
        scope.cancel()

    async def _drain_if_serving(self) -> None:
        if self._drain is not None:
            await self._drain()

    async def _serve_pages(self, nursery: trio.Nursery) -> None:
        open_pages = {"/ready": self._ready_page, "/metrics": self._metrics_page}
        for address, pages in (
            (self._hosting.admin, {**open_pages, "/snapshot": self._snapshot_page}),
            (self._hosting.metrics, open_pages),
        ):
            if address is None:
                continue
            try:
                await nursery.start(serve_admin, address.host, address.port, pages, self._hosting.hosts)
            except OSError as error:
                raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from error

    async def _tell_when_ready(self) -> None:
        version = 0
        while self.why_not_ready():
            version = self.holder.version
            with trio.move_on_after(1):
                await self.holder.wait_newer(version)
        _log.info("ready")
        self.notifier.ready("serving")

    def _ready_page(self) -> Page:
        missing = self.why_not_ready()
        return Page(f"not ready: {missing}\n".encode(), 503) if missing else Page(b"ready\n")

    def _metrics_page(self) -> Page:
        self._before_scrape()
        return Page(self.metrics.render(), content_type=CONTENT_TYPE)

    def _snapshot_page(self) -> Page:
        return Page(
            msgspec.json.encode(describe(self.holder.current, self.follower, self.identity)),
            content_type="application/json",
        )


def describe(snapshot: Snapshot, follower: Follower | None, identity: LiveIdentity | None) -> dict[str, Any]:
    """What a process decides from, for its operator: everything but keys."""
    fields = {name: getattr(snapshot, name) for name in snapshot.__struct_fields__}
    plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in fields.items()}
    leaf = identity.leaf if identity is not None else None
    return {
        "index": follower.index if follower is not None else 0,
        "age_s": follower.age_s() if follower is not None else None,
        "identity": {"uri": leaf.uri, "serial": leaf.serial, "not_after_s": leaf.not_after_s}
        if leaf is not None
        else None,
        "snapshot": plain,
    }


def run_process(hosting: Hosting, local: Local, main: Callable[[Process, trio.Nursery], Awaitable[None]]) -> None:
    """Run a process to its end, for a command.

    Raises:
        click.ClickException: it could not start; one line that says why.
    """
    set_up_log(os.environ)
    text = ""
    try:
        process = Process(hosting, local, os.environ)
        trio.run(process.run, main)
    except* OSError as group:
        text = _first_text(group)
    if text:  # raised here, for Python before 3.11.4 wraps what is raised in an `except*`
        raise click.ClickException(text)


def _first_text(group: BaseExceptionGroup[OSError]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, OSError)
    return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
