"""From several files to one configuration: merging, judging, and naming what has no counterpart."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.server.config.document import ConfigError, SourceFile
from catalog.server.config.read import Loaded, load, merge_files, needs_restart, setting_keys
from catalog.server.config.shapes import Config


def merged(*values: dict[str, Any]) -> Loaded:
    return merge_files([SourceFile(Path(f"{number}.json"), one) for number, one in enumerate(values)])


def test_the_configuration_of_the_suite_is_taken_whole() -> None:
    """What py-consul's suite gives to Consul is understood, and nothing of it is worth a word."""
    loaded = merged(
        {
            "ports": {"https": -1, "dns": -1, "grpc_tls": -1},
            "performance": {"raft_multiplier": 1},
            "enable_script_checks": True,
            "primary_datacenter": "dc1",
            "acl": {"enabled": True, "tokens": {"initial_management": "secret"}},
        }
    )
    assert loaded.warning == ""
    assert loaded.config.ports.dns == -1
    assert loaded.config.enable_script_checks is True
    assert loaded.config.acl.enabled is True
    assert loaded.config.acl.tokens.initial_management == "secret"


def test_later_files_win_lists_are_joined_and_maps_merged() -> None:
    """Consul's rules; a second `service` joins the `services`."""
    config = merged(
        {"node_name": "a", "ports": {"http": 1, "dns": 2}, "recursors": ["1.1.1.1"], "service": {"name": "x"}},
        {"node_name": "b", "ports": {"dns": 3}, "recursors": ["8.8.8.8"], "service": {"name": "y"}},
        {"services": [{"name": "z"}], "node_meta": {"rack": "1"}},
    ).config
    assert (config.node_name, config.ports.http, config.ports.dns) == ("b", 1, 3)
    assert config.recursors == ["1.1.1.1", "8.8.8.8"]
    assert config.service == {"name": "x"}
    assert [one["name"] for one in config.services] == ["y", "z"]
    assert config.node_meta == {"rack": "1"}


def test_keys_are_matched_as_consul_matches_them() -> None:
    """Any letter case, with or without underscores; null is not given."""
    config = merged({"NodeName": "n", "Ports": {"HTTP": 7}, "domain": None}).config
    assert (config.node_name, config.ports.http, config.domain) == ("n", 7, None)


def test_what_has_no_counterpart_is_named_in_one_line() -> None:
    """Sorted and dotted; what Linkspan is anyway (server, UI, Raft's pace) is not worth a word."""
    loaded = merged({"encrypt": "k", "server": True, "ports": {"grpc": 8502, "serf_lan": -1}, "retry_join": ["x"]})
    assert loaded.ignored == ("encrypt", "ports.grpc", "retry_join")
    assert "encrypt, ports.grpc, retry_join" in loaded.warning


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"node_nam": "n"}, "0.json: node_nam: unknown setting: did you mean node_name?"),
        ({"xyzzy": 1}, "0.json: xyzzy: unknown setting: remove it"),
        ({"ports": {"htpp": 1}}, "0.json: ports.htpp: unknown setting: did you mean http?"),
        ({"ports": 1}, "0.json: ports: must be an object"),
        ({"ports": {"http": "x"}}, "0.json: ports.http: Expected int"),
        ({"ports": {"http": 70000}}, "ports.http: 70000 is no port"),
        ({"node_name": "a", "NodeName": "b"}, "0.json: node_name: given twice"),
        ({"acl": {"default_policy": "maybe"}}, "acl.default_policy"),
        ({"log_level": "loud"}, "log_level"),
        ({"primary_datacenter": "dc2"}, "primary_datacenter"),
        ({"connect": {"enabled": False}}, "connect.enabled"),
        ({"limits": {"http_max_conns_per_client": 0}}, "limits.http_max_conns_per_client"),
        ({"services": {"name": "x"}}, "0.json: services: Expected array"),
    ],
)
def test_a_bad_setting_is_refused_by_name(values: dict[str, Any], says: str) -> None:
    """File, key and what to do."""
    with pytest.raises(ConfigError) as caught:
        merged(values)
    assert says in str(caught.value)


def test_a_refusal_shows_no_secret() -> None:
    """The value of a setting is never part of the text."""
    with pytest.raises(ConfigError) as caught:
        merged({"acl": {"tokens": {"agent": ["s3cret"]}}})
    assert "s3cret" not in str(caught.value)


def test_a_reload_knows_what_takes_a_restart() -> None:
    """Services, checks and the level of logging are applied; all else is named."""
    old = merged({"node_name": "a", "log_level": "info", "service": {"name": "x"}}).config
    new = merged({"node_name": "b", "log_level": "warn", "ports": {"http": 1}}).config
    assert needs_restart(old, new) == ("ports", "node_name")
    assert needs_restart(old, old) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([field.name for field in msgspec.structs.fields(Config)] + ["encrypt", "Ports", "bogus"])


@given(st.lists(st.dictionaries(NAMES, JSON, max_size=4), max_size=3))
def test_any_objects_give_a_configuration_or_the_writers_error(files: list[dict[str, Any]]) -> None:
    """Nothing else is ever raised."""
    try:
        loaded = merged(*files)
    except ConfigError:
        return
    assert isinstance(loaded.config, Config)


def test_settings_and_definitions_share_a_file(tmp_path: Path) -> None:
    """The agent reads the definitions, and leaves the keys that are settings alone."""
    (tmp_path / "config.json").write_text('{"domain": "d", "services": [{"name": "web"}]}')
    assert load(tmp_path).config == Config(domain="d", services=[{"name": "web"}])
    assert {"domain", "nodename", "encrypt"} <= setting_keys()
    assert not {"service", "services", "check", "checks"} & setting_keys()
