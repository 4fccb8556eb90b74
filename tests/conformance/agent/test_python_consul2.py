"""Every call of python-consul2's API, made through `catalog/client` on trio against a whole `linkspan dev`.

The calls are found by introspection: one without a row fails. A row's arguments may name what an earlier one kept (`Kept`).
"""

import inspect
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from consul import base

from catalog.client import Consul
from tests.fakes.agent.dev import open_dev

ROOT = "11111111-1111-1111-1111-111111111111"
CONFIG = {"acl": {"enabled": True, "default_policy": "allow", "tokens": {"initial_management": ROOT}}}
GONE = (base.ClientError, "removed in Consul 1.11")
NO_KEYRING = (base.ConsulException, "keyring is empty")


class Kept(str):
    """What an earlier row's answer was kept as."""

    __slots__ = ()


class Row(NamedTuple):
    """`want` is what the answer must equal, a test of it, or an exception with a part of its text."""

    name: str
    args: tuple[Any, ...] = ()
    want: Any = True
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed
    keep: str = ""


def has(*keys: str) -> Callable[[Any], bool]:
    """The answer (past its index) is an object, or a list of such, with these keys."""

    def check(answer: Any) -> bool:
        value = answer[1] if isinstance(answer, tuple) else answer
        value = value[0] if isinstance(value, list) else value
        return isinstance(value, dict) and set(keys) <= set(value)

    return check


def is_list(answer: Any) -> bool:
    """The answer (past its index) is a list."""
    return isinstance(answer[1] if isinstance(answer, tuple) else answer, list)


