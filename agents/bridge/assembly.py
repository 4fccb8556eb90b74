"""Puts a bridge together: two sides, one or two mirrors between them, pages and signals around them. It decides nothing."""

import logging
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from agents.bridge.mirror import Mirror, open_mirror
from agents.bridge.report import lines_of, metrics_text, why_not_ready
from agents.bridge.settings import FAILURES, Settings, open_side
from agents.bridge.side import Side, SideError
from mesh.sync.link.backoff import Backoff
from mesh.telemetry.admin import Page, serve_admin
from mesh.telemetry.metrics import CONTENT_TYPE
from mesh.telemetry.notify import Notifier

_log = logging.getLogger("linkspan.bridge")


async def run_bridge(settings: Settings, say: Callable[[str], object]) -> bool:
    """Run a bridge until SIGTERM, or for one pass. Whether everything was written.

    Raises:
        SettingsError: a CA file cannot be read.
        SideError: one pass was asked for, and a side does not answer.
        SourceReplacedError: a source is not what it was.
        SameCatalogError: both sides are one.
        OSError: the admin address cannot be listened on.
    """
    source, source_client = open_side("from", settings.source, settings.wanted.watches)
    async with source_client:
        target, target_client = open_side("to", settings.target, settings.wanted.watches)
        async with target_client:
            with _one_failure():
                if settings.once:
                    return await _once(settings, (source, target), say)
                await _follow(settings, (source, target), say)
    return True


async def _mirrors(settings: Settings, sides: tuple[Side, Side]) -> list[Mirror]:
    ways = [sides, sides[::-1]] if settings.both else [sides]
    return [await open_mirror(way, settings.name, settings.wanted, random.random) for way in ways]


async def _once(settings: Settings, sides: tuple[Side, Side], say: Callable[[str], object]) -> bool:
    done = True
    for mirror in await _mirrors(settings, sides):
        plan, intentions = await mirror.once()
        for line in lines_of(plan, intentions):
            say(f"{mirror.target.name}: {line}")
        if not settings.dry_run:
            done = await mirror.apply(plan, intentions) and done
    return done


async def _follow(settings: Settings, sides: tuple[Side, Side], say: Callable[[str], object]) -> None:
    notifier, mirrors = Notifier(os.environ), list[Mirror]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_stopped, notifier, nursery.cancel_scope)
        nursery.start_soon(notifier.watch)
        if settings.admin is not None:
            port = await nursery.start(serve_admin, settings.admin.host, settings.admin.port, _pages(settings, mirrors))
            say(f"linkspan bridge: pages on http://{settings.admin.host}:{port}")
        notifier.status("waiting for both catalogs")
        mirrors += await _patiently(settings, sides)
        for mirror in mirrors:
            nursery.start_soon(mirror.run)
        for mirror in mirrors:
            await mirror.ready.wait()
        notifier.ready("mirroring")
        say(f"linkspan bridge: {settings.name} mirrors")


async def _patiently(settings: Settings, sides: tuple[Side, Side]) -> list[Mirror]:
    """The mirrors, as soon as both sides answer."""
    backoff = Backoff(random.random)
    while True:
        try:
            return await _mirrors(settings, sides)
        except SideError as error:
            _log.warning("%s", error)
            await trio.sleep(backoff.next_s())


async def _until_stopped(notifier: Notifier, scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            notifier.stopping()
            scope.cancel()
            return


def _pages(settings: Settings, mirrors: list[Mirror]) -> dict[str, Callable[[], Page]]:
    def ready() -> Page:
        missing = why_not_ready(mirrors)
        return Page(f"not ready: {missing}\n".encode(), 503) if missing else Page(b"ready\n")

    return {
        "/ready": ready,
        "/metrics": lambda: Page(metrics_text(settings.name, mirrors).encode(), content_type=CONTENT_TYPE),
    }


@contextmanager
def _one_failure() -> Iterator[None]:
    """Raise the first of a group of failures that are meant for the operator; any other group goes on as it is."""
    try:
        yield
    except BaseExceptionGroup as group:
        failures, rest = group.split((*FAILURES, OSError))
        if failures is None or rest is not None:
            raise
        first: BaseException = failures
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
