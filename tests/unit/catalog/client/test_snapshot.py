"""Snapshots to and from files."""

from pathlib import Path
from typing import Any

import trio

from catalog.client.snapshot import Snapshot


class Catalog:
    """What the family asks of its client: one snapshot out, the same back in."""

    dc = None
    token = "t"

    def __init__(self) -> None:
        self.http = self
        self.data = b"\x1f\x8b\x00snapshot"

    async def get(self, callback: Any, path: str, params: Any, headers: Any) -> bytes:
        await trio.lowlevel.checkpoint()
        assert (path, headers) == ("/v1/snapshot", {"X-Consul-Token": "t"})
        return self.data

    async def put(self, callback: Any, path: str, params: Any, headers: Any, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.data = data * 2


async def test_a_snapshot_goes_to_a_file_and_back(tmp_path: Path) -> None:
    """The file is its owner's alone."""
    catalog, path = Catalog(), tmp_path / "snap"
    family = Snapshot(catalog)
    await family.save(path)
    assert path.read_bytes() == b"\x1f\x8b\x00snapshot"
    assert path.stat().st_mode & 0o777 == 0o600
    await family.restore(path)
    assert catalog.data == path.read_bytes() * 2
