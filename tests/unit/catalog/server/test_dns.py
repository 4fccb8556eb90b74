"""Consul's `dns_config` as settings."""

from typing import Any

import pytest

from catalog.dns.answer.settings import DnsSettings
from catalog.dns.wire.record import Soa
from catalog.server.config.document import ConfigError
from catalog.server.config.read import _convert
from catalog.server.dns import dns_settings


def made(**values: Any) -> DnsSettings:
    return dns_settings(_convert(values), "dc7")


def test_what_is_not_said_is_consuls_default() -> None:
    assert made() == DnsSettings(datacenter="dc7")


def test_every_setting_arrives() -> None:
    dns = {
        "node_ttl": "10s",
        "service_ttl": {"Web": "5s", "*": "1m"},
        "only_passing": True,
        "enable_truncate": True,
        "udp_answer_limit": 7,
        "a_record_limit": 2,
        "disable_compression": True,
        "max_stale": "1h",
        "recursor_timeout": "500ms",
        "soa": {"refresh": 1, "retry": 2, "expire": 3, "min_ttl": 4},
    }
    assert made(dns_config=dns, domain="mesh.", alt_domain="x.test", recursors=["192.0.2.1"]) == DnsSettings(
        domain="mesh.",
        alt_domain="x.test",
        datacenter="dc7",
        node_ttl_s=10,
        service_ttl_s={"web": 5, "*": 60},
        only_passing=True,
        enable_truncate=True,
        udp_answer_limit=7,
        a_record_limit=2,
        disable_compression=True,
        max_stale_s=3600,
        recursor_timeout_s=0.5,
        soa=Soa(1, 2, 3, 4),
        recursors=("192.0.2.1",),
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"domain": "a..b"}, "label"),
        ({"recursors": ["dns.example"]}, "DNS server"),
        ({"dns_config": {"node_ttl": "soon"}}, "node_ttl"),
        ({"dns_config": {"node_ttl": "-1s"}}, "node_ttl"),
        ({"dns_config": {"service_ttl": {"web": "900000h"}}}, "service_ttl.web"),
        ({"dns_config": {"soa": {"minimum": 1}}}, "soa.minimum"),
        ({"dns_config": {"soa": {"retry": -1}}}, "soa.retry"),
        ({"dns_config": {"a_record_limit": -1}}, "a_record_limit"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        made(**values)
