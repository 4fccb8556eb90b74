"""The units: systemd finds nothing wrong with them, they are closed, and they name commands and users that exist."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from configparser import RawConfigParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesh.cli import main

SYSTEMD = Path(__file__).resolve().parents[3] / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
COMMAND = "/opt/linkspan/bin/linkspan"
EXPOSURE_BELOW = 20
"""In tenths, as `systemd-analyze --threshold` takes it."""
WATCHED = {"linkspan-agent", "linkspan-catalog", "linkspan-proxy@", "linkspan-gateway"}

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def lines(unit: Path, key: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.read_text().splitlines() if line.startswith(f"{key}=")]


def name(unit: Path) -> str:
    return unit.name.removesuffix(".service")


@pytest.fixture
def checked(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """The units as a host would have them, with a command that exists here."""
    copies = {}
    for unit in UNITS:
        copy = tmp_path / unit.name.replace("@.", "@web.")
        copy.write_text(unit.read_text().replace(COMMAND, "/usr/bin/true"))
        copies[unit.name] = copy
    return copies


def analyze(*arguments: str, unit: Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments, f"./{unit.name}"]
    return subprocess.run(command, cwd=unit.parent, capture_output=True, text=True, check=False, timeout=60)


@needs_systemd
@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS, ids=name)
def test_systemd_finds_nothing_wrong(unit: Path, checked: dict[str, Path]) -> None:
    """`verify` is silent: no unknown key, no missing dependency."""
    done = analyze("--man=no", "--recursive-errors=no", "verify", unit=checked[unit.name])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS, ids=name)
def test_exposure_is_low(unit: Path, checked: dict[str, Path]) -> None:
    """`security` stays below the stated exposure."""
    arguments = ("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_BELOW}")
    done = analyze(*arguments, unit=checked[unit.name])
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("unit", UNITS, ids=name)
def test_every_unit_is_closed_and_restarts(unit: Path) -> None:
    """Own user, no privilege, a private state folder; it comes back after a failure and says when it is ready."""
    text = unit.read_text()
    for line in ("NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "MemoryDenyWriteExecute=yes"):
        assert f"\n{line}\n" in text
    assert lines(unit, "StateDirectoryMode") == ["0700"]
    assert lines(unit, "User")[0].startswith("linkspan")
    if name(unit) == "linkspan-join":
        assert (lines(unit, "Type"), lines(unit, "Restart")) == (["oneshot"], ["on-failure"])
        return
    assert (lines(unit, "Type"), lines(unit, "Restart")) == (["notify"], ["always"])
    assert bool(lines(unit, "WatchdogSec")) == (name(unit) in WATCHED)


@pytest.mark.parametrize("unit", UNITS, ids=name)
def test_commands_and_flags_exist(unit: Path) -> None:
    """What a unit starts is a command of ours, with flags that it knows; no secret is among them."""
    (start,) = lines(unit, "ExecStart")
    program, *arguments = start.split()
    assert program == COMMAND
    words = [word for word in arguments if not word.startswith(("-", "/", "%", "unix:"))]
    help_text = CliRunner().invoke(main, [*words, "--help"]).output
    assert "Usage:" in help_text
    for flag in [word for word in arguments if word.startswith("--")]:
        assert re.search(rf"{flag}\b", help_text), flag


def test_users_of_the_units_are_made(tmp_path: Path) -> None:
    """Each unit's user and group is in sysusers.d; the proxies are members of the agent's group."""
    made = (SYSTEMD / "sysusers.d" / "linkspan.conf").read_text()
    users = set(re.findall(r"^u (\S+)", made, re.MULTILINE))
    members = set(re.findall(r"^m (\S+)\s+(\S+)", made, re.MULTILINE))
    for unit in UNITS:
        assert {*lines(unit, "User"), *lines(unit, "Group"), *lines(unit, "SupplementaryGroups")} <= users
        if lines(unit, "SupplementaryGroups"):
            assert (lines(unit, "User")[0], "linkspan") in members
    if shutil.which("systemd-sysusers"):
        (tmp_path / "etc").mkdir()
        command = ["systemd-sysusers", f"--root={tmp_path}", str(SYSTEMD / "sysusers.d" / "linkspan.conf")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "linkspan-proxy" in (tmp_path / "etc" / "passwd").read_text()


def test_folders_are_made_private() -> None:
    """The agent's state is its own from the start; settings are readable, for they hold no secret."""
    rules = [line.split() for line in (SYSTEMD / "tmpfiles.d" / "linkspan.conf").read_text().splitlines()]
    assert ["d", "/var/lib/linkspan", "0700", "linkspan", "linkspan", "-"] in rules
    assert all(rule[0] == "d" for rule in rules)


def test_the_token_is_a_credential_and_is_removed() -> None:
    """Joining reads it from systemd, never from an argument or the environment."""
    unit = SYSTEMD / "linkspan-join.service"
    assert lines(unit, "LoadCredential") == ["join-token:/etc/linkspan/join-token"]
    assert "--token-file %d/join-token" in lines(unit, "ExecStart")[0]
    assert lines(unit, "ExecStartPost") == ["+/bin/rm -f /etc/linkspan/join-token"]
    parser = RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    assert parser["Unit"]["Before"] == "linkspan-agent.service"


def test_a_host_that_joins_at_the_second_try_gets_its_agent() -> None:
    """At boot the agent's condition fails if the catalog was away then: who joins later must start it."""
    join = SYSTEMD / "linkspan-join.service"
    assert lines(join, "Restart") == ["on-failure"]
    assert lines(join, "OnSuccess") == ["linkspan-agent.service"]
