"""Flags over files over defaults, and what a dev process refuses to be."""

from pathlib import Path

import pytest

from agents.vm.config.overlay import beyond_loopback, is_loopback, overlay
from catalog.server.config.document import ConfigError
from catalog.server.config.shapes import Config, Ports

FLAGS = {"http_port": 8500, "node": "host", "datacenter": "dc1", "data_dir": None, "log_level": "warning", "other": 1}


def test_a_flag_that_is_given_wins() -> None:
    """The file fills only what nobody said on the command line."""
    config = Config(ports=Ports(http=1), node_name="n", data_dir="/d", log_level="WARN", datacenter="dc2")
    chosen = overlay(FLAGS, {"node"}, config)
    assert chosen == {
        "http_port": 1,
        "node": "host",
        "datacenter": "dc2",
        "data_dir": Path("/d"),
        "log_level": "warning",
        "other": 1,
    }
    assert overlay(FLAGS, set(), Config()) == FLAGS


def test_port_0_is_a_port() -> None:
    """0 in a file picks a free port, as on the command line."""
    assert overlay(FLAGS, set(), Config(ports=Ports(http=0)))["http_port"] == 0


@pytest.mark.parametrize("ports", [Ports(http=-1), Ports(mesh=-1)])
def test_the_two_ports_of_a_dev_process_cannot_be_switched_off(ports: Ports) -> None:
    """Said, instead of served anyway."""
    with pytest.raises(ConfigError, match=r"ports\.(http|mesh)"):
        overlay(FLAGS, set(), Config(ports=ports))


def test_what_would_open_the_process_to_others_is_named() -> None:
    """A dev process serves this machine only."""
    config = Config(bind_addr="127.0.0.1", client_addr="0.0.0.0", advertise_addr="10.0.0.1")
    assert beyond_loopback(config) == ("client_addr", "advertise_addr")
    assert beyond_loopback(Config(client_addr="127.0.0.1 ::1", bind_addr="localhost")) == ()
    assert not is_loopback("{{ GetPrivateIP }}")
