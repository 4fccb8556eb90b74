"""What is measured on a catalog: groups of rows, each with the bar we hold it to and what Consul was measured at elsewhere.

Consul's figures are of version 1.21.4 on another, quiet machine of two cores: they say where the bar comes from, and are no
comparison. Only rows of one run compare.
"""

import json
import resource
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import catalog_process, measure
from benchmarks.catalog_client import Line, http
from benchmarks.catalog_process import Process
from catalog.access.acl.model import ANONYMOUS_ID


@dataclass(frozen=True)
class Scale:
    """How much of everything: the whole of it, or a little that proves that the benchmark works."""

    seconds: int = 4
    readers: tuple[tuple[int, int], ...] = ((1, 200), (1000, 10), (5000, 3))
    callers: tuple[int, int] = (5000, 3)
    instances: int = 10_000
    stored: int = 100_000


QUICK = Scale(seconds=1, readers=((1, 5), (20, 2), (60, 2)), callers=(60, 2), instances=300, stored=2_000)


@dataclass(frozen=True)
class Row:
    """One figure. `least` or `most` is its bar. Shares are of one core; `per_cpu_s` is work per second of the catalog's CPU."""

    key: str
    what: str
    unit: str
    value: float
    least: float | None = None
    most: float | None = None
    elsewhere: str = ""
    errors: int = 0
    catalog_share: float | None = None
    client_share: float | None = None
    per_cpu_s: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """The bar, and whether it is met; empty without one."""
        if self.least is not None:
            return f"{'OK' if self.value >= self.least else 'UNDER'} (at least {self.least:,g})"
        if self.most is not None:
            return f"{'OK' if self.value <= self.most else 'OVER'} (at most {self.most:,g})"
        return ""


KEYS = (
    "register 1", "register 16", "read 1 of 1", "read 16 of 1", "read 16 of 1 as a token", "read 1 of 100", "read 16 of 100",
    "wake 1 p50", "wake 1 p99", "wake 1000 p50", "wake 1000 p99", "wake 5000 p50", "wake 5000 p99", "wake none",
    "rss start", "rss instances", "rss readers", "sync last", "start empty", "start stored", "dns 16",
)  # fmt: skip
"""Every row's key; a quick run has the same, of less."""


def rate(key: str, what: str, figures: dict[str, float], **row: object) -> Row:
    """A row of work a second."""
    done, catalog_s = figures["done"], figures["catalog_cpu_s"]
    return Row(
        key,
        what,
        "/s",
        done / figures["took_s"],
        errors=int(figures["errors"]),
        catalog_share=catalog_s / figures["wall_s"],
        client_share=figures["cpu_s"] / figures["wall_s"],
        per_cpu_s=done / max(catalog_s, 0.01),
        note=f"p50/p99 {figures['p50_ms']:.1f}/{figures['p99_ms']:.1f} ms{row.pop('note', '')}",
        **row,  # type: ignore[arg-type]
    )


def registrations(process: Process, scale: Scale) -> Iterator[Row]:
    """Registrations of new instances, each on disk before its answer."""
    services = [f"load-{number}" for number in range(100)]
    for connections, least, elsewhere in ((1, None, "1,700"), (16, 3000, "3,958")):
        figures = process.job(
            "register", connections=connections, seconds=scale.seconds, first=connections * 1_000_000, services=services
        )
        what = f"durable registrations, {connections} connection{'s' * (connections > 1)}"
        yield rate(f"register {connections}", what, figures, least=least, elsewhere=elsewhere)


def loaded(process: Process, url: str, connections: int, seconds: float, token: str) -> dict[str, float]:
    """One run of wrk, as the figures of a job."""
    catalog_s, client_s = measure.cpu_s(process.pid), _children_s()
    load = measure.wrk(f"{process.url}{url}", connections, seconds, f"X-Consul-Token: {token}")
    return {
        "done": load.requests,
        "bytes": load.bytes_read / max(load.requests, 1),
        "took_s": load.duration_s,
        "wall_s": load.duration_s,
        "errors": load.errors,
        "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
        "catalog_cpu_s": measure.cpu_s(process.pid) - catalog_s,
        "cpu_s": _children_s() - client_s,
    }


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


