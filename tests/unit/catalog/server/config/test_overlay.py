"""Flags over files over defaults for a catalog; access control as a configuration says."""

from pathlib import Path

import pytest

from catalog.server.config.document import ConfigError
from catalog.server.config.overlay import acl_of, log_level, overlay, without_agent
from catalog.server.config.shapes import Acl, Config, Limits, Ports, Tokens

FLAGS = {
    "data_dir": None,
    "http": "127.0.0.1:8500",
    "mesh": "0.0.0.0:8502",
    "dns": None,
    "dns_domain": "consul",
    "recursors": (),
    "max_connections_per_address": 2000,
    "other": 1,
}


def test_the_file_fills_what_no_flag_says() -> None:
    """Ports make addresses together with `client_addr` and `bind_addr`; -1 switches one off."""
    config = Config(
        ports=Ports(http=18500, dns=-1),
        bind_addr="192.0.2.1",
        data_dir="/data",
        domain="mesh",
        recursors=["192.0.2.53"],
        limits=Limits(http_max_conns_per_client=9),
    )
    assert overlay(FLAGS, {"dns_domain"}, config) == {
        "data_dir": Path("/data"),
        "http": "127.0.0.1:18500",
        "mesh": "192.0.2.1:8502",
        "dns": "off",
        "dns_domain": "consul",
        "recursors": ("192.0.2.53",),
        "max_connections_per_address": 9,
        "other": 1,
    }
    assert overlay(FLAGS, set(), Config()) == FLAGS
    assert overlay(FLAGS, set(), Config(client_addr="::1"))["http"] == "[::1]:8500"


@pytest.mark.parametrize(
    "config",
    [Config(ports=Ports(mesh=-1)), Config(bind_addr="{{ GetPrivateIP }}"), Config(client_addr="::1 127.0.0.1")],
)
def test_an_address_that_cannot_be_used_is_refused(config: Config) -> None:
    """Named, with what to write."""
    with pytest.raises(ConfigError, match=r"^(ports.mesh|bind_addr|client_addr): "):
        overlay(FLAGS, set(), config)


def test_access_control_is_the_commands_own_default_until_said_otherwise() -> None:
    """On and closed for a catalog; off for a dev process, and open to what no rule names when it is on (as Consul)."""
    assert acl_of(Config(), default_enabled=True).enabled
    assert acl_of(Config(), default_enabled=True).default_policy == "deny"
    assert not acl_of(Config(), default_enabled=False, agent_in_process=True).enabled
    dev = acl_of(
        Config(acl=Acl(enabled=True, tokens=Tokens(initial_management="m"))),
        default_enabled=False,
        agent_in_process=True,
    )
    assert (dev.enabled, dev.default_policy, dev.agent, dev.initial_management) == (True, "allow", "m", "m")
    own = acl_of(
        Config(acl=Acl(enabled=True, default_policy="deny", tokens=Tokens(agent="a", default="d"))),
        default_enabled=True,
    )
    assert (own.default_policy, own.agent, own.default) == ("deny", "a", "d")


def test_levels_have_consuls_names() -> None:
    """Both spellings of a level mean the same."""
    assert [log_level(Config(log_level=name)) for name in (None, "TRACE", "warn", "err", "info")] == [
        None,
        "debug",
        "warning",
        "error",
        "info",
    ]


def test_definitions_need_an_agent() -> None:
    """Said, instead of dropped."""
    assert "services" in without_agent(Config(services=[{"name": "web"}]))
    assert without_agent(Config()) == ""
