"""Addresses of probes: any text is an address or the author's error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.vm.definition.keys import DefinitionError
from agents.vm.definition.probes import probe_of
from agents.vm.definition.shapes import CheckShape
from agents.vm.definition.values import GrpcProbe, H2PingProbe, TcpProbe, UdpProbe


@given(st.sampled_from(["tcp", "udp", "grpc", "h2ping"]), st.text(min_size=1, max_size=40))
def test_any_text_is_an_address_or_refused(kind: str, text: str) -> None:
    """What is taken has a host and a port that can be one."""
    try:
        probe = probe_of(CheckShape(**{kind: text}, interval="1s"), "vm1")
    except DefinitionError as error:
        assert error.path == (kind,)
        return
    assert isinstance(probe, TcpProbe | UdpProbe | GrpcProbe | H2PingProbe)
    assert probe.host
    assert 0 < probe.port < 65536


@pytest.mark.parametrize("unit", ["-x", "a b", "a\n", "u" * 256])
def test_a_unit_is_no_option(unit: str) -> None:
    """It becomes an argument of systemctl."""
    with pytest.raises(DefinitionError):
        probe_of(CheckShape(os_service=unit, interval="1s"), "vm1")


def test_an_argument_shows_its_service() -> None:
    """As it was given, for outputs and forms."""
    probe = probe_of(CheckShape(grpc="h:1/s", interval="1s"), "vm1")
    assert isinstance(probe, GrpcProbe)
    assert probe.target == "h:1/s"
