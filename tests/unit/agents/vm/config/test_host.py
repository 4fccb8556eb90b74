"""Settings of Consul's beside the service files of `linkspan agent`."""

from pathlib import Path

from agents.vm.config.host import HostSettings, host_settings


def test_scripts_are_taken_and_the_rest_is_named(tmp_path: Path) -> None:
    """Definitions are the agent's business; what has no effect is said in one line."""
    (tmp_path / "a.json").write_text('{"services": [{"name": "web"}]}')
    assert host_settings(tmp_path) == HostSettings()
    (tmp_path / "b.json").write_text('{"enable_local_script_checks": true, "node_name": "n", "retry_join": ["x"]}')
    found = host_settings(tmp_path)
    assert found.scripts
    assert found.warning.endswith("ignored: node_name, retry_join")


def test_what_cannot_be_read_stops_no_agent(tmp_path: Path) -> None:
    """A folder that is not there, a file that is broken: said, and no settings."""
    assert "No such file" in host_settings(tmp_path / "none").warning
    (tmp_path / "a.json").write_text("{")
    found = host_settings(tmp_path)
    assert ("not JSON" in found.warning, found.scripts) == (True, False)
