"""The os_service probe: a systemd unit's state, asked through `systemctl`."""

import subprocess

import trio

from agents.vm.checks.result import Result
from agents.vm.definition.values import OsServiceProbe
from mesh.model.endpoint import Health

_ON_THE_WAY = {"activating", "deactivating", "reloading", "refreshing"}


async def unit_state(probe: OsServiceProbe, systemctl: str) -> Result:
    """What `systemctl is-active` says: active passes, on its way warns, the rest is critical."""
    command = [systemctl, "is-active", "--", probe.unit]
    try:
        done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.DEVNULL, check=False)
    except OSError as error:
        return Result(Health.CRITICAL, f"systemd cannot be asked: {error.strerror}")
    state = done.stdout.decode("utf-8", "replace").strip()[:80] or "unknown"
    if state == "active":
        return Result(Health.PASSING, f'Service "{probe.unit}" is healthy')
    status = Health.WARNING if state in _ON_THE_WAY else Health.CRITICAL
    return Result(status, f'Service "{probe.unit}" is not healthy: {state}')