READS = (
    ("read 1 of 1", 1, 1, False, None, "8,700"),
    ("read 16 of 1", 1, 16, False, 12_000, "21,000"),
    ("read 16 of 1 as a token", 1, 16, True, None, ""),
    ("read 1 of 100", 100, 1, False, None, "1,374"),
    ("read 16 of 100", 100, 16, False, 5_000, "2,061 (74 kB)"),
)


def reads(process: Process, scale: Scale) -> Iterator[Row]:
    """Health reads, as the operator and as the holder of a token with one policy."""
    for count in (1, 100):
        process.job("register", connections=1, first=0, count=count, services=[f"of-{count}"])
    holder = policy_token(process)
    for key, count, connections, with_policy, least, elsewhere in READS:
        token = holder if with_policy else process.token
        figures = loaded(process, f"/v1/health/service/of-{count}", connections, scale.seconds, token)
        what = f"health reads of {count} instance{'s' * (count > 1)}, {connections} connection{'s' * (connections > 1)}"
        what += ", token with a policy" * with_policy
        note = f", {figures['bytes'] / 1000:.1f} kB each"
        yield rate(key, what, figures, least=least, elsewhere=elsewhere, note=note)


def policy(process: Process) -> str:
    """The id of a policy under which every node and service may be read."""
    rules = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'
    return str(ask(process, "PUT", "/v1/acl/policy", json.dumps({"Name": "readers", "Rules": rules}))["ID"])


def policy_token(process: Process) -> str:
    """The secret of a token with that policy."""
    made = ask(process, "PUT", "/v1/acl/token", json.dumps({"Policies": [{"ID": policy(process)}]}))
    return str(made["SecretID"])


def ask(process: Process, method: str, path: str, body: str) -> dict[str, object]:
    """One call as the operator; its answer.

    Raises:
        RuntimeError: it was refused.
    """
    line = Line(process.http_port)
    line.send(http(method, path, process.token, body))
    answer = line.wait()
    if not line.good:
        raise RuntimeError(f"{method} {path}: {answer[:300].decode()}")
    found: dict[str, object] = json.loads(answer)
    return found


WAKES: tuple[tuple[str, tuple[float | None, str, str]], ...] = (
    ("wake 1", (5.0, "1.7", "2.3")),
    ("wake 1000", (100.0, "12.4", "43")),
    ("wake 5000", (None, "", "")),
)


