"""A whole `linkspan dev` in this process, on free ports. It must never be imported by anything but tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from agents.vm.dev import DevSettings, run_dev
from catalog.server.config.read import load


class Dev:
    """Where it listens. `over` is set when it has ended."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.over = trio.Event()

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


@asynccontextmanager
async def open_dev(config_dir: Path | None = None, **settings: Any) -> AsyncIterator[Dev]:
    """A dev process's insides, ended at the end; `config_dir` holds Consul's configuration."""
    stop = trio.Event()
    if config_dir is not None:
        settings |= {"config_dir": config_dir, "loaded": load(config_dir)}
    chosen = DevSettings(0, 0, "n1", enable_script_checks=True, **settings)
    async with trio.open_nursery() as nursery:
        running = await nursery.start(run_dev, chosen, stop)
        dev = Dev(running.http)
        nursery.start_soon(_tell_end, dev)
        yield dev
        stop.set()
        nursery.cancel_scope.cancel()


async def _tell_end(dev: Dev) -> None:
    """Watch the port: a dev that `agent/leave` ended listens no more."""
    while True:
        try:
            async with await trio.open_tcp_stream("127.0.0.1", dev.port):
                await trio.sleep(0.05)
        except OSError:
            dev.over.set()
            return