AGENT = (
    Row("agent.service.register", ("web",), options={"port": 80, "ttl": "9s", "tags": ["t"], "meta": {"a": "b"}}),
    Row("agent.services", (), has("web")),
    Row("agent.checks", (), has("service:web")),
    Row("agent.self", (), has("Config", "Coord", "DebugConfig", "Member", "Meta", "Stats", "xDS")),
    Row("agent.members", (), has("Name", "Addr", "Status", "Tags")),
    Row("agent.check.register", ("c",), options={"ttl": "9s", "check_id": "cid", "service_id": "web"}),
    Row("agent.check.ttl_pass", ("cid", "fine")),
    Row("agent.check.ttl_warn", ("cid",)),
    Row("agent.check.ttl_fail", ("cid",)),
    Row("agent.check.deregister", ("cid",)),
    Row("agent.connect.root_certificates", (), has("ActiveRootID", "TrustDomain", "Roots")),
    Row("agent.connect.leaf_certificates", ("web",), has("CertPEM", "PrivateKeyPEM", "ServiceURI")),
    Row(
        "agent.connect.authorize",
        ("web", "spiffe://other/ns/default/dc/dc1/svc/a", "01"),
        lambda answer: answer["Authorized"] is False and "external trust domain" in answer["Reason"],
    ),
    Row("agent.service.maintenance", ("web", "true", "why")),
    Row("agent.service.deregister", ("web",)),
    Row("agent.maintenance", ("true", "why")),
    Row("agent.maintenance", ("false",)),
    Row("agent.join", ("127.0.0.1",)),
    Row("agent.join", ("192.0.2.1",), (base.ConsulException, "do not gossip")),
    Row("agent.force_leave", ("nobody",), (base.ConsulException, "No node found with name 'nobody'")),
)
CATALOG = (
    Row("catalog.datacenters", (), ["dc1"]),
    Row("catalog.register", ("n2", "192.0.2.2"), options={"service": {"Service": "db", "Port": 5432}}),
    Row("catalog.register", ("n2", "192.0.2.2"), options={"check": {"Name": "alive", "Status": "passing"}}),
    Row("catalog.node", ("n2",), has("Node", "Services")),
    Row("catalog.nodes", (), has("Node", "Address", "Meta")),
    Row("catalog.service", ("db",), has("ServiceID", "ServicePort")),
    Row("catalog.services", (), has("consul", "db")),
    Row("health.checks", ("db",), is_list),
    Row("health.node", ("n1",), has("CheckID", "Status")),
    Row("health.service", ("db",), has("Node", "Service", "Checks")),
    Row("health.state", ("passing",), has("CheckID", "Node")),
    Row("catalog.deregister", ("n2",)),
    Row("status.leader", (), "127.0.0.1:8300"),
    Row("status.peers", (), ["127.0.0.1:8300"]),
    Row("coordinate.datacenters", (), has("Datacenter", "AreaID", "Coordinates")),
    Row("coordinate.nodes", (), is_list),
    Row("event.fire", ("deploy", "now"), has("ID", "Name", "Payload")),
    Row("event.list", (), has("ID", "LTime")),
)
DATA = (
    Row("kv.put", ("a/b", "v")),
    Row("kv.get", ("a/b",), lambda answer: answer[1]["Value"] == b"v"),
    Row("kv.delete", ("a/b",)),
    Row("txn.put", ([{"KV": {"Verb": "set", "Key": "k", "Value": "dg=="}}],), has("Results", "Errors")),
    Row("session.create", ("s",), lambda answer: len(answer) == 36, {"ttl": 20}, "session"),
    Row("session.info", (Kept("session"),), has("ID", "TTL", "LockDelay")),
    Row("session.list", (), has("ID")),
    Row("session.node", ("n1",), has("ID")),
    Row("session.renew", (Kept("session"),), has("ID")),
    Row("session.destroy", (Kept("session"),)),
    Row("query.create", ("web", "q1"), has("ID"), {}, "query"),
    Row("query.list", (), has("ID", "Name", "Service")),
    Row("query.get", (Kept("query.ID"),), has("ID", "Name", "Service")),
    Row("query.explain", ("q1",), has("Query")),
    Row("query.execute", ("q1",), has("Service", "Nodes", "DNS", "Datacenter", "Failovers")),
    Row("query.update", (Kept("query.ID"), "web", "q2")),
    Row("query.delete", (Kept("query.ID"),)),
)
POLICY = (
    Row("config.put", ({"Kind": "service-defaults", "Name": "web", "Protocol": "http"},)),
    Row("config.get", ("service-defaults", "web"), has("Kind", "Name", "Protocol")),
    Row("config.list", ("service-defaults",), has("Kind")),
    Row("config.delete", ("service-defaults", "web")),
    Row("connect.certificates.current", (), has("Provider", "Config")),
    Row("connect.certificates.list", (), has("ActiveRootID", "Roots")),
    Row("connect.certificates.put", ({}, "consul")),
    Row("connect.intentions.create", ("a", "b", "consul", "allow"), has("ID"), {}, "intention"),
    Row("connect.intentions.check", ("a", "b"), {"Allowed": True}),
    Row("connect.intentions.list", (), has("ID", "SourceName", "DestinationName")),
    Row("connect.intentions.list_match", ("source", "a"), has("a")),
    Row("connect.intentions.get", (Kept("intention.ID"),), has("ID", "Action")),
    Row(
        "connect.intentions.put",
        (Kept("intention.ID"),),
        options={"source_name": "a", "destination_name": "b", "source_type": "consul", "action": "deny"},
    ),
    Row("connect.intentions.delete", (Kept("intention.ID"),)),
)
OPERATOR = (
    Row("operator.autopilot.configuration", (), has("CleanupDeadServers", "LastContactThreshold")),
    Row("operator.autopilot.health", (), has("Healthy", "Servers")),
    Row("operator.autopilot.update", ({"CleanupDeadServers": True},)),
    Row("operator.keyring.create", ("k",), NO_KEYRING),
    Row("operator.keyring.delete", ("k",), NO_KEYRING),
    Row("operator.keyring.list", (), NO_KEYRING),
    Row("operator.keyring.update", ("k",), NO_KEYRING),
    Row("operator.raft.configuration", (), has("Servers", "Index")),
    Row("operator.raft.delete", (), (base.ConsulException, "was not found"), {"address": "192.0.2.1:8300"}),
    Row("operator.raft_config", (), has("Servers", "Index")),
    Row("snapshot.get", (), lambda answer: answer.startswith(b"\x1f\x8b"), {}, "snapshot"),
    Row("snapshot.put", (Kept("snapshot"),), lambda answer: answer is not None),
    Row("snapshot.save", (Kept("file"),), None),
    Row("snapshot.restore", (Kept("file"),), None),
)
METHOD = {"Name": "m", "Type": "jwt", "Config": {"JWTValidationPubKeys": [Kept("public_key")], "BoundIssuer": "me"}}
ACCESS = (
    Row("acl.bootstrap", (), (base.ACLPermissionDenied, "bootstrap")),
    Row("acl.policy.create", ("p", "d", 'key "a" { policy = "read" }'), has("ID", "Hash"), {}, "policy"),
    Row("acl.policy.get", (Kept("policy.ID"),), has("ID", "Rules")),
    Row("acl.policy.list", (), has("ID", "Name")),
    Row("acl.policy.update", (Kept("policy.ID"), "p", "other"), has("ID")),
    Row("acl.roles.create", ({"Name": "r"},), has("ID"), {}, "role"),
    Row("acl.roles.get", (Kept("role.ID"),), has("ID", "Name")),
    Row("acl.roles.get_by_name", ("r",), has("ID")),
    Row("acl.roles.list", (), has("ID")),
    Row("acl.roles.update", ({"Name": "r", "Description": "x"}, Kept("role.ID")), has("ID")),
    Row("acl.tokens.create", ({"Description": "d"},), has("AccessorID", "SecretID"), {}, "token"),
    Row("acl.tokens.get", (Kept("token.AccessorID"),), has("AccessorID")),
    Row("acl.tokens.list", (), has("AccessorID")),
    Row("acl.tokens.self", (), lambda answer: answer["SecretID"] == ROOT),
    Row("acl.tokens.update", ({"Description": "e"}, Kept("token.AccessorID")), has("AccessorID")),
    Row("acl.tokens.clone", ("copy",), has("AccessorID"), {"accessor_id": Kept("token.AccessorID")}),
    Row("acl.tokens.delete", (Kept("token.AccessorID"),)),
    Row("acl.auth_method.create", (METHOD,), has("Name", "Type")),
    Row("acl.auth_method.get", ("m",), has("Name", "Config")),
    Row("acl.auth_method.list", (), has("Name")),
    Row("acl.auth_method.update", ({**METHOD, "Description": "x"}, "m"), has("Name")),
    Row(
        "acl.binding_rule.create",
        ({"AuthMethod": "m", "BindType": "service", "BindName": "web"},),
        has("ID"),
        {},
        "rule",
    ),
    Row("acl.binding_rule.get", (Kept("rule.ID"),), has("ID", "BindName")),
    Row("acl.binding_rule.list", (), has("ID")),
    Row(
        "acl.binding_rule.update",
        ({"AuthMethod": "m", "BindType": "service", "BindName": "api"}, Kept("rule.ID")),
        has("ID"),
    ),
    Row("acl.login", ("m", "no.jwt.here"), (base.ConsulException, "")),
    Row("acl.logout", (), (base.ConsulException, "")),
    Row("acl.binding_rule.delete", (Kept("rule.ID"),)),
    Row("acl.auth_method.delete", ("m",)),
    Row("acl.roles.delete", (Kept("role.ID"),)),
    Row("acl.policy.delete", (Kept("policy.ID"),)),
    Row("acl.replication", (), has("Enabled")),
)
LEGACY = tuple(
    Row(f"acl.{family}{name}", args, GONE)
    for family in ("", "legacy_tokens.")
    for name, args in (
        ("clone", ("x",)),
        ("create", ()),
        ("destroy", ("x",)),
        ("info", ("x",)),
        ("list", ()),
        ("update", ("x",)),
    )
)
MOVED = (
    Row("acl.self", (), lambda answer: answer["SecretID"] == ROOT),
    Row("acl.create_translate", ("x",), GONE),
    Row("acl.get_translate", ("x",), GONE),
)
FAMILIES = {
    "agent": AGENT,
    "catalog": CATALOG,
    "data": DATA,
    "policy": POLICY,
    "operator": OPERATOR,
    "access": ACCESS,
    "legacy": LEGACY + MOVED,
}


