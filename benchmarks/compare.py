"""Linkspan beside HAProxy and Envoy: the same work, in one run, in interleaved rounds; medians and their ratios.

CPU is user and system time of the proxies' processes, both hops together, divided by the requests that wrk counted.
Absolute times belong to the machine and the minute; quote the ratios.
"""

import argparse
import datetime as dt
import json
import os
import platform
import ssl
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure, peers

OUT = Path(__file__).resolve().parent / "out"


@dataclass(frozen=True)
class Case:
    """One kind of work. `bar_haproxy` and `bar_envoy` are the ratios that we hold ourselves to; None asks nothing.

    `safe`: each peer as it comes, a new client apart from the connections of others where that is its default.
    """

    name: str
    unit: str
    l7: bool
    connections: int
    path: str = "/"
    close: bool = False
    safe: bool = False
    bar_haproxy: float | None = None
    bar_envoy: float | None = None


CASES = (
    Case("L7, 64 connections", "us/request", l7=True, connections=64, bar_haproxy=1.1, bar_envoy=0.6),
    Case("L7, 16 connections", "us/request", l7=True, connections=16, bar_haproxy=1.4, bar_envoy=0.75),
    Case("L7, 1 connection", "us/request", l7=True, connections=1),
    Case("L4, 64 connections", "us/request", l7=False, connections=64, bar_haproxy=1.0),
    Case("L4, 16 connections", "us/request", l7=False, connections=16),
    Case("L4, 1 connection", "us/request", l7=False, connections=1),
    Case("L4 bulk, 2 connections", "us/MiB", l7=False, connections=2, path="/big", bar_haproxy=1.1),
    Case("L7 new client connection", "us/connection", l7=True, connections=8, close=True, safe=True, bar_haproxy=0.4),
    Case("L7 new client connection, reuse always", "us/connection", l7=True, connections=8, close=True),
    Case("L4 new client connection", "us/connection", l7=False, connections=8, close=True, bar_haproxy=0.4),
)


@dataclass(frozen=True)
class Sample:
    """One round of one case on one peer."""

    cpu_us: float
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int


def one_round(case: Case, peer: peers.Peer, seconds: float) -> Sample:
    """Load the peer once and divide the CPU time it took by the work it did."""
    port = peer.l7_port if case.l7 else peer.l4_port
    if case.safe and peer.safe_port:
        port = peer.safe_port
    headers = ("Connection: close",) if case.close else ()
    before = sum(measure.cpu_s(pid) for pid in peer.pids)
    load = measure.wrk(f"http://127.0.0.1:{port}{case.path}", case.connections, seconds, *headers)
    used_s = sum(measure.cpu_s(pid) for pid in peer.pids) - before
    work = load.bytes_read / (1 << 20) if case.path == "/big" else load.requests
    return Sample(used_s / max(work, 1) * 1e6, work / load.duration_s, load.p50_ms, load.p99_ms, load.errors)


def ratio(samples: dict[str, list[Sample]], other: str) -> float:
    """Our median over the other's, of CPU per unit of work."""
    return median(samples["linkspan"], lambda one: one.cpu_us) / median(samples[other], lambda one: one.cpu_us)


def median(samples: list[Sample], what: Callable[[Sample], float]) -> float:
    """The median of one figure over the rounds."""
    return statistics.median(what(one) for one in samples)


def verdict(value: float, bar: float | None) -> str:
    """A ratio with the bar it is held to."""
    if bar is None:
        return f"{value:.2f}"
    return f"{value:.2f} {'ok' if value <= bar else 'OVER'} (bar {bar:g})"


def table(results: dict[str, dict[str, list[Sample]]], memory: dict[str, list[float]], cases: tuple[Case, ...]) -> str:
    """All medians in one table of Markdown."""
    rows = [
        "| work | unit | linkspan | haproxy | envoy | / haproxy | / envoy | p99 ms (l/h/e) | work/s (l/h/e) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        samples = results[case.name]
        cpu = [f"{median(samples[name], lambda one: one.cpu_us):.1f}" for name in ("linkspan", "haproxy", "envoy")]
        tail = "/".join(
            f"{median(samples[name], lambda one: one.p99_ms):.2f}" for name in ("linkspan", "haproxy", "envoy")
        )
        rate = "/".join(
            f"{median(samples[name], lambda one: one.rate):.0f}" for name in ("linkspan", "haproxy", "envoy")
        )
        ratios = [
            verdict(ratio(samples, "haproxy"), case.bar_haproxy),
            verdict(ratio(samples, "envoy"), case.bar_envoy),
        ]
        rows.append(f"| {case.name} | {case.unit} | {' | '.join(cpu)} | {' | '.join(ratios)} | {tail} | {rate} |")
    largest = {name: max(values) for name, values in memory.items()}
    bar = "ok" if largest["linkspan"] <= 40 else "OVER"
    rows.append(
        f"| RSS after the run | MB | {largest['linkspan']:.1f} a hop {bar} (bar 40) | {largest['haproxy']:.1f} | {largest['envoy']:.1f} | | | | |"
    )
    return "\n".join(rows)


def errors(results: dict[str, dict[str, list[Sample]]]) -> list[str]:
    """Every case in which somebody's answers were not what was asked for."""
    return [
        f"{name} answered wrongly {sum(one.errors for one in samples)} times in {case}"
        for case, by_peer in results.items()
        for name, samples in by_peer.items()
        if any(one.errors for one in samples)
    ]


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    return {
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "kernel": platform.release(),
        "cpus": str(os.cpu_count()),
    }


def main() -> int:
    """Run all cases and print the table; 0 when every bar that has one is met, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", default="", help="cases whose name contains this text")
    options = parser.parse_args()
    cases = tuple(case for case in CASES if options.only in case.name)
    with tempfile.TemporaryDirectory() as name, peers.everyone(Path(name)) as everyone:
        results: dict[str, dict[str, list[Sample]]] = {
            case.name: {peer.name: [] for peer in everyone} for case in cases
        }
        for number in range(options.rounds):
            for case in cases:
                for peer in everyone if number % 2 == 0 else reversed(everyone):
                    results[case.name][peer.name].append(one_round(case, peer, options.seconds))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        memory = {peer.name: [size for pid in peer.pids for size in measure.rss_mb(pid)] for peer in everyone}
    text = table(results, memory, cases)
    print(text)
    for line in errors(results):
        print(line)
    OUT.mkdir(exist_ok=True)
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    plain = {
        case: {peer: [vars(one) for one in samples] for peer, samples in by_peer.items()}
        for case, by_peer in results.items()
    }
    (OUT / f"{stamp}.json").write_text(
        json.dumps({"machine": machine(), "memory_mb": memory, "rounds": plain}, indent=1)
    )
    return 1 if "OVER" in text or errors(results) else 0


if __name__ == "__main__":
    sys.exit(main())
