"""The table's rows: catalog, health, keys, sessions, config entries, mesh policy, queries, status."""

from tests.conformance.table.row import LIST, READ, Row

CATALOG = (
    Row(
        "PUT",
        "/v1/catalog/register",
        "E",
        remark="letter case of keys does not matter, snake_case is refused (as measured)",
    ),
    Row("PUT", "/v1/catalog/deregister", "E", remark="`true`, also for what was not there"),
    Row("GET", "/v1/catalog/datacenters", "E", "pretty", "truth", "one datacenter"),
    Row("GET", "/v1/catalog/nodes", "E", f"{LIST}, peer", remark="`ns` is ignored here alone (as measured)"),
    Row("GET", "/v1/catalog/services", "E", f"{READ}, filter, node-meta, peer"),
    Row(
        "GET",
        "/v1/catalog/service/:service",
        "E",
        f"{LIST}, tag, peer, merge-central-config",
        remark="not woken by checks",
    ),
    Row("GET", "/v1/catalog/connect/:service", "E", f"{LIST}, tag, peer, merge-central-config"),
    Row("GET", "/v1/catalog/node/:node", "E", f"{READ}, filter", remark="`null` for an unknown node"),
    Row("GET", "/v1/catalog/node-services/:node", "E", f"{READ}, filter"),
    Row("GET", "/v1/catalog/gateway-services/:gateway", "E", READ),
)

HEALTH = (
    Row("GET", "/v1/health/service/:service", "E", f"{LIST}, passing, tag, peer, merge-central-config"),
    Row("GET", "/v1/health/connect/:service", "E", f"{LIST}, passing, tag, peer, merge-central-config"),
    Row("GET", "/v1/health/ingress/:service", "E", f"{LIST}, passing, tag"),
    Row("GET", "/v1/health/checks/:service", "E", f"{LIST}, peer"),
    Row("GET", "/v1/health/node/:node", "E", f"{READ}, filter, peer"),
    Row("GET", "/v1/health/state/:state", "E", f"{LIST}, peer", sample="any"),
)

KEYS = (
    Row(
        "GET",
        "/v1/kv/:key",
        "E",
        f"{READ}, recurse, keys, separator, raw",
        remark="404 with an empty body and an index",
    ),
    Row("PUT", "/v1/kv/:key", "E", "flags, cas, acquire, release"),
    Row("DELETE", "/v1/kv/:key", "E", "recurse, cas"),
    Row("GET", "/v1/kv", "E", remark="307 to `/v1/kv/` (as measured)"),
    Row("PUT", "/v1/kv", "E", remark="307"),
    Row("DELETE", "/v1/kv", "E", remark="307"),
    Row("PUT", "/v1/txn", "U", remark="at most 128 operations and 512 KiB: 413; failures are 409 with all errors"),
    Row("PUT", "/v1/session/create", "E", remark="TTL 10 s to 24 h, ends after twice its TTL (as measured)"),
    Row("PUT", "/v1/session/destroy/:session", "E", remark="`true`, also for an unknown one"),
    Row("PUT", "/v1/session/renew/:session", "E", remark="404 for an unknown one"),
    Row("GET", "/v1/session/info/:session", "E", READ, remark="`[]` for an unknown one"),
    Row("GET", "/v1/session/node/:node", "E", READ),
    Row("GET", "/v1/session/list", "E", READ),
)

POLICY = (
    Row(
        "PUT",
        "/v1/config",
        "E",
        "cas",
        remark="judged with its whole chain at the write: protocols agree, splits sum to 100, no loops",
    ),
    Row("GET", "/v1/config/:kind", "E", f"{READ}, filter", sample="service-defaults"),
    Row("GET", "/v1/config/:kind/:name", "E", READ, sample="service-defaults"),
    Row("DELETE", "/v1/config/:kind/:name", "E", "cas", sample="service-defaults"),
    Row("GET", "/v1/connect/intentions", "E", f"{READ}, filter"),
    Row("POST", "/v1/connect/intentions", "L", remark="the form of before 1.9, with an ID"),
    Row("GET", "/v1/connect/intentions/:id", "L", READ),
    Row("PUT", "/v1/connect/intentions/:id", "L"),
    Row("DELETE", "/v1/connect/intentions/:id", "L"),
    Row("GET", "/v1/connect/intentions/exact", "E", f"{READ}, source, destination"),
    Row("PUT", "/v1/connect/intentions/exact", "E", "source, destination"),
    Row(
        "DELETE",
        "/v1/connect/intentions/exact",
        "E",
        "source, destination",
        remark="`true`, also for one that was not there",
    ),
    Row("GET", "/v1/connect/intentions/match", "E", f"{READ}, by, name"),
    Row(
        "GET",
        "/v1/connect/intentions/check",
        "E",
        "source, destination",
        remark="an intention with permissions is denied, as it cannot be judged without a request",
    ),
    Row("GET", "/v1/discovery-chain/:service", "U", f"{READ}, compile-dc"),
    Row("POST", "/v1/discovery-chain/:service", "U", f"{READ}, compile-dc", remark="overrides in the body"),
    Row(
        "GET",
        "/v1/connect/ca/roots",
        "E",
        f"{READ}, pem",
        remark="open to everybody: who joins needs it before it is anybody",
    ),
    Row("GET", "/v1/connect/ca/configuration", "U", "pretty", "truth", "the catalog's own authority"),
    Row("PUT", "/v1/connect/ca/configuration", "U", "", "truth", "`LeafCertTTL` can be changed, nothing else"),
)

QUERIES = (
    Row("GET", "/v1/query", "U", READ),
    Row("POST", "/v1/query", "U"),
    Row("GET", "/v1/query/:query", "U", READ),
    Row("PUT", "/v1/query/:query", "U"),
    Row("DELETE", "/v1/query/:query", "U"),
    Row("GET", "/v1/query/:query/execute", "U", "near, limit, connect, stale, consistent, cached"),
    Row("GET", "/v1/query/:query/explain", "U"),
)

STATUS = (
    Row("GET", "/v1/status/leader", "E", "pretty", "truth", "the catalog leads itself"),
    Row("GET", "/v1/status/peers", "E", "pretty", "truth", "the one server"),
)
