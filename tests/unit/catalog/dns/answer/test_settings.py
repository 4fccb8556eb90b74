"""TTLs by service."""

import pytest

from catalog.dns.answer.settings import DnsSettings


@pytest.mark.parametrize(("service", "ttl_s"), [("web", 5), ("web-api", 7), ("web-api-v2", 9), ("db", 3)])
def test_the_exact_name_counts_then_the_longest_prefix(service: str, ttl_s: int) -> None:
    """Consul's `dns_config.service_ttl`."""
    settings = DnsSettings(service_ttl_s={"web": 5, "web-*": 7, "web-api-*": 9, "*": 3})
    assert settings.ttl_of(service) == ttl_s


def test_an_answer_may_not_be_kept_unless_said() -> None:
    assert DnsSettings().ttl_of("web") == 0
    assert DnsSettings(service_ttl_s={"w*": 1}).ttl_of("db") == 0
