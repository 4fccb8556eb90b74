"""The bounds of what a change may carry, so that no caller can make the catalog hold or send without limit.

Numbers for meta are Consul's (64 pairs, keys of 128, values of 512 characters). Every refusal names the field as
Consul spells it. What a policy object means is judged elsewhere (`catalog.compile`): here it is only weighed.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from catalog.state.errors import InvalidChangeError
from catalog.state.records import Check, Node, ServiceInstance, Session
from mesh.model.names import InvalidNameError, check_node

MAX_META_PAIRS = 64
MAX_META_KEY = 128
MAX_META_VALUE = 512
MAX_NAME = 255
MAX_TEXT = 512
MAX_TAGS = 128
MAX_OUTPUT = 16 * 1024
MAX_RAW_BYTES = 64 * 1024
MAX_CONFIG_BYTES = 512 * 1024
MAX_RECORD_BYTES = 1024 * 1024
MAX_BATCH = 128
MAX_REGISTRATION = 1024
MAX_ON_NODE = 8192
MAX_DEPTH = 32
MAX_KEY_BYTES = 2048
MAX_VALUE_BYTES = 512 * 1024
MAX_FLAGS = 2**64 - 1
MAX_OPERATIONS = 128
MAX_GIVEN_ROWS = 65_536
MAX_SESSION_CHECKS = 64
MIN_SESSION_TTL_S = 10.0
MAX_SESSION_TTL_S = 86400.0
MAX_LOCK_DELAY_NS = 60 * 10**9
MIN_LEASE_S = 1.0
MAX_LEASE_S = 3600.0


def check_registered_node(node: Node) -> None:
    """Refuse a node whose fields are out of bounds; whether an address is needed is the registration's matter."""
    check_node_name(node.node)
    _text("Address", node.address)
    _text("ID", node.id)
    _text("Datacenter", node.datacenter)
    _pairs("TaggedAddresses", node.tagged_addresses)
    _pairs("NodeMeta", node.meta)


def check_instance(instance: ServiceInstance) -> None:
    """Refuse an instance whose fields are out of bounds."""
    check_name("Service.Service", instance.service)
    check_name("Service.ID", instance.id)
    _count("Service.Tags", len(instance.tags), MAX_TAGS)
    for tag in instance.tags:
        _text("Service.Tags", tag)
    _pairs("Service.Meta", instance.meta)
    _port("Service.Port", instance.port)
    _text("Service.Address", instance.address)
    _text("Service.SocketPath", instance.socket_path)
    _text("Service.Kind", instance.kind, MAX_NAME)
    _count("Service.TaggedAddresses", len(instance.tagged_addresses), MAX_META_PAIRS)
    for name, tagged in instance.tagged_addresses.items():
        _text("Service.TaggedAddresses", name, MAX_META_KEY)
        _text("Service.TaggedAddresses", tagged.address)
        _port("Service.TaggedAddresses", tagged.port)
    for weight in (instance.weights.passing, instance.weights.warning):
        if not 0 <= weight <= 65535:
            raise InvalidChangeError("Service.Weights", f"must be 0 to 65535, not {weight}")
    _port("Service.Proxy.LocalServicePort", instance.proxy.local_service_port)
    _text("Service.Proxy.DestinationServiceName", instance.proxy.destination_service_name, MAX_NAME)
    _text("Service.Proxy.DestinationServiceID", instance.proxy.destination_service_id, MAX_NAME)
    check_size("Service.Proxy", instance.proxy, MAX_RAW_BYTES)
    check_size("Service.Connect", instance.connect, MAX_RAW_BYTES)
    for raw in (
        instance.proxy.config,
        instance.proxy.upstreams,
        instance.proxy.mesh_gateway,
        instance.proxy.expose,
        instance.proxy.transparent_proxy,
        instance.proxy.access_logs,
        instance.proxy.envoy_extensions,
        instance.connect.sidecar_service,
    ):
        if raw:
            check_depth("Service.Proxy or Service.Connect", raw)


def check_check(check: Check) -> None:
    """Refuse a check whose fields are out of bounds."""
    check_name("Check.CheckID", check.check_id)
    _text("Check.Name", check.name)
    _text("Check.ServiceID", check.service_id, MAX_NAME)
    _text("Check.Notes", check.notes, MAX_OUTPUT)
    _text("Check.Output", check.output, MAX_OUTPUT)
    for field, value in (("Type", check.type), ("Interval", check.interval), ("Timeout", check.timeout)):
        _text(f"Check.{field}", value, MAX_META_KEY)
    _port("Check.ExposedPort", check.exposed_port)
    check_size("Check.Definition", check.definition, MAX_RAW_BYTES)
    check_depth("Check.Definition", check.definition)


