"""Settings that can be served, and the server made of them."""

import pytest

from catalog.dns.answer.settings import DnsSettings
from catalog.dns.serve.made import check_settings, make_server
from tests.fakes.dns_asker import Rows, ask, hear


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (DnsSettings(domain="."), "whole internet"),
        (DnsSettings(domain="a..b"), "label"),
        (DnsSettings(alt_domain="x" * 64), "label"),
        (DnsSettings(recursors=("dns.example",)), "DNS server"),
    ],
)
def test_what_cannot_be_served_is_refused(settings: DnsSettings, text: str) -> None:
    """The root as our domain would make every name of the internet NXDOMAIN."""
    with pytest.raises(ValueError, match=text):
        check_settings(settings)


async def test_a_server_answers_with_the_clock_and_randomness_it_was_given() -> None:
    assert check_settings(DnsSettings()) == DnsSettings()
    server = make_server(DnsSettings(), Rows(), now=lambda: 5.0, shuffle=lambda items: None)
    answer = await server.answer(ask("nope.service.consul"), over_tcp=False)
    assert hear(answer or b"").authority[0].data.split()[2] == "5"