def calls_of(family: object, path: str = "") -> set[str]:
    """Every public method of python-consul2's families, by its dotted name."""
    found = {
        f"{path}{name}"
        for name, method in inspect.getmembers(type(family), inspect.isfunction)
        if path and not name.startswith("_") and method.__module__ in {"consul.base", "catalog.client.snapshot"}
    }
    for name, part in vars(family).items():
        is_back = bool(path) and name == "agent"  # a family's way back to its client
        if not is_back and isinstance(type(part), type) and issubclass(type(part), _FAMILIES):
            found |= calls_of(part, f"{path}{name}.")
    return found


def _nested(kind: type) -> tuple[type, ...]:
    inner = [value for value in vars(kind).values() if inspect.isclass(value)]
    return (*inner, *(deeper for one in inner for deeper in _nested(one)))


_FAMILIES = _nested(base.Consul)


async def test_every_call_has_a_row() -> None:
    """And every row a call."""
    async with Consul("127.0.0.1", 1) as client:
        calls = calls_of(client)
    assert len(calls) > 100
    assert {row.name for rows in FAMILIES.values() for row in rows} == calls


@pytest.mark.parametrize("family", FAMILIES)
async def test_each_call(family: str, tmp_path: Path) -> None:
    """Row by row, in their order, against one process's insides."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "consul.json").write_text(json.dumps(CONFIG))
    config = tmp_path / "config" if family in {"access", "legacy"} else None
    memory: dict[str, Any] = {"file": str(tmp_path / "snapshot"), "public_key": _public_key()}
    wrong: dict[str, str] = {}
    async with open_dev(config) as dev, Consul("127.0.0.1", dev.port, token=ROOT if config else None) as client:
        for row in FAMILIES[family]:
            wrong[row.name] = wrong.get(row.name, "") + await _problem(client, row, memory)
    assert {name: problem for name, problem in wrong.items() if problem} == {}


async def _problem(client: Consul, row: Row, memory: dict[str, Any]) -> str:
    call: Any = client
    for step in row.name.split("."):
        call = getattr(call, step)
    args, options = _filled(row.args, memory), _filled(row.options, memory)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # python-consul2 warns of what Consul has removed
            asked = call(*args, **options)
        answer = await asked
    except base.ConsulException as error:
        if isinstance(row.want, tuple) and isinstance(error, row.want[0]) and row.want[1] in str(error):
            return ""
        return f"{type(error).__name__}: {error}"
    if row.keep:
        memory[row.keep] = answer
    if isinstance(row.want, tuple):
        return f"no error but {answer!r}"
    is_right = row.want(answer) if callable(row.want) else answer == row.want
    return "" if is_right else f"answered {answer!r}"


def _filled(value: Any, memory: dict[str, Any]) -> Any:
    """The value with what was kept in place of its names; `name.Key` is a part of it."""
    if isinstance(value, Kept):
        name, _, key = value.partition(".")
        found = memory[name]
        return found[key] if key else found
    if isinstance(value, dict):
        return {key: _filled(item, memory) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_filled(item, memory) for item in value)
    return value


def _public_key() -> str:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
