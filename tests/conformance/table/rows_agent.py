"""The table's rows: the agent, access control, operator, events and the rest."""

from tests.conformance.table.row import READ, Row

_GONE = "removed in Consul 1.11"
_NO_PEERS = "no cluster peering"
_FOREIGN = "not offered"

AGENT = (
    Row("GET", "/v1/agent/self", "E", "", "truth", "Consul's keys; `Config.Version` is the Consul whose API this is"),
    Row(
        "GET",
        "/v1/agent/members",
        "U",
        "wan",
        "truth",
        "the nodes whose `serfHealth` the catalog keeps: there is no gossip",
    ),
    Row("GET", "/v1/agent/host", "U", "", "truth", "what the operating system says of this host"),
    Row("GET", "/v1/agent/version", "U", "", "truth"),
    Row(
        "GET",
        "/v1/agent/metrics",
        "U",
        "format=prometheus",
        "truth",
        "Linkspan's own metrics, in Consul's JSON or Prometheus' text",
    ),
    Row("GET", "/v1/agent/monitor", "U", "loglevel, logjson", remark="a stream, until the caller hangs up"),
    Row("PUT", "/v1/agent/reload", "U", remark="configuration and service files are read again"),
    Row("PUT", "/v1/agent/maintenance", "U", "enable, reason"),
    Row(
        "PUT", "/v1/agent/join/:address", "U", "wan", "truth", "a member again is 200; others join with `linkspan join`"
    ),
    Row("PUT", "/v1/agent/leave", "U", remark="the process ends"),
    Row("PUT", "/v1/agent/force-leave/:node", "U", "prune, wan", "truth"),
    Row("PUT", "/v1/agent/token/:kind", "U", remark="in memory only", sample="default"),
    Row("GET", "/v1/agent/services", "E", "filter"),
    Row("GET", "/v1/agent/service/:id", "E", "hash, wait", remark="hash-blocking"),
    Row("PUT", "/v1/agent/service/register", "E", "replace-existing-checks", remark="snake_case is taken, too"),
    Row("PUT", "/v1/agent/service/deregister/:id", "E"),
    Row("PUT", "/v1/agent/service/maintenance/:id", "E", "enable, reason"),
    Row("GET", "/v1/agent/checks", "E", "filter"),
    Row("PUT", "/v1/agent/check/register", "E", remark="TTL, HTTP, TCP, UDP, gRPC, H2, script, alias, os_service"),
    Row("PUT", "/v1/agent/check/deregister/:id", "E"),
    Row("PUT", "/v1/agent/check/pass/:id", "E", "note"),
    Row("PUT", "/v1/agent/check/warn/:id", "E", "note"),
    Row("PUT", "/v1/agent/check/fail/:id", "E", "note"),
    Row("PUT", "/v1/agent/check/update/:id", "E"),
    Row("GET", "/v1/agent/health/service/id/:id", "U", "format=text", remark="200, 429 or 503 by the worst check"),
    Row("GET", "/v1/agent/health/service/name/:name", "U", "format=text"),
    Row("GET", "/v1/agent/connect/ca/roots", "E", "index, wait"),
    Row("GET", "/v1/agent/connect/ca/leaf/:service", "E", "index, wait"),
    Row("POST", "/v1/agent/connect/authorize", "U"),
)

ACCESS = (
    Row("PUT", "/v1/acl/bootstrap", "E", remark="once; 403 with the reset index after that"),
    Row("POST", "/v1/internal/acl/authorize", "O", remark="what a token may do; agents ask it for their callers"),
    Row("GET", "/v1/acl/replication", "U", "", "truth", "there is one datacenter, so nothing is replicated"),
    Row("POST", "/v1/acl/login", "E"),
    Row("POST", "/v1/acl/logout", "E"),
    Row("GET", "/v1/acl/tokens", "E", f"{READ}, policy, role, servicename, authmethod"),
    Row("PUT", "/v1/acl/token", "E"),
    Row("GET", "/v1/acl/token/self", "E", READ),
    Row(
        "GET",
        "/v1/acl/token/:accessor",
        "E",
        f"{READ}, expanded",
        remark="a secret is shown once, when it is made (`linkspan dev` shows it again)",
    ),
    Row("PUT", "/v1/acl/token/:accessor", "E"),
    Row("DELETE", "/v1/acl/token/:accessor", "E"),
    Row("PUT", "/v1/acl/token/:accessor/clone", "E"),
    Row("GET", "/v1/acl/policies", "E", READ),
    Row("PUT", "/v1/acl/policy", "E"),
    Row("GET", "/v1/acl/policy/:id", "E", READ),
    Row("PUT", "/v1/acl/policy/:id", "E"),
    Row("DELETE", "/v1/acl/policy/:id", "E"),
    Row("GET", "/v1/acl/policy/name/:name", "E", READ),
    Row("GET", "/v1/acl/roles", "E", f"{READ}, policy"),
    Row("PUT", "/v1/acl/role", "E"),
    Row("GET", "/v1/acl/role/:id", "E", READ),
    Row("PUT", "/v1/acl/role/:id", "E"),
    Row("DELETE", "/v1/acl/role/:id", "E"),
    Row("GET", "/v1/acl/role/name/:name", "E", READ),
    Row("GET", "/v1/acl/auth-methods", "E", READ),
    Row("PUT", "/v1/acl/auth-method", "E", remark="types kubernetes and jwt"),
    Row("GET", "/v1/acl/auth-method/:name", "E", READ),
    Row("PUT", "/v1/acl/auth-method/:name", "E"),
    Row("DELETE", "/v1/acl/auth-method/:name", "E"),
    Row("GET", "/v1/acl/binding-rules", "E", f"{READ}, authmethod"),
    Row("PUT", "/v1/acl/binding-rule", "E"),
    Row("GET", "/v1/acl/binding-rule/:id", "E", READ),
    Row("PUT", "/v1/acl/binding-rule/:id", "E"),
    Row("DELETE", "/v1/acl/binding-rule/:id", "E"),
    Row("GET", "/v1/acl/templated-policies", "E"),
    Row("GET", "/v1/acl/templated-policy/name/:name", "E"),
    Row("POST", "/v1/acl/templated-policy/preview/:name", "E"),
    *(
        Row(method, path, "L", "", "no", status=410, text=_GONE)
        for method, path in (
            ("PUT", "/v1/acl/create"),
            ("PUT", "/v1/acl/update"),
            ("PUT", "/v1/acl/destroy/:id"),
            ("GET", "/v1/acl/info/:id"),
            ("PUT", "/v1/acl/clone/:id"),
            ("GET", "/v1/acl/list"),
            ("POST", "/v1/acl/rules/translate"),
            ("GET", "/v1/acl/rules/translate/:id"),
        )
    ),
)

