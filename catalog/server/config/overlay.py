"""Flags over files over defaults for `linkspan catalog`. Pure."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from catalog.access.acl.settings import AclSettings
from catalog.server.config.document import ConfigError
from catalog.server.config.shapes import DEFINITIONS, Config

OFF = "off"
LEVELS = {"trace": "debug", "warn": "warning", "err": "error"}
"""Consul's names for the levels of logging that have another one here."""


def overlay(flags: Mapping[str, Any], given: Collection[str], config: Config) -> dict[str, Any]:
    """The flags, with the configuration's values for those that nobody has `given` on the command line.

    Raises:
        ConfigError: an address cannot be used.
    """
    plain = one_address("client_addr", config.client_addr, "127.0.0.1")
    found: dict[str, Any] = {
        "data_dir": Path(config.data_dir) if config.data_dir else None,
        "datacenter": config.datacenter or None,
        "http": _bind(plain, config.ports.http, config.client_addr, 8500),
        "mesh": _bind(one_address("bind_addr", config.bind_addr, "0.0.0.0"), config.ports.mesh, config.bind_addr, 8502),
        "dns": _bind(plain, config.ports.dns, config.client_addr, 8600),
        "dns_domain": config.domain or None,
        "recursors": tuple(config.recursors) or None,
        "node": config.node_name or None,
        "advertise": config.advertise_addr or None,
        "max_connections_per_address": config.limits.http_max_conns_per_client,
    }
    if found["mesh"] == OFF:
        raise ConfigError("ports.mesh: it cannot be switched off: agents and proxies come in by it")
    return {name: value if name in given or found.get(name) is None else found[name] for name, value in flags.items()}


def acl_of(config: Config, *, default_enabled: bool, agent_in_process: bool = False) -> AclSettings:
    """Access control as the configuration says; `default_enabled` where it says nothing.

    An agent in the same process that was given no token of its own takes the management token, as everything here is one
    trust: `agent_in_process`.
    """
    acl = config.acl
    enabled = default_enabled if acl.enabled is None else acl.enabled
    tokens = acl.tokens
    agent = tokens.agent or (tokens.initial_management if agent_in_process else "")
    return AclSettings(
        enabled=enabled,
        default_policy=acl.default_policy or ("allow" if agent_in_process or not enabled else "deny"),
        initial_management=tokens.initial_management,
        agent=agent,
        default=tokens.default,
        reveal_secrets=agent_in_process,
    )


def log_level(config: Config) -> str | None:
    """The level of logging that the configuration asks for, in Python's words; None if it says nothing."""
    if config.log_level is None:
        return None
    level = config.log_level.lower()
    return LEVELS.get(level, level)


def without_agent(config: Config) -> str:
    """What a process without an agent says about services and checks in its configuration; empty if there are none."""
    named = sorted(name for name in DEFINITIONS if getattr(config, name))
    return f"a catalog has no agent: {', '.join(named)} are for `linkspan agent` and ignored here" if named else ""


def one_address(name: str, text: str | None, default: str) -> str:
    """The one IP address that a setting names.

    Raises:
        ConfigError: it names several, or a template, which is not evaluated here.
    """
    if not text:
        return default
    if "{{" in text or len(text.split()) != 1:
        raise ConfigError(f"{name}: must be one IP address: templates and lists are not read here")
    return text


def _bind(host: str, port: int | None, said: str | None, usual: int) -> str | None:
    """`host:port`, `off` for port -1, None if the configuration says neither address nor port."""
    if port is None and not said:
        return None
    if port == -1:
        return OFF
    return f"[{host}]:{usual if port is None else port}" if ":" in host else f"{host}:{usual if port is None else port}"
