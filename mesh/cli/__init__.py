"""The `linkspan` command: finds every room's commands by entry point and imports only the one that is called.

It must never import a room itself: a proxy's memory is counted.
"""

from importlib.metadata import EntryPoint, entry_points

import click

GROUP = "linkspan.commands"


class Commands(click.Group):
    """The commands that the installed rooms declare under `linkspan.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted({entry.name for entry in entry_points(group=GROUP)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        entry: EntryPoint
        for entry in entry_points(group=GROUP):
            if entry.name == cmd_name:
                command = entry.load()
                assert isinstance(command, click.Command)
                return command
        return None


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "LINKSPAN"})
@click.version_option(package_name="linkspan", prog_name="linkspan")
def main() -> None:
    """Linkspan: one mesh for Kubernetes and virtual machines."""
