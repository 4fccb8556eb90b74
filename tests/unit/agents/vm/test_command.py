"""The commands: flags, environment, one line an error, and no secret in an argument."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from agents.vm.command import agent, join

JOIN = ["--server", "127.0.0.1:1", "--ca-pin", "sha256:" + "0" * 64, "--node", "vm1", "--address", "10.0.0.1"]


def test_join_says_what_is_missing(tmp_path: Path) -> None:
    """An unreadable token, a closed port, a bad name: one line and code 1."""
    token = tmp_path / "token"
    token.write_text("lsj_x")
    state = ["--state-dir", str(tmp_path / "state")]
    for arguments, text in (
        ([*JOIN, *state, "--token-file", str(tmp_path / "none")], "cannot read the token file"),
        ([*JOIN, *state, "--token-file", str(token)], "127.0.0.1:1"),
        ([*JOIN, *state, "--token-file", str(token), "--node", "a b"], "node name"),
        ([*JOIN, *state, "--token-file", str(token), "--meta", "novalue"], "KEY=VALUE"),
    ):
        result = CliRunner().invoke(join, arguments)
        assert result.exit_code != 0
        assert text in result.output
        assert "Traceback" not in result.output
    assert not (tmp_path / "state" / "agent.json").exists()


def test_join_reads_its_environment(tmp_path: Path) -> None:
    """What a unit's EnvironmentFile gives; the token on standard input."""
    environment = {
        "LINKSPAN_JOIN_SERVER": "127.0.0.1:1",
        "LINKSPAN_JOIN_CA_PIN": "sha256:" + "0" * 64,
        "LINKSPAN_JOIN_NODE": "vm1",
        "LINKSPAN_JOIN_NETWORK": "vm-paris",
        "LINKSPAN_JOIN_TOKEN_FILE": "-",
    }
    result = CliRunner().invoke(join, ["--state-dir", str(tmp_path)], env=environment, input="lsj_x\n")
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.output


def test_a_second_join_says_that_nothing_was_done(tmp_path: Path) -> None:
    """In text with what to do next, or as JSON."""
    import time

    from agents.vm.host.enrolment import Enrolment, save_enrolment
    from mesh.identity.keep import LeafStore
    from mesh.identity.leaf import Leaf
    from mesh.model.snapshot import Roots

    save_enrolment(tmp_path, Enrolment("vm1", "10.0.0.1", ("c:8502",), "dc1", Roots("td", 0), services=("web",)))
    leaf = Leaf("cert", b"key", "spiffe://td/agent/client/dc/dc1/id/vm1", "01", 0, time.time() + 3600)
    LeafStore(tmp_path / "identity").save(leaf)
    arguments = [*JOIN, "--state-dir", str(tmp_path), "--token-file", "/nonexistent"]
    told = CliRunner().invoke(join, arguments)
    assert told.exit_code == 0
    assert "has joined already" in told.output
    assert "systemctl enable --now linkspan-agent" in told.output
    shown = json.loads(CliRunner().invoke(join, [*arguments, "--format", "json"]).output)
    assert (shown["joined"], shown["services"]) == (False, ["web"])


@pytest.mark.parametrize("http", ["127.0.0.1:0", "0.0.0.0:8500"])
def test_an_agent_needs_a_joined_host(http: str, tmp_path: Path) -> None:
    """It says how."""
    result = CliRunner().invoke(agent, ["--state-dir", str(tmp_path), "--http", http])
    assert result.exit_code == 1
    assert "run 'linkspan join'" in result.output
