"""Service files into the local state: what comes, goes and is refused."""

import os
from pathlib import Path

from agents.vm.definition.values import ServiceDefinition
from agents.vm.host.files import ServiceFiles
from agents.vm.local.entries import Origin
from agents.vm.local.state import LocalState


def put(path: Path, text: str, tick: int) -> None:
    path.write_text(text)
    os.utime(path, ns=(tick, tick))


async def test_files_are_registered_and_taken_away(tmp_path: Path) -> None:
    """What a file no longer defines goes; what the API registered stays."""
    state = LocalState()
    state.put_service(ServiceDefinition("api", "api"), Origin.API, 0)
    files = ServiceFiles(tmp_path, state, "vm1")
    put(tmp_path / "web.yaml", "{service: {name: web, check: {ttl: 1s}}, check: {name: n, ttl: 9s}}", 1)
    await files.reload(force=False)
    assert sorted(state.services) == ["api", "web"]
    assert sorted(state.checks) == ["n", "service:web"]
    put(tmp_path / "web.yaml", "{service: {name: web, port: 2}}", 2)
    await files.reload(force=False)
    assert state.services["web"].definition.port == 2
    assert not state.checks
    (tmp_path / "web.yaml").unlink()
    await files.reload(force=False)
    assert sorted(state.services) == ["api"]


async def test_problems_are_kept_until_mended(tmp_path: Path) -> None:
    """A bad file, and a check of a service that does not exist."""
    state = LocalState()
    files = ServiceFiles(tmp_path, state, "vm1")
    put(tmp_path / "a.yaml", "service: {nam: web}", 1)
    put(tmp_path / "b.yaml", "check: {name: c, ttl: 1s, service_id: nope}", 1)
    await files.reload()
    assert sorted(files.problems) == [str(tmp_path / "a.yaml"), "check c"]
    put(tmp_path / "a.yaml", "service: {name: web}", 2)
    (tmp_path / "b.yaml").unlink()
    await files.reload()
    assert not files.problems
    assert list(state.services) == ["web"]
