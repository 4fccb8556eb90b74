"""The settings that have a counterpart here, with Consul's names and defaults, and the names of those that have none.

Values only. `None` means "not set": a flag of the command, or its default, counts.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

Duration = str | int | float


class Ports(msgspec.Struct, frozen=True):
    """Listening ports; -1 switches one off. `https`, `grpc` and the gossip ports have no counterpart."""

    http: int | None = None
    dns: int | None = None
    mesh: int | None = None
    """Linkspan's own: the mutual TLS port."""


class Tokens(msgspec.Struct, frozen=True):
    """Secrets. They are never shown, logged or kept beside the token table."""

    initial_management: str = ""
    default: str = ""
    agent: str = ""


class Acl(msgspec.Struct, frozen=True):
    """Access control. `enabled` None: the command's own default (`linkspan dev` open, `linkspan catalog` closed)."""

    enabled: bool | None = None
    default_policy: str = ""
    tokens: Tokens = Tokens()


class DnsConfig(msgspec.Struct, frozen=True):
    """How names are answered (Consul's `dns_config`)."""

    max_stale: Duration | None = None
    node_ttl: Duration | None = None
    service_ttl: dict[str, Duration] = {}
    enable_truncate: bool | None = None
    only_passing: bool | None = None
    recursor_timeout: Duration | None = None
    udp_answer_limit: int | None = None
    a_record_limit: int | None = None
    disable_compression: bool | None = None
    soa: dict[str, int] = {}


class Limits(msgspec.Struct, frozen=True):
    """Bounds. Those of RPC, keys and transactions have no counterpart."""

    http_max_conns_per_client: int | None = None


class ConfigEntries(msgspec.Struct, frozen=True):
    """Config entries that are written at the start if they are not there."""

    bootstrap: list[dict[str, Any]] = []


class Connect(msgspec.Struct, frozen=True):
    """The mesh: it is always on, and its authority is the catalog's own."""

    enabled: bool | None = None


class Config(msgspec.Struct, frozen=True):
    """One configuration, merged of all files.

    `service`, `services`, `check` and `checks` are the definitions as they stand: the agent reads them itself.
    """

    ports: Ports = Ports()
    acl: Acl = Acl()
    dns_config: DnsConfig = DnsConfig()
    limits: Limits = Limits()
    connect: Connect = Connect()
    config_entries: ConfigEntries = ConfigEntries()
    datacenter: str | None = None
    primary_datacenter: str | None = None
    node_name: str | None = None
    node_meta: dict[str, str] = {}
    advertise_addr: str | None = None
    bind_addr: str | None = None
    client_addr: str | None = None
    data_dir: str | None = None
    domain: str | None = None
    alt_domain: str | None = None
    recursors: list[str] = []
    log_level: str | None = None
    enable_script_checks: bool | None = None
    enable_local_script_checks: bool | None = None
    network: str | None = None
    """Linkspan's own: the network of services registered here."""
    service: dict[str, Any] | None = None
    services: list[dict[str, Any]] = []
    check: dict[str, Any] | None = None
    checks: list[dict[str, Any]] = []


DEFINITIONS = frozenset({"service", "services", "check", "checks"})
"""What the agent registers, and no setting."""

RELOADABLE = frozenset({"log_level", *DEFINITIONS})
"""What a reload applies; a change of anything else takes a restart."""

QUIET = frozenset(
    {
        "bootstrap",
        "bootstrap_expect",
        "connect.enabled",
        "disable_anonymous_signature",
        "disable_update_check",
        "performance",
        "primary_datacenter",
        "server",
        "ui",
        "ui_config",
    }
)
"""Satisfied by what Linkspan is, or about a machine that it does not have: nothing is lost, so nothing is said."""

NO_COUNTERPART: Mapping[str, frozenset[str]] = {
    "": frozenset({
        "addresses", "advertise_addr_ipv4", "advertise_addr_ipv6", "advertise_addr_wan", "advertise_addr_wan_ipv4",
        "advertise_addr_wan_ipv6", "advertise_reconnect_timeout", "audit", "auto_config", "auto_encrypt",
        "auto_reload_config", "autopilot", "bootstrap", "bootstrap_expect", "ca_file", "ca_path", "cache", "cert_file",
        "check_output_max_size", "check_update_interval", "cloud",  "default_intention_policy",
        "default_query_time", "disable_anonymous_signature", "disable_coordinates", "disable_host_node_id",
        "disable_http_unprintable_char_filter", "disable_keyring_file", "disable_remote_exec", "disable_update_check",
        "discard_check_output", "discovery_max_stale", "enable_agent_tls_for_checks", "enable_central_service_config",
        "enable_debug", "enable_syslog", "encrypt", "encrypt_verify_incoming", "encrypt_verify_outgoing",
        "experiments", "gossip_lan", "gossip_wan", "http_config", "key_file", "leave_on_terminate", "license_path",
        "locality", "log_file", "log_json", "log_rotate_bytes", "log_rotate_duration", "log_rotate_max_files",
        "max_query_time", "node_id", "partition", "peering", "performance", "pid_file", "primary_gateways",
        "primary_gateways_interval", "protocol", "raft_boltdb", "raft_logstore", "raft_protocol",
        "raft_snapshot_interval", "raft_snapshot_threshold", "raft_trailing_logs", "read_replica", "reconnect_timeout",
        "reconnect_timeout_wan", "rejoin_after_leave", "reporting", "retry_interval", "retry_interval_wan",
        "retry_join", "retry_join_wan", "retry_max", "retry_max_wan", "rpc", "segment", "segments", "serf_lan",
        "serf_wan", "server", "server_name", "server_rejoin_age_max", "session_ttl_min", "skip_leave_on_interrupt",
        "start_join", "start_join_wan", "syslog_facility", "telemetry", "tls", "tls_cipher_suites", "tls_min_version",
        "tls_prefer_server_cipher_suites", "translate_wan_addrs", "ui", "ui_config", "ui_content_path", "ui_dir",
        "unix_sockets", "use_streaming_backend", "verify_incoming", "verify_incoming_https", "verify_incoming_rpc",
        "verify_outgoing", "verify_server_hostname", "watches", "xds",
    }),
    "ports": frozenset({
        "https", "grpc", "grpc_tls", "serf_lan", "serf_wan", "server", "sidecar_min_port", "sidecar_max_port",
        "expose_min_port", "expose_max_port",
    }),
    "acl": frozenset({
        "down_policy", "enable_key_list_policy", "enable_token_persistence", "enable_token_replication",
        "msp_disable_bootstrap", "policy_ttl", "role_ttl", "token_ttl",
    }),
    "acl.tokens": frozenset({
        "agent_recovery", "config_file_service_registration", "dns", "managed_service_provider", "replication",
    }),
    "dns_config": frozenset({"allow_stale", "recursor_strategy", "prefer_namespace", "use_cache", "cache_max_age", "enable_additional_node_meta_txt"}),
    "limits": frozenset({
        "kv_max_value_size", "txn_max_req_len",
        "https_handshake_timeout", "rpc_handshake_timeout", "rpc_client_timeout", "rpc_max_conns_per_client",
        "rpc_rate", "rpc_max_burst", "request_limits",
    }),
    "connect": frozenset({
        "ca_provider", "ca_config", "enable_mesh_gateway_wan_federation", "enable_serverless_plugin", "test_ca_leaf_root_change_spread",
    }),
}  # fmt: skip
"""Consul's keys that mean nothing here, by the object they stand in."""
