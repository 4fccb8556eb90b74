"""DNS of a catalog process: Consul's `dns_config` as settings, and a server over the engine's state."""

from collections.abc import Callable
from typing import Any

from catalog.access.authorizer import NOTHING, Authorizer
from catalog.api.gate import Gate
from catalog.api.http.connection import STATE_KEY, Connection
from catalog.api.http.errors import PermissionDeniedError
from catalog.compile.entries.duration import InvalidDurationError, parse_duration
from catalog.dns.answer.directory import QueryExecutor
from catalog.dns.answer.settings import DnsSettings
from catalog.dns.serve.made import check_settings, make_server
from catalog.dns.serve.server import DnsServer
from catalog.dns.wire.record import Soa
from catalog.engine import Catalog
from catalog.server.config.document import ConfigError
from catalog.server.config.shapes import Config, Duration
from catalog.server.directory import StateDirectory

_SOA_FIELDS = {"refresh": "refresh_s", "retry": "retry_s", "expire": "expire_s", "min_ttl": "min_ttl_s"}
_TTL_LIMIT_S = 2**31 - 1


def serve_state(
    settings: DnsSettings,
    engine: Catalog,
    authorizer: Callable[[], Authorizer],
    queries: QueryExecutor | None = None,
) -> DnsServer:
    """A server that answers from the engine's state with the rights of the moment, which are the anonymous token's.

    Without `queries` there are no prepared queries.

    Raises:
        ValueError: a domain or a recursor of the settings is none.
    """
    return make_server(settings, StateDirectory(lambda: engine.state, authorizer), queries=queries)


def rights_of_askers(gate: Gate) -> Callable[[], Authorizer]:
    """The rights of those who ask names, as of each question: those of the default token, else of the anonymous one.

    A token that is gone opens nothing.
    """
    scope: dict[str, Any] = {"state": {STATE_KEY: Connection(loopback=True)}}

    def rights() -> Authorizer:
        try:
            caller = gate.caller(scope, "")
            return NOTHING if caller is None else gate.authorizer(caller)
        except PermissionDeniedError:
            return NOTHING

    return rights


def dns_settings(config: Config, datacenter: str) -> DnsSettings:
    """What Consul's configuration says of DNS; what it does not say is Consul's default.

    Raises:
        ConfigError: a duration, a domain, a recursor or a bound cannot be used.
    """
    dns, default = config.dns_config, DnsSettings()
    unknown = set(dns.soa) - set(_SOA_FIELDS)
    if unknown:
        raise ConfigError(f"dns_config.soa.{min(unknown)}: unknown: it has refresh, retry, expire and min_ttl")
    soa = {_SOA_FIELDS[name]: _bounded(f"soa.{name}", value, 0xFFFFFFFF) for name, value in dns.soa.items()}
    settings = DnsSettings(
        domain=config.domain or default.domain,
        alt_domain=config.alt_domain or "",
        datacenter=datacenter,
        node_ttl_s=_ttl("node_ttl", dns.node_ttl),
        service_ttl_s={name.lower(): _ttl(f"service_ttl.{name}", ttl) for name, ttl in dns.service_ttl.items()},
        only_passing=bool(dns.only_passing),
        enable_truncate=bool(dns.enable_truncate),
        udp_answer_limit=default.udp_answer_limit if dns.udp_answer_limit is None else dns.udp_answer_limit,
        a_record_limit=_bounded("a_record_limit", dns.a_record_limit or 0, 0xFFFF),
        disable_compression=bool(dns.disable_compression),
        max_stale_s=default.max_stale_s if dns.max_stale is None else _seconds("max_stale", dns.max_stale),
        soa=Soa(**soa),
        recursors=tuple(config.recursors),
        recursor_timeout_s=_seconds("recursor_timeout", dns.recursor_timeout) or default.recursor_timeout_s,
    )
    try:
        return check_settings(settings)
    except ValueError as error:
        raise ConfigError(f"domain, alt_domain, recursors: {error}") from error


def _bounded(name: str, value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise ConfigError(f"dns_config.{name}: {value}: must be 0 to {most}")
    return value


def _ttl(name: str, value: Duration | None) -> int:
    return _bounded(name, int(_seconds(name, value)), _TTL_LIMIT_S)


def _seconds(name: str, value: Duration | None) -> float:
    if value is None:
        return 0.0
    try:
        seconds = parse_duration(value).seconds
    except InvalidDurationError as error:
        raise ConfigError(f"dns_config.{name}: {error}") from error
    if seconds < 0:
        raise ConfigError(f"dns_config.{name}: must not be negative")
    return seconds
