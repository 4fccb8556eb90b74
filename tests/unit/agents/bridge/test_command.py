"""The command's words: its flags, and failures as one line."""

from click.testing import CliRunner

from agents.bridge.command import bridge


def test_no_flag_takes_a_token() -> None:
    """Only files do."""
    text = CliRunner().invoke(bridge, ["consul", "--help"]).output
    assert "--from-token-file" in text
    assert "--from-token " not in text


def test_failures_are_one_line() -> None:
    """A setting that cannot be, and in a single pass a side that is not there."""
    done = CliRunner().invoke(bridge, ["consul", "--from", "ftp://a", "--to", "http://127.0.0.1:1"])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    done = CliRunner().invoke(
        bridge, ["consul", "--from", "http://127.0.0.1:1", "--to", "http://127.0.0.1:1", "--once"]
    )
    assert done.exit_code == 1
    assert "from http://127.0.0.1:1" in done.output
