"""What several kinds share: modes, limits, logs, upstreams."""

from typing import Any

import pytest

from catalog.compile.entries.connection import (
    AccessLogs,
    Limits,
    PassiveHealthCheck,
    UpstreamConfig,
    check_access_logs,
    check_limits,
    check_passive,
    check_port,
    check_upstreams,
)
from catalog.compile.entries.reader import ConfigEntryError, read_value


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"Overrides": [{"Name": "db"}, {"Name": "db"}]}, "twice"),
        ({"Overrides": [{"Name": "db", "Limits": {"MaxConnections": -1}}]}, "Limits"),
        ({"Overrides": [{"Name": "db", "ConnectTimeoutMs": -1}]}, "ConnectTimeoutMs"),
        ({"Defaults": {"MeshGateway": {"Mode": "x"}}}, "MeshGateway.Mode"),
        ({"Defaults": {"BalanceOutboundConnections": "x"}}, "BalanceOutboundConnections"),
        ({"Defaults": {"PassiveHealthCheck": {"MaxEjectionPercent": 101}}}, "MaxEjectionPercent"),
    ],
)
def test_upstreams(fields: dict[str, Any], named: str) -> None:
    """Each upstream once, within bounds."""
    with pytest.raises(ConfigEntryError) as caught:
        check_upstreams(read_value(fields, UpstreamConfig))
    assert (caught.value.status, named in str(caught.value)) == (500, True)


def test_good_ones() -> None:
    """What Consul's pages show is taken."""
    check_upstreams(
        read_value(
            {
                "Defaults": {"ConnectTimeoutMs": 5, "Limits": {"MaxConnections": 3}, "MeshGateway": {"Mode": "local"}},
                "Overrides": [{"Name": "db", "PassiveHealthCheck": {"Interval": "10s", "MaxFailures": 3}}],
            },
            UpstreamConfig,
        )
    )
    check_upstreams(None)
    check_access_logs(AccessLogs(enabled=True, type="file", path="/log"))


def test_bounds() -> None:
    """Ports, limits and shares."""
    for odd in (0, 65536):
        with pytest.raises(ConfigEntryError):
            check_port(odd, "Port")
    with pytest.raises(ConfigEntryError):
        check_limits(Limits(max_pending_requests=-1), "Limits")
    with pytest.raises(ConfigEntryError):
        check_passive(PassiveHealthCheck(enforcing_consecutive5xx=200), "P")
    with pytest.raises(ConfigEntryError):
        check_access_logs(AccessLogs(json_format="{}", text_format="x"))
