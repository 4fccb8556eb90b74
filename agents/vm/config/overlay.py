"""Flags over files over defaults, and a warning for what a dev process cannot honour. Pure."""

from collections.abc import Collection, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from catalog.server.config.document import ConfigError
from catalog.server.config.overlay import log_level
from catalog.server.config.shapes import Config


def overlay(flags: Mapping[str, Any], given: Collection[str], config: Config) -> dict[str, Any]:
    """The flags, with the configuration's values for those that nobody has `given` on the command line.

    Raises:
        ConfigError: the configuration asks for what a dev process cannot be.
    """
    for name, port in (("http", config.ports.http), ("mesh", config.ports.mesh)):
        if port == -1:
            raise ConfigError(f"ports.{name}: it cannot be switched off in a dev process: give a port, or 0")
    scripts = config.enable_script_checks
    found = {
        "http_port": config.ports.http,
        "mesh_port": config.ports.mesh,
        "dns_port": config.ports.dns,
        "node": config.node_name or None,
        "network": config.network or None,
        "datacenter": config.datacenter or None,
        "data_dir": Path(config.data_dir) if config.data_dir else None,
        "enable_script_checks": scripts,
        "log_level": log_level(config),
    }
    return {name: value if name in given or found.get(name) is None else found[name] for name, value in flags.items()}


def beyond_loopback(config: Config) -> tuple[str, ...]:
    """The settings that would open a dev process to other machines; they are ignored, and said to be."""
    named = {
        "bind_addr": config.bind_addr,
        "client_addr": config.client_addr,
        "advertise_addr": config.advertise_addr,
    }
    return tuple(name for name, value in named.items() if value and not all(map(is_loopback, value.split())))


def is_loopback(address: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
