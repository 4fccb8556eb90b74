"""The flags of `linkspan proxy`."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from mesh.proxy.command import make_settings, parse_upstream, proxy
from mesh.proxy.settings import InboundSettings, Upstream
from mesh.sync.link.address import HostPort

VALUES: dict[str, Any] = {
    "inbound": HostPort("0.0.0.0", 20000),
    "app": HostPort("127.0.0.1", 8080),
    "upstreams": ("api=127.0.0.1:9191", "db=9192"),
    "drain_s": 12.0,
    "gateway_mode": "remote",
}


def test_settings_from_flags():
    """Both sides, each upstream, the drain."""
    settings = make_settings(VALUES)
    assert settings.inbound == InboundSettings(8080, "127.0.0.1", "0.0.0.0", 20000)
    assert settings.upstreams == (Upstream("api", 9191), Upstream("db", 9192))
    assert settings.timeouts.drain_s == 12.0


def test_one_side_alone():
    """Without an app the proxy only calls; without upstreams it only serves."""
    assert make_settings({**VALUES, "app": None}).inbound is None
    assert make_settings({**VALUES, "upstreams": ()}).upstreams == ()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"app": None, "upstreams": ()}, "nothing to do"),
        ({"upstreams": ("api=1", "db=127.0.0.1:1")}, "the same address and port"),
        ({"upstreams": ("api",)}, "expected HOST:PORT"),
        ({"upstreams": ("=1",)}, "upstream service"),
        ({"upstreams": ("Api=1",)}, "upstream service"),
        ({"upstreams": ("api=127.0.0.1:x",)}, "no port"),
    ],
)
def test_mistakes_are_named(values: dict[str, Any], words: str):
    """One line says what is wrong."""
    with pytest.raises(click.UsageError, match=words):
        make_settings({**VALUES, **values})


def test_upstreams():
    """An address of any family, or a port on loopback."""
    assert parse_upstream("api=[::1]:9") == Upstream("api", 9, "::1")
    assert parse_upstream("api=9") == Upstream("api", 9, "127.0.0.1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--state-dir", "/s"], "Missing option '--service'"),
        (["--state-dir", "/s", "--service", "web"], "nothing to do"),
        (["--state-dir", "/s", "--service", "web", "--app", "x"], "no port"),
        (["--state-dir", "/s", "--service", "web", "--app", "127.0.0.1:1", "--gateway-mode", "none"], "gateway-mode"),
    ],
)
def test_the_command_refuses_in_one_line(arguments: list[str], words: str):
    """Nothing is started on a mistake."""
    result = CliRunner().invoke(proxy, arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
