"""The flags of `linkspan gateway mesh`."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from mesh.gateway.command import gateway, is_registering, make_registration, make_settings
from mesh.gateway.mesh import GatewayPorts
from mesh.gateway.registration import Registration
from mesh.sync.link.address import HostPort
from mesh.sync.member import Source

LAN, WAN = HostPort("10.0.0.9", 0), HostPort("192.0.2.1", 8443)
VALUES: dict[str, Any] = {
    "network": "vm",
    "lan": LAN,
    "wan": WAN,
    "advertise_lan": None,
    "advertise_wan": None,
    "catalog": (),
    "instance": "mesh-gateway",
    "drain_s": 3.0,
}
PORTS = GatewayPorts(40001, 8443)


def test_settings_from_flags():
    """Both sides as given; without any, the WAN side on its default port."""
    assert make_settings(VALUES).lan == LAN
    assert make_settings(VALUES).limits.drain_s == 3.0
    bare = make_settings({**VALUES, "lan": None, "wan": None})
    assert (bare.lan, bare.wan) == (None, HostPort("0.0.0.0", 8443))


@pytest.mark.parametrize(
    ("values", "ports", "registration"),
    [
        ({}, PORTS, Registration("vm", HostPort("10.0.0.9", 40001), WAN)),
        ({"lan": None}, GatewayPorts(0, 8443), Registration("vm", WAN, WAN)),
        ({"wan": None}, GatewayPorts(40001, 0), Registration("vm", HostPort("10.0.0.9", 40001), None)),
        (
            {"wan": HostPort("0.0.0.0", 8443), "advertise_wan": HostPort("198.51.100.7", 443)},
            PORTS,
            Registration("vm", HostPort("10.0.0.9", 40001), HostPort("198.51.100.7", 443)),
        ),
        (
            {"lan": HostPort("::", 0), "advertise_lan": HostPort("fd00::9", 0), "instance": "gw"},
            PORTS,
            Registration("vm", HostPort("fd00::9", 40001), WAN, "gw"),
        ),
    ],
)
def test_what_is_advertised(values: dict[str, Any], ports: GatewayPorts, registration: Registration):
    """Addresses others can dial, with the ports that were picked."""
    assert make_registration({**VALUES, **values}, ports) == registration


@pytest.mark.parametrize(
    ("register", "agent", "agent_api", "registers"),
    [
        (None, "/sock", None, True),
        (None, "", None, False),
        (False, "/sock", None, False),
        (True, "/sock", None, True),
        (True, "", WAN, True),
    ],
)
def test_who_registers(register: bool | None, agent: str, agent_api: HostPort | None, *, registers: bool):
    """Beside an agent by default; in Kubernetes the node agent does it."""
    source = Source("/s", "vm", agent)
    assert is_registering({"register": register, "agent_api": agent_api}, source) is registers


@pytest.mark.parametrize("side", ["lan", "wan"])
def test_every_address_is_none_to_dial(side: str):
    """A side that listens on every address needs one to advertise."""
    with pytest.raises(click.UsageError, match=f"--advertise-{side}"):
        make_registration({**VALUES, side: HostPort("0.0.0.0", 8443)}, PORTS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing option '--state-dir'"),
        (["--state-dir", "/s"], "say with --advertise-wan"),
        (
            ["--state-dir", "/s", "--server", "a", "--ca-file", "/c", "--token-file", "/t", "--register"],
            "--register needs an agent",
        ),
        (["--state-dir", "/s", "--lan", "x"], "no port"),
    ],
)
def test_the_command_refuses_in_one_line(arguments: list[str], words: str):
    """Nothing is started on a mistake."""
    result = CliRunner().invoke(gateway, ["mesh", *arguments])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