OPERATOR = (
    Row(
        "GET",
        "/v1/operator/raft/configuration",
        "O",
        "pretty",
        "truth",
        "one server, which leads and votes; there is no Raft log, so `Index` is 0",
    ),
    Row(
        "DELETE",
        "/v1/operator/raft/peer",
        "O",
        "id, address",
        "no",
        status=400,
        text="Must specify either ?id",
        remark="500 for a server that is not there, and for the only one",
    ),
    Row("POST", "/v1/operator/raft/transfer-leader", "O", "id", "no", status=500, text="cannot find peer"),
    Row("GET", "/v1/operator/autopilot/configuration", "O", "pretty", "truth", "kept, without effect"),
    Row("PUT", "/v1/operator/autopilot/configuration", "O", "cas", "truth", "kept, without effect"),
    Row("GET", "/v1/operator/autopilot/health", "O", "pretty", "truth"),
    Row("GET", "/v1/operator/autopilot/state", "O", "pretty", "truth"),
    *(
        Row(method, "/v1/operator/keyring", "O", "", "no", status=500, text="keyring is empty")
        for method in ("GET", "POST", "PUT", "DELETE")
    ),
    Row("GET", "/v1/operator/usage", "O", "global, stale", "truth"),
    Row("GET", "/v1/operator/utilization", "O", "", "no", status=404, text="no utilization bundle"),
    Row("GET", "/v1/snapshot", "O", "stale", "truth", "a gzip tar as Consul's, with our state in it"),
    Row("PUT", "/v1/snapshot", "O", "", "truth", "a snapshot of the same mesh; one of Consul is refused with 400"),
    Row("GET", "/v1/coordinate/datacenters", "O", "", "truth", "the one server"),
    Row("GET", "/v1/coordinate/nodes", "O", READ, "truth", "what was put: nothing measures distances here"),
    Row("GET", "/v1/coordinate/node/:node", "O", READ, "truth"),
    Row("PUT", "/v1/coordinate/update", "O"),
    Row("PUT", "/v1/event/fire/:name", "O", "node, service, tag", remark="payload up to 512 bytes"),
    Row(
        "GET",
        "/v1/event/list",
        "O",
        "name, node, service, tag, index, wait",
        remark="the newest 256, also after a restart; the index is made of the newest ID and does not grow",
    ),
    Row("GET", "/v1/peerings", "O", READ, "truth", "no peers: `[]`"),
    Row("POST", "/v1/peering/token", "O", "", "no", status=404, text=_NO_PEERS),
    Row("POST", "/v1/peering/establish", "O", "", "no", status=404, text=_NO_PEERS),
    Row("GET", "/v1/peering/:name", "O", "", "no", status=404, text="Peering not found"),
    Row("DELETE", "/v1/peering/:name", "O", "", "no", status=404, text=_NO_PEERS),
    Row("GET", "/v1/exported-services", "O", READ, "truth", "consumers are networks"),
    Row("GET", "/v1/imported-services", "O", READ, "truth", "`[]`"),
    *(
        Row(method, path, "O", "", "no", status=404, text=_FOREIGN)
        for method, path in (
            ("GET", "/v1/internal/ui/:page"),
            ("GET", "/v1/internal/federation-states"),
            ("GET", "/v1/internal/federation-states/mesh-gateways"),
            ("GET", "/v1/internal/federation-state/:dc"),
            ("PUT", "/v1/internal/service-virtual-ip"),
        )
    ),
)

OWN = (
    Row("GET", "/", "own", remark="a line of text where Consul has its UI"),
    Row("GET", "/v1/openapi.json", "own", remark="this API's own description"),
    Row(
        "POST",
        "/v1/linkspan/sync",
        "own",
        remark="what proxies and agents follow; see [sync protocol](sync-protocol.md)",
    ),
    Row("PUT", "/v1/linkspan/lease/:node", "own"),
    Row("POST", "/v1/linkspan/leaf", "own"),
    Row("POST", "/v1/linkspan/join", "own"),
    Row("POST", "/v1/linkspan/token", "own"),
    Row("PUT", "/v1/linkspan/revoke/:serial", "own"),
    Row("DELETE", "/v1/linkspan/grant/:node", "own"),
)