def wakes(process: Process, scale: Scale) -> Iterator[Row]:
    """Blocked readers of one service, woken by a registration that changes it; memory at rest, filled and with them."""
    yield Row("rss start", "RSS at start", "MB", process.rss_mb(), elsewhere="96 MiB")
    services = [f"fill-{number}" for number in range(max(1, scale.instances // 100))]
    filled = process.job("register", connections=16, first=0, count=scale.instances, services=services)
    what = f"RSS with {scale.instances:,} instances"
    errors = int(filled["errors"])
    yield Row("rss instances", what, "MB", process.rss_mb(), most=250, elsewhere="259 MiB", errors=errors)
    for (readers, rounds), (key, bar) in zip(scale.readers, WAKES, strict=True):
        service, unwatched = f"watched-{readers}", 20 if key == "wake 1000" else 0
        process.job("register", connections=1, first=0, count=1, services=[service])
        job = {"readers": readers, "rounds": rounds, "service": service, "sync": False, "unwatched": unwatched}
        figures = process.job("watch", **job)
        yield from wake_rows(key, readers, figures, bar)
        if unwatched:
            what = f"answers to {readers:,} blocked readers for {unwatched} changes that nobody watches"
            yield Row("wake none", what, "", figures["unasked"], most=0, errors=int(figures["errors"]))
    what = f"RSS with {scale.readers[-1][0]:,} blocked readers more"
    yield Row("rss readers", what, "MB", figures["rss_mb"], most=400, errors=int(figures["errors"]))


def wake_rows(key: str, readers: int, figures: dict[str, float], bar: tuple[float | None, str, str]) -> Iterator[Row]:
    """Both percentiles of one size."""
    what = f"wake-up of {readers:,} blocked reader{'s' * (readers > 1)}"
    most, p50, p99 = bar
    errors, note = int(figures["errors"]), f"the last after {figures['last_ms']:.1f} ms"
    yield Row(f"{key} p50", f"{what}, p50", "ms", figures["p50_ms"], elsewhere=p50, errors=errors)
    yield Row(f"{key} p99", f"{what}, p99", "ms", figures["p99_ms"], most=most, elsewhere=p99, errors=errors, note=note)


def fan_out(process: Process, scale: Scale) -> Iterator[Row]:
    """Sync callers of one service's endpoints, over the plain port."""
    readers, rounds = scale.callers
    process.job("register", connections=1, first=0, count=1, services=["followed"])
    figures = process.job("watch", readers=readers, rounds=rounds, service="followed", sync=True)
    note = f"p50 {figures['p50_ms'] / 1e3:.2f} s; plain port, no TLS"
    what = f"last of {readers:,} sync callers"
    yield Row("sync last", what, "s", figures["last_ms"] / 1e3, most=1.0, errors=int(figures["errors"]), note=note)


def names(process: Process, scale: Scale) -> Iterator[Row]:
    """DNS answers over UDP."""
    process.job("register", connections=1, first=0, count=3, services=["named"])
    readers = {"AccessorID": ANONYMOUS_ID, "Policies": [{"ID": policy(process)}]}
    ask(process, "PUT", f"/v1/acl/token/{ANONYMOUS_ID}", json.dumps(readers))  # what DNS answers with
    figures = process.job(
        "dns", connections=16, seconds=scale.seconds, name="named.service.consul", port=process.dns_port
    )
    yield rate("dns 16", "DNS answers, 3 addresses each, 16 under way", figures)


def starts(_: Process, scale: Scale) -> Iterator[Row]:
    """From the start of the process until it serves."""
    with tempfile.TemporaryDirectory() as name:
        with catalog_process.running(Path(name) / "empty") as process:
            yield Row("start empty", "start with an empty store", "s", process.start_s, elsewhere="0.16 (leader)")
        data = Path(name) / "stored"
        catalog_process.write_store(data, scale.stored)
        with catalog_process.running(data) as process:
            missing = scale.stored - stored_instances(process)
            note = f"RSS {process.rss_mb():.0f} MB"
            what = f"start from a store of {scale.stored:,} instances"
            yield Row("start stored", what, "s", process.start_s, most=10, errors=missing, note=note)


def stored_instances(process: Process) -> int:
    """How many instances that were in the store are served, by the checks that came with them."""
    answer = ask(process, "GET", "/v1/health/state/passing", "")
    return sum(1 for check in answer if str(check["ServiceName"]).startswith("service-"))  # type: ignore[index]


Group = Callable[[Process, Scale], Iterator[Row]]
GROUPS: tuple[tuple[Group, tuple[str, ...]], ...] = (
    (registrations, ("register 1", "register 16")),
    (reads, tuple(row[0] for row in READS)),
    (wakes, tuple(key for key in KEYS if key.startswith(("wake", "rss")))),
    (fan_out, ("sync last",)),
    (names, ("dns 16",)),
    (starts, ("start empty", "start stored")),
)


def measured(scale: Scale, only: str) -> Iterator[Row]:
    """Every row whose key contains the text; each group on a catalog of its own, in an empty directory."""
    for group, keys in GROUPS:
        if not any(only in key for key in keys):
            continue
        with tempfile.TemporaryDirectory() as name, catalog_process.running(Path(name) / "data") as process:
            yield from group(process, scale)
