"""Every method of every path, and what it asks of a token: one line each. A route without its line fails the matrix.

`{x}` in a target or body is a name, `{id}` the id of what `of` made; both exist once as the thing that is hidden, and
once as something that does not exist. `kind` says what happens to who has no right to it.
"""

from typing import Any, NamedTuple

OPEN = "open"  # everybody is answered alike
HIDES = "hides"  # answered as if it were not there
DENIES = "denies"  # 403, whether it is there or not
OWN = "own"  # 403 for tokens without rights; what it does is about the caller's own token or certificate


class Row(NamedTuple):
    """One method of one path. `rules` are the least that allow it; `of` names what `{id}` is the id of."""

    route: str
    kind: str
    rules: str = ""
    target: str = ""
    body: Any = None
    of: str = ""


def node(policy: str) -> str:
    return f'node "{{x}}" {{ policy = "{policy}" }} '


def service(policy: str) -> str:
    return f'service "{{x}}" {{ policy = "{policy}" }} '


def intentions(policy: str) -> str:
    return f'service "{{x}}" {{ policy = "read" intentions = "{policy}" }} '


def named(resource: str, policy: str) -> str:
    return f'{resource} "{{x}}" {{ policy = "{policy}" }} '


SEES = node("read") + service("read")
OPERATOR_R, OPERATOR_W, ACL_R, ACL_W = 'operator = "read"', 'operator = "write"', 'acl = "read"', 'acl = "write"'
MESH_W, KEYRING_R, KEYRING_W = 'mesh = "write"', 'keyring = "read"', 'keyring = "write"'
PEERING_R, PEERING_W = 'peering = "read"', 'peering = "write"'
ANY_AGENT_R, ANY_AGENT_W = 'agent_prefix "" { policy = "read" }', 'agent_prefix "" { policy = "write" }'
REGISTER = {"Node": "{x}", "Address": "192.0.2.9", "Service": {"Service": "{x}"}}
INTENTION = "?source=src&destination={x}"
DEFAULTS = {"Kind": "service-defaults", "Name": "{x}", "Protocol": "http"}
QUERY = {"Name": "{x}", "Service": {"Service": "{x}"}}
UPDATE = {"Node": "{x}", "Coord": {"Vec": [0] * 8, "Error": 1, "Adjustment": 0, "Height": 0.1}}

