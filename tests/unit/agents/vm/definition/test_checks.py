"""Check definitions: exactly one probe, Consul's bounds and defaults."""

from typing import Any

import pytest

from agents.vm.definition.checks import check_definition
from agents.vm.definition.keys import DefinitionError, read_struct
from agents.vm.definition.shapes import CheckShape
from agents.vm.definition.values import (
    AliasProbe,
    CheckDefinition,
    GrpcProbe,
    H2PingProbe,
    HttpProbe,
    ScriptProbe,
    TcpProbe,
    TtlProbe,
    UdpProbe,
)
from agents.vm.thresholds import Thresholds
from mesh.model.endpoint import Health


def make(**raw: Any) -> CheckDefinition:
    return check_definition(read_struct(raw, CheckShape), check_id="service:web", name="web check", node="vm1")


def test_each_kind_of_probe_is_read() -> None:
    """One field says how the check is run; times have Consul's defaults."""
    assert make(http="http://x/h", interval="10s").probe == HttpProbe("http://x/h", 10, 10)
    assert make(tcp="[::1]:80", interval="10s", timeout="2s").probe == TcpProbe("::1", 80, 10, 2)
    assert make(args=["/bin/true"], interval="5s").probe == ScriptProbe(("/bin/true",), 5, 30)
    assert make(ttl="100ms").probe == TtlProbe(pytest.approx(0.1))
    assert make(script_args=["/bin/true"], interval="5s").probe == ScriptProbe(("/bin/true",), 5, 30)
    assert make(udp="h:53", interval="5s").probe == UdpProbe("h", 53, 5, 10)
    assert make(grpc="h:1", interval="5s").probe == GrpcProbe("h", 1, 5, 10)
    secure = make(grpc="[::1]:1/a.B/c", grpc_use_tls=True, tls_server_name="n", interval="5s")
    assert secure.probe == GrpcProbe("::1", 1, 5, 10, "a.B/c", use_tls=True, tls_server_name="n")
    assert make(h2ping="h:1", interval="5s").probe == H2PingProbe("h", 1, 5, 10, use_tls=True)
    assert make(h2ping="h:1", h2ping_use_tls=False, interval="5s").probe == H2PingProbe("h", 1, 5, 10, use_tls=False)
    assert make(os_service="sshd.service", interval="5s").type == "os_service"
    assert make(alias_service="db", alias_node="vm1").probe == AliasProbe("db")
    assert make(alias_node="vm1").probe == AliasProbe()
    assert make(alias_service="db", alias_node="vm2", token="t").probe == AliasProbe("db", "vm2")


def test_defaults_and_bounds() -> None:
    """Critical at first, interval at least 1 s, deregistration at least a minute."""
    check = make(http="http://x", interval="10ms", deregister_critical_service_after="1s")
    assert (check.interval_s, check.deregister_after_s, check.initial) == (1.0, 60.0, Health.CRITICAL)
    assert (check.check_id, check.name, check.type) == ("service:web", "web check", "http")
    assert make(ttl="1s", status="passing", id="x", name="y").initial is Health.PASSING


def test_failures_before_warning_defaults_to_critical() -> None:
    """One threshold of failures is both unless told otherwise."""
    assert make(tcp="h:1", interval="1s", failures_before_critical=3).thresholds == Thresholds(0, 3, 3)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({}, "it has none"),
        ({"http": "http://x", "tcp": "h:1", "interval": "1s"}, "http and tcp"),
        ({"http": "http://x"}, "interval: is missing"),
        ({"http": "ftp://x", "interval": "1s"}, "no URL"),
        ({"http": "http://x:99999/", "interval": "1s"}, "no URL"),
        ({"http": "http://x", "interval": "1s", "method": "BREW"}, "method"),
        ({"http": "http://x", "interval": "1s", "header": {"A": ["b\r\nC: d"]}}, "header"),
        ({"tcp": "host", "interval": "1s"}, "host:port"),
        ({"tcp": "h:0", "interval": "1s"}, "host:port"),
        ({"ttl": "1s", "interval": "1s"}, "no interval"),
        ({"ttl": "ten"}, "no duration"),
        ({"ttl": "1s", "status": "green"}, "status"),
        ({"docker_container_id": "c", "args": ["x"], "interval": "1s"}, "docker checks are not run by this agent"),
        ({"udp": "h", "interval": "1s"}, "udp: 'h' is no address"),
        ({"grpc": "h/svc", "interval": "1s"}, "grpc: 'h' is no address"),
        ({"h2ping": ":1", "interval": "1s"}, "h2ping: ':1' is no address"),
        ({"os_service": "--now", "interval": "1s"}, "systemd unit"),
        ({"os_service": "ssh"}, "interval: is missing"),
        ({"script": "true", "interval": "1s"}, "removed"),
        ({"alias_service": "x", "ttl": "1s"}, "ttl and alias_service"),
        ({"tcp": "h:1", "interval": "1s", "failures_before_warning": 3}, "failures_before_warning"),
        ({"tcp": "h:1", "interval": "1s", "success_before_passing": -1}, "between 0 and 1000"),
        ({"ttl": "1s", "output_max_size": 0}, "output_max_size"),
        ({"args": ["a\0b"], "interval": "1s"}, "NUL"),
    ],
)
def test_what_cannot_be_run_is_refused(raw: dict[str, Any], text: str) -> None:
    """Every refusal names the field or says what is missing."""
    with pytest.raises(DefinitionError) as caught:
        make(**raw)
    assert text in str(caught.value)
