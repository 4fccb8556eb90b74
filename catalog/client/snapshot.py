"""Snapshots to and from files: python-consul2's two methods for it would write a coroutine instead of its result."""

import os
from pathlib import Path

import trio
from consul import base


class Snapshot(base.Consul.Snapshot):  # type: ignore[misc]  # python-consul2 has no types
    """The family `c.snapshot`; `save` and `restore` are awaited like all other methods."""

    async def save(self, file_path: str | os.PathLike[str]) -> None:
        """Write a snapshot to a file that nobody else may read: it holds everything, tokens' hashes among it.

        Raises:
            consul.base.ConsulException: there is none to be had.
            OSError: the file cannot be written.
        """
        data = await self.get()
        await trio.to_thread.run_sync(_write_private, Path(file_path), data)

    async def restore(self, file_path: str | os.PathLike[str]) -> None:
        """Put back what a file holds.

        Raises:
            consul.base.ConsulException: the catalog refuses it.
            OSError: the file cannot be read.
        """
        data = await trio.to_thread.run_sync(Path(file_path).read_bytes)
        await self.put(data)


def _write_private(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
