"""The `linkspan` command: help, version, and commands that load only their own room."""

import subprocess
import sys
from importlib.metadata import entry_points

import click
import pytest
from click.testing import CliRunner

from mesh.cli import GROUP, main

NAMES = sorted({entry.name for entry in entry_points(group=GROUP)})


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_point_loads(name: str):
    """Each declared command is there, is one line in the list, and prints its help."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.get_short_help_str()
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_the_list_names_every_command():
    """`linkspan --help` shows them all."""
    result = CliRunner().invoke(main, ["-h"])
    assert result.exit_code == 0
    assert [name for name in NAMES if f"  {name} " not in result.output] == []


def test_version():
    """The version is the installed distribution's."""
    result = CliRunner().invoke(main, ["--version"])
    assert result.output.startswith("linkspan, version ")


def test_an_unknown_command_is_named():
    """One line says which, with the nearest that exist."""
    result = CliRunner().invoke(main, ["prxy"])
    assert result.exit_code == 2
    assert "No such command 'prxy'" in result.output


def test_help_imports_no_room():
    """Finding a command imports that command's room alone: a proxy's memory is counted."""
    probe = "import sys; from mesh.cli import main; main.get_command(None, 'nothing'); print([m for m in sys.modules if m.startswith(('mesh.sync', 'catalog', 'agents'))])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
