"""What every endpoint shares, and the tests that hold it: file and function, which must exist."""

CONVENTIONS: tuple[tuple[str, str, str], ...] = (
    (
        "token: `?token`, `X-Consul-Token`, `Authorization: Bearer`, in this order",
        "yes",
        "tests/unit/catalog/api/http/test_call.py",
    ),
    (
        "blocking: `index`, `wait` (default 5 min, at most 10 min), stretched by 0 to a sixteenth",
        "yes",
        "tests/conformance/test_blocking.py",
    ),
    (
        "an index is never 0 and never goes backwards, also across restarts and restores",
        "yes",
        "tests/unit/catalog/api/operator/test_snapshot.py",
    ),
    (
        "headers: Index, KnownLeader, LastContact, Effective-Consistency, Query-Backend, Default-ACL-Policy",
        "yes",
        "tests/conformance/test_conventions.py",
    ),
    (
        "errors are plain text with Consul's status; 405 names the methods in `Allow`; OPTIONS is 200",
        "yes",
        "tests/conformance/test_conventions.py",
    ),
    ("`?filter=` (bexpr), with Consul's verdicts", "yes", "tests/unit/catalog/compile/test_filter.py"),
    ("`ns`, `partition`, `sg`: one namespace, so 400", "truth", "tests/conformance/test_conventions.py"),
    (
        "`peer`: lists hold nothing of a peer that is not there; elsewhere 400",
        "truth",
        "tests/conformance/operator/test_operator.py",
    ),
    (
        "`dc`: one datacenter; another one is 500 `No path to datacenter`",
        "truth",
        "tests/conformance/test_conventions.py",
    ),
    ("bodies, heads, connections and waits are bounded", "yes", "tests/conformance/test_bad_input.py"),
    (
        "`near`: that node comes first; nothing measures distances here, so the rest keeps its order",
        "truth",
        "tests/unit/catalog/api/v1/test_selection.py",
    ),
    (
        "`cached`: every answer is computed anew, so `X-Cache` is always MISS",
        "truth",
        "tests/conformance/test_conventions.py",
    ),
)
