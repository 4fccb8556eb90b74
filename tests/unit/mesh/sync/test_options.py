"""Flags over environment over file."""

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from mesh.sync.link.address import HostPort
from mesh.sync.member import Source
from mesh.sync.options import Hosting, make_hosting, make_source, source_options
from mesh.wire.http1.host import host_rule

SEEN: dict[str, Any] = {}


@click.command()
@source_options
def program(**values: Any) -> None:
    """Keeps what it was given."""
    SEEN["source"], SEEN["hosting"] = make_source(values), make_hosting(values)


def run(*arguments: str, **environment: str) -> Result:
    """Run the program with these arguments and environment."""
    SEEN.clear()
    return CliRunner().invoke(program, arguments, env=environment)


def test_through_an_agent_by_default():
    """A state directory is all that must be said."""
    assert run("--state-dir", "/s").exit_code == 0
    assert SEEN["source"] == Source("/s", "default", "/run/linkspan/agent.sock")
    assert SEEN["hosting"] == Hosting(HostPort("127.0.0.1", 19000))


def test_straight_to_the_catalog():
    """Servers with their default port, a root file and a token file."""
    result = run(
        "--state-dir",
        "/s",
        "--server",
        "catalog",
        "--server",
        "[::1]:9",
        "--ca-file",
        "/ca",
        "--token-file",
        "/t",
        "--network",
        "k8s-east",
    )
    assert result.exit_code == 0, result.output
    servers = (HostPort("catalog", 8502), HostPort("::1", 9))
    assert SEEN["source"] == Source("/s", "k8s-east", "", servers, "/ca", "/t")


def test_names_that_the_pages_answer_to():
    """By flag, repeated, or by environment, apart by spaces; what is no name is the operator's error."""
    assert run("--state-dir", "/s", "--allowed-host", "web.test", "--allowed-host", "192.0.2.1").exit_code == 0
    assert SEEN["hosting"].hosts == host_rule(["web.test", "192.0.2.1"])
    assert run("--state-dir", "/s", LINKSPAN_ALLOWED_HOST="a b").exit_code == 0
    assert SEEN["hosting"].hosts == host_rule(["a", "b"])
    assert "--allowed-host: allowed host 'a:1'" in run("--state-dir", "/s", "--allowed-host", "a:1").output


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_flags_go_over_environment_over_file(tmp_path: Path, ending: str):
    """All three name the same settings."""
    path = tmp_path / f"proxy.{ending}"
    text = '{"network": "from-file", "access-log": "/from/file", "state_dir": "/file", "server": ["a:1", "b:2"], "ca-file": "/ca", "token-file": "/t"}'
    path.write_text(text)  # JSON is YAML too
    result = run("--access-log", "-", LINKSPAN_CONFIG=str(path), LINKSPAN_STATE_DIR="/environment")
    assert result.exit_code == 0, result.output
    source = SEEN["source"]
    assert (source.network, source.state_dir, SEEN["hosting"].access_log) == ("from-file", "/environment", "-")
    assert source.servers == (HostPort("a", 1), HostPort("b", 2))


def test_systemds_state_directory_is_taken():
    """The first of a list, as systemd writes it."""
    assert run(STATE_DIRECTORY="/var/lib/linkspan/web:/var/lib/other").exit_code == 0
    assert SEEN["source"].state_dir == "/var/lib/linkspan/web"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing option '--state-dir'"),
        (("--state-dir", "/s", "--server", "a:b"), "no port"),
        (("--state-dir", "/s", "--server", "a"), "--server needs --ca-file and --token-file"),
        (("--state-dir", "/s", "--server", "a", "--agent", "unix:/x"), "exclude each other"),
        (("--state-dir", "/s", "--agent", "tcp:1"), "expected unix:"),
        (("--state-dir", "/s", "--network", "No Such"), "must be 1 to 63"),
        (("--state-dir", "/s", "--config", "/absent.json"), "No such file"),
    ],
)
def test_mistakes_are_named(arguments: tuple[str, ...], words: str):
    """One line says which flag and what is expected."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", '{"netwerk": "x"}', "'netwerk' is no setting"),
        ("a.json", '{"config": "x"}', "'config' is no setting"),
        ("a.json", "[]", "a.json"),
        ("a.json", "{", "a.json"),
        ("a.yaml", "a: [", "a.yaml"),
        ("a.yaml", "- a", "a.yaml"),
        ("a.json", '{"network": "' + "x" * 1_100_000 + '"}', "larger than"),
    ],
)
def test_a_file_with_mistakes_is_refused(tmp_path: Path, name: str, content: str, words: str):
    """An unknown key or a broken file is named, never ignored."""
    (tmp_path / name).write_text(content)
    result = run("--state-dir", "/s", "--config", str(tmp_path / name))
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_an_empty_yaml_file_is_no_mistake(tmp_path: Path):
    """It sets nothing."""
    (tmp_path / "a.yaml").write_text("# nothing yet\n")
    assert run("--state-dir", "/s", "--config", str(tmp_path / "a.yaml")).exit_code == 0