CATALOG = (
    Row("PUT /v1/catalog/register", DENIES, node("write") + service("write"), body=REGISTER),
    Row("GET /v1/catalog/datacenters", OPEN),
    Row("GET /v1/catalog/nodes", HIDES, node("read")),
    Row("GET /v1/catalog/services", HIDES, service("read")),
    Row("GET /v1/catalog/service/{name}", HIDES, SEES),
    Row("GET /v1/catalog/connect/{name}", HIDES, SEES),
    Row("GET /v1/catalog/node/{name}", HIDES, SEES),
    Row("GET /v1/catalog/node-services/{name}", HIDES, SEES),
    Row("GET /v1/catalog/gateway-services/{gateway}", DENIES, service("read")),
    Row("GET /v1/health/service/{name}", HIDES, SEES),
    Row("GET /v1/health/connect/{name}", HIDES, SEES),
    Row("GET /v1/health/ingress/{service}", DENIES, SEES),
    Row("GET /v1/health/checks/{name}", HIDES, SEES),
    Row("GET /v1/health/node/{name}", HIDES, SEES),
    Row("GET /v1/health/state/{name}", HIDES, SEES, "/v1/health/state/any"),
    Row("GET /v1/status/leader", OPEN),
    Row("GET /v1/status/peers", OPEN),
    Row("PUT /v1/catalog/deregister", DENIES, node("write"), body={"Node": "{x}", "CheckID": "none"}),
)
POLICY = (
    Row("GET /v1/connect/intentions", HIDES, intentions("read")),
    Row("POST /v1/connect/intentions", DENIES, intentions("write"), body={"SourceName": "a", "DestinationName": "{x}", "Action": "allow"}),
    Row("GET /v1/connect/intentions/exact", DENIES, intentions("read"), "/v1/connect/intentions/exact" + INTENTION),
    Row("PUT /v1/connect/intentions/exact", DENIES, intentions("write"), "/v1/connect/intentions/exact" + INTENTION, {"Action": "allow"}),
    Row("GET /v1/connect/intentions/match", DENIES, intentions("read"), "/v1/connect/intentions/match?by=destination&name={x}"),
    Row("GET /v1/connect/intentions/check", DENIES, intentions("read"), "/v1/connect/intentions/check" + INTENTION),
    Row("DELETE /v1/connect/intentions/exact", DENIES, intentions("write"), "/v1/connect/intentions/exact" + INTENTION),
    Row("GET /v1/connect/intentions/{intention_id}", DENIES, intentions("read"), of="intention"),
    Row("PUT /v1/connect/intentions/{intention_id}", DENIES, intentions("write"), body={"SourceName": "a", "DestinationName": "{x}", "Action": "allow"}, of="intention"),
    Row("DELETE /v1/connect/intentions/{intention_id}", DENIES, intentions("write"), of="intention"),
    Row("PUT /v1/config", DENIES, service("write"), body=DEFAULTS),
    Row("GET /v1/config/{kind}", HIDES, service("read"), "/v1/config/service-defaults"),
    Row("GET /v1/config/{kind}/{name}", DENIES, service("read"), "/v1/config/service-defaults/{x}"),
    Row("DELETE /v1/config/{kind}/{name}", DENIES, service("write"), "/v1/config/service-defaults/{x}"),
    Row("GET /v1/discovery-chain/{service}", DENIES, service("read")),
    Row("POST /v1/discovery-chain/{service}", DENIES, service("read"), body={}),
    Row("GET /v1/connect/ca/roots", OPEN),
    Row("GET /v1/connect/ca/configuration", DENIES, OPERATOR_R),
    Row("PUT /v1/connect/ca/configuration", DENIES, OPERATOR_W, body={"Provider": "consul", "Config": {}}),
)  # fmt: skip
KV = (
    Row("GET /v1/kv/{key:key}", DENIES, named("key", "read"), "/v1/kv/{x}"),
    Row("PUT /v1/kv/{key:key}", DENIES, named("key", "write"), "/v1/kv/{x}", b"v"),
    Row("DELETE /v1/kv/{key:key}", DENIES, named("key", "write"), "/v1/kv/{x}"),
    Row("GET /v1/kv", OPEN),
    Row("PUT /v1/kv", OPEN, body=b"v"),
    Row("DELETE /v1/kv", OPEN),
    Row("PUT /v1/session/create", DENIES, named("session", "write") + node("read"), body={"Node": "{x}"}),
    Row("GET /v1/session/info/{session_id}", HIDES, named("session", "read"), of="session"),
    Row("GET /v1/session/node/{node}", HIDES, named("session", "read")),
    Row("GET /v1/session/list", HIDES, named("session", "read")),
    Row("PUT /v1/session/renew/{session_id}", DENIES, named("session", "write"), of="session"),
    Row("PUT /v1/session/destroy/{session_id}", DENIES, named("session", "write"), of="session"),
    Row("PUT /v1/txn", DENIES, named("key", "write"), body=[{"KV": {"Verb": "set", "Key": "{x}", "Value": "dg=="}}]),
    Row("GET /v1/query", HIDES, named("query", "read")),
    Row("POST /v1/query", DENIES, named("query", "write"), body={"Name": "{x}", "Service": {"Service": "w"}}),
    Row("GET /v1/query/{query}", DENIES, named("query", "read"), of="query"),
    Row("PUT /v1/query/{query}", DENIES, named("query", "write"), body=QUERY, of="query"),
    Row("GET /v1/query/{query}/explain", DENIES, named("query", "read"), "/v1/query/{x}/explain"),
    Row("GET /v1/query/{query}/execute", HIDES, SEES + named("query", "read"), "/v1/query/{x}/execute"),
    Row("DELETE /v1/query/{query}", DENIES, named("query", "write"), of="query"),
    Row("PUT /v1/event/fire/{name}", DENIES, named("event", "write")),
    Row("GET /v1/event/list", HIDES, named("event", "read")),
)
OPERATOR = (
    Row("GET /v1/operator/raft/configuration", DENIES, OPERATOR_R),
    Row("DELETE /v1/operator/raft/peer", DENIES, OPERATOR_W, "/v1/operator/raft/peer?id=x"),
    Row("POST /v1/operator/raft/transfer-leader", DENIES, OPERATOR_W),
    Row("GET /v1/operator/keyring", DENIES, KEYRING_R),
    Row("POST /v1/operator/keyring", DENIES, KEYRING_W, body={"Key": "x"}),
    Row("PUT /v1/operator/keyring", DENIES, KEYRING_W, body={"Key": "x"}),
    Row("DELETE /v1/operator/keyring", DENIES, KEYRING_W, body={"Key": "x"}),
    Row("GET /v1/operator/autopilot/configuration", DENIES, OPERATOR_R),
    Row("PUT /v1/operator/autopilot/configuration", DENIES, OPERATOR_W, body={}),
    Row("GET /v1/operator/autopilot/health", DENIES, OPERATOR_R),
    Row("GET /v1/operator/autopilot/state", DENIES, OPERATOR_R),
    Row("GET /v1/operator/usage", DENIES, OPERATOR_R),
    Row("GET /v1/operator/utilization", DENIES, OPERATOR_R),
    Row("GET /v1/coordinate/datacenters", HIDES, node("read")),
    Row("GET /v1/coordinate/nodes", HIDES, node("read")),
    Row("GET /v1/coordinate/node/{node}", DENIES, node("read")),
    Row("PUT /v1/coordinate/update", DENIES, node("write"), body=UPDATE),
    Row("GET /v1/peering/{name}", DENIES, PEERING_R),
    Row("GET /v1/peerings", DENIES, PEERING_R),
    Row("POST /v1/peering/token", DENIES, PEERING_W, body={"PeerName": "{x}"}),
    Row("POST /v1/peering/establish", DENIES, PEERING_W, body={"PeerName": "{x}", "PeeringToken": "x"}),
    Row("DELETE /v1/peering/{name}", DENIES, PEERING_W),
    Row("GET /v1/exported-services", DENIES, 'mesh = "read"'),
    Row("GET /v1/imported-services", DENIES, 'mesh = "read"'),
    Row("GET /v1/snapshot", DENIES, ACL_W),
    Row("PUT /v1/snapshot", DENIES, ACL_W, body=b"nonsense"),
    Row("GET /", OPEN),
    Row("GET /v1/openapi.json", OPEN),
)
MESH = (
    Row("POST /v1/linkspan/sync", DENIES, service("read"), body={"wants": [{"name": "chain/{x}"}]}),
    Row("PUT /v1/linkspan/lease/{node}", DENIES, node("write")),
    Row("POST /v1/linkspan/leaf", OWN, body={"csr_pem": "x"}),
    Row("POST /v1/linkspan/join", OWN, body={"method": "token", "token": "x", "csr_pem": "x"}),
    Row("POST /v1/linkspan/token", DENIES, ACL_W, body={"Node": "{x}"}),
    Row("PUT /v1/linkspan/revoke/{serial}", DENIES, OPERATOR_W, "/v1/linkspan/revoke/ffff"),
    Row("DELETE /v1/linkspan/grant/{node}", DENIES, OPERATOR_W),
)
ACL = (
    Row("PUT /v1/acl/bootstrap", OWN),
    Row("GET /v1/acl/replication", DENIES, ACL_R),
    Row("GET /v1/acl/templated-policies", DENIES, ACL_R),
    Row("GET /v1/acl/templated-policy/name/{name:path}", DENIES, ACL_R, "/v1/acl/templated-policy/name/builtin/dns"),
    Row("POST /v1/acl/templated-policy/preview/{name:path}", DENIES, ACL_R, "/v1/acl/templated-policy/preview/builtin/dns"),
    Row("GET /v1/acl/tokens", DENIES, ACL_R),
    Row("PUT /v1/acl/token", DENIES, ACL_W, body={}),
    Row("GET /v1/acl/token/self", OWN),
    Row("GET /v1/acl/token/{accessor}", DENIES, ACL_R, of="token"),
    Row("PUT /v1/acl/token/{accessor}", DENIES, ACL_W, body={}, of="token"),
    Row("PUT /v1/acl/token/{accessor}/clone", DENIES, ACL_W, of="token"),
    Row("DELETE /v1/acl/token/{accessor}", DENIES, ACL_W, of="token"),
    Row("GET /v1/acl/policies", DENIES, ACL_R),
    Row("PUT /v1/acl/policy", DENIES, ACL_W, body={"Name": "made"}),
    Row("GET /v1/acl/policy/name/{name:path}", DENIES, ACL_R),
    Row("GET /v1/acl/policy/{id}", DENIES, ACL_R, of="policy"),
    Row("PUT /v1/acl/policy/{id}", DENIES, ACL_W, body={"Name": "{x}"}, of="policy"),
    Row("DELETE /v1/acl/policy/{id}", DENIES, ACL_W, of="policy"),
    Row("GET /v1/acl/roles", DENIES, ACL_R),
    Row("PUT /v1/acl/role", DENIES, ACL_W, body={"Name": "made"}),
    Row("GET /v1/acl/role/name/{name}", DENIES, ACL_R),
    Row("GET /v1/acl/role/{id}", DENIES, ACL_R, of="role"),
    Row("PUT /v1/acl/role/{id}", DENIES, ACL_W, body={"Name": "{x}"}, of="role"),
    Row("DELETE /v1/acl/role/{id}", DENIES, ACL_W, of="role"),
    Row("GET /v1/acl/auth-methods", DENIES, ACL_R),
    Row("PUT /v1/acl/auth-method", DENIES, ACL_W, body={"Name": "made"}),
    Row("GET /v1/acl/auth-method/{name}", DENIES, ACL_R),
    Row("PUT /v1/acl/auth-method/{name}", DENIES, ACL_W, body={}),
    Row("DELETE /v1/acl/auth-method/{name}", DENIES, ACL_W),
    Row("GET /v1/acl/binding-rules", DENIES, ACL_R),
    Row("PUT /v1/acl/binding-rule", DENIES, ACL_W, body={}),
    Row("GET /v1/acl/binding-rule/{id}", DENIES, ACL_R, of="role"),
    Row("PUT /v1/acl/binding-rule/{id}", DENIES, ACL_W, body={}, of="role"),
    Row("DELETE /v1/acl/binding-rule/{id}", DENIES, ACL_W, of="role"),
    Row("POST /v1/acl/login", OWN, body={"AuthMethod": "{x}", "BearerToken": "x"}),
    Row("POST /v1/acl/logout", OWN),
    Row("POST /v1/internal/acl/authorize", OWN, body=[{"Resource": "node", "Segment": "{x}", "Access": "read"}]),
)  # fmt: skip
AGENT = (
    Row("GET /v1/agent/self", DENIES, ANY_AGENT_R),
    Row("GET /v1/agent/members", HIDES, 'node_prefix "" { policy = "read" }'),
    Row("GET /v1/agent/version", DENIES, ANY_AGENT_R),
    Row("GET /v1/agent/services", DENIES, ANY_AGENT_R),
    Row("GET /v1/agent/checks", DENIES, ANY_AGENT_R),
    Row("GET /v1/agent/metrics", DENIES, ANY_AGENT_R),
    Row("GET /v1/agent/connect/ca/roots", OPEN),
    Row("PUT /v1/agent/service/register", DENIES, ANY_AGENT_W, body={}),
    Row("PUT /v1/agent/service/deregister/{id:path}", DENIES, ANY_AGENT_W),
    Row("PUT /v1/agent/service/maintenance/{id:path}", DENIES, ANY_AGENT_W),
    Row("PUT /v1/agent/check/register", DENIES, ANY_AGENT_W, body={}),
    Row("PUT /v1/agent/check/deregister/{id:path}", DENIES, ANY_AGENT_W),
    Row("PUT /v1/agent/check/{verb}/{id:path}", DENIES, ANY_AGENT_W, "/v1/agent/check/pass/{x}"),
    Row("PUT /v1/agent/maintenance", DENIES, ANY_AGENT_W),
)
ROWS = (*CATALOG, *POLICY, *KV, *OPERATOR, *MESH, *ACL, *AGENT)

UNGUESSABLE = frozenset({"session", "query", "intention"})
"""What has an id of 122 random bits and no list for who may not see it: whoever knows the id may learn that it exists."""

RUN_BY_NAME = "GET /v1/query/{query}/execute"
"""Consul lets whoever knows a query's name run it, and filters what it finds: that it exists is not hidden."""

ANSWERED_ALIKE = (
    "/v1/acl/create", "/v1/acl/update", "/v1/acl/destroy/", "/v1/acl/info/", "/v1/acl/clone/", "/v1/acl/list",
    "/v1/acl/rules/", "/v1/internal/ui/", "/v1/internal/federation-state", "/v1/internal/service-virtual-ip",
)  # fmt: skip
"""Paths of Consul's that are gone: they say so to everybody (`catalog.api.operator.removed`)."""