def check_key(key: str, value: bytes = b"", flags: int = 0) -> None:
    """Refuse a key that is empty, too long or holds a NUL, and values and flags out of bounds."""
    if not key:
        raise InvalidChangeError("Key", "must not be empty")
    if "\0" in key:
        raise InvalidChangeError("Key", "must not hold a NUL")
    _count("Key", len(key.encode()), MAX_KEY_BYTES, "bytes")
    _count("Value", len(value), MAX_VALUE_BYTES, "bytes")
    if not 0 <= flags <= MAX_FLAGS:
        raise InvalidChangeError("Flags", "must be 0 to 2^64-1")


def check_session(session: Session) -> None:
    """Refuse a session whose fields are out of bounds."""
    check_name("ID", session.id)
    check_node_name(session.node)
    _text("Name", session.name)
    _text("TTL", session.ttl, MAX_META_KEY)
    _count("NodeChecks and ServiceChecks", len(session.checks), MAX_SESSION_CHECKS)
    for check_id in session.checks:
        check_name("NodeChecks and ServiceChecks", check_id)
    if session.ttl and not MIN_SESSION_TTL_S <= session.ttl_s <= MAX_SESSION_TTL_S:
        raise InvalidChangeError("TTL", f"must be {MIN_SESSION_TTL_S:g} to {MAX_SESSION_TTL_S:g} seconds")
    if not 0 <= session.lock_delay_ns <= MAX_LOCK_DELAY_NS:
        raise InvalidChangeError("LockDelay", "must be 0 to 60 seconds")


def check_output(output: str) -> None:
    """Refuse a check's output that is too long; who sends it truncates it."""
    _text("Output", output, MAX_OUTPUT)


def check_node_name(name: str) -> None:
    """Refuse a text that cannot name a node."""
    try:
        check_node(name)
    except InvalidNameError as error:
        raise InvalidChangeError("Node", f"is refused: {error}") from error


def check_name(field: str, name: str) -> None:
    """Refuse a name that is empty, too long, or holds control characters."""
    if not name:
        raise InvalidChangeError(field, "must not be empty")
    _text(field, name, MAX_NAME)


def check_size(field: str, value: Any, limit_bytes: int) -> None:
    """Refuse a value whose JSON is larger than `limit_bytes`, or that has none."""
    if value is None or (isinstance(value, Mapping) and not value):
        return
    try:
        size = len(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidChangeError(field, f"must be JSON: {error}") from error
    _count(field, size, limit_bytes, "bytes of JSON")


def check_depth(field: str, value: Any, depth: int = 0) -> None:
    """Refuse JSON nested deeper than `MAX_DEPTH`: what is written to the log must be read again by any stack."""
    if depth > MAX_DEPTH:
        raise InvalidChangeError(field, f"must be nested at most {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for part in value:
        check_depth(field, part, depth + 1)


def check_count(field: str, count: int, limit: int) -> None:
    """Refuse more than `limit` of something."""
    _count(field, count, limit)


def check_ttl(ttl_s: float) -> None:
    """Refuse a lease outside 1 s to 1 h."""
    if not MIN_LEASE_S <= ttl_s <= MAX_LEASE_S:
        raise InvalidChangeError("TTL", f"must be {MIN_LEASE_S:g} to {MAX_LEASE_S:g} seconds, not {ttl_s:g}")


def _count(field: str, count: int, limit: int, what: str = "of them") -> None:
    if count > limit:
        raise InvalidChangeError(field, f"must be at most {limit} {what}, not {count}")


def _text(field: str, text: str, limit: int = MAX_TEXT) -> None:
    if len(text) > limit:
        raise InvalidChangeError(field, f"must be at most {limit} characters, not {len(text)}")
    if limit <= MAX_TEXT and not text.isprintable():
        raise InvalidChangeError(field, "must not hold control characters")


def _pairs(field: str, pairs: Mapping[str, str]) -> None:
    _count(field, len(pairs), MAX_META_PAIRS, "pairs")
    for key, value in pairs.items():
        if not key or len(key) > MAX_META_KEY:
            raise InvalidChangeError(field, f"must have keys of 1 to {MAX_META_KEY} characters: {key[:MAX_META_KEY]!r}")
        if len(value) > MAX_META_VALUE:
            raise InvalidChangeError(
                f"{field}[{key!r}]", f"must be at most {MAX_META_VALUE} characters, not {len(value)}"
            )


def _port(field: str, port: int) -> None:
    if not 0 <= port <= 65535:
        raise InvalidChangeError(field, f"must be 0 to 65535, not {port}")
