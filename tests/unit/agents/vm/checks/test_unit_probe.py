"""systemd units, with a program in systemctl's place."""

from pathlib import Path

import pytest

from agents.vm.checks.probe import EdgeProber
from agents.vm.definition.values import OsServiceProbe
from mesh.model.endpoint import Health


@pytest.mark.parametrize(
    ("said", "health"),
    [
        ("active", Health.PASSING),
        ("activating", Health.WARNING),
        ("reloading", Health.WARNING),
        ("inactive", Health.CRITICAL),
        ("failed", Health.CRITICAL),
        ("", Health.CRITICAL),
    ],
)
async def test_the_units_state_decides(said: str, health: Health, tmp_path: Path) -> None:
    """The unit is the last argument, after the options' end."""
    program = tmp_path / "systemctl"
    program.write_text(f'#!/bin/sh\n[ "$*" = "is-active -- web.service" ] || exit 9\necho "{said}"\nexit 3\n')
    program.chmod(0o755)
    result = await EdgeProber(systemctl=str(program)).run(OsServiceProbe("web.service", 10, 5), 4096)
    assert result.status is health
    assert "web.service" in result.output
    assert health is Health.PASSING or (said or "unknown") in result.output


async def test_without_systemd_it_is_critical() -> None:
    """And says why."""
    result = await EdgeProber(systemctl="/no/such").run(OsServiceProbe("web", 10, 5), 4096)
    assert (result.status, "systemd cannot be asked" in result.output) == (Health.CRITICAL, True)
