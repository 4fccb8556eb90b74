"""The command line of the node agent."""

from click.testing import CliRunner

from agents.k8s.command import k8s

REQUIRED = [
    "--server",
    "catalog:8502",
    "--ca-file",
    "r",
    "--token-file",
    "t",
    "--state-dir",
    "s",
    "--address",
    "192.0.2.1",
]


def test_bad_names_are_refused_in_one_line() -> None:
    """A node or network that cannot be one is named, and nothing is started."""
    done = CliRunner().invoke(k8s, ["agent", *REQUIRED, "--node", "n1", "--network", "No_Net"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: network 'No_Net' must be")
    assert done.output.count("\n") == 1
