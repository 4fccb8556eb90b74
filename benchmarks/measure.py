"""What one round measures: CPU seconds and resident memory of process trees, and what wrk says it got through."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Load:
    """One wrk run: requests answered, bytes read, seconds, latencies in milliseconds, and answers that were not 2xx or 3xx."""

    requests: int
    bytes_read: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    errors: int


def tree(pid: int) -> list[int]:
    """The process and all its descendants that live now."""
    pids = [pid]
    for parent in pids:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            pids += [int(child) for child in children.read_text().split()]
    return pids


def cpu_s(pid: int) -> float:
    """User and system time of the process and its live descendants."""
    total = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS_PER_S


def rss_mb(pid: int) -> list[float]:
    """Resident megabytes of the process and its live descendants, largest first."""
    pages = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in tree(pid)]
    return sorted((count * PAGE_BYTES / 1e6 for count in pages), reverse=True)


_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_UNITS_BYTES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


def _latency_ms(output: str, percent: str) -> float:
    match = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s|m)\b", output)
    return float(match[1]) * _UNITS_MS[match[2]] if match else float("nan")


def wrk(url: str, connections: int, seconds: float, *headers: str) -> Load:
    """Load `url` from one thread over `connections` connections.

    Raises:
        RuntimeError: wrk failed or printed no total.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "--timeout", "10s"]
    for header in headers:
        command += ["-H", header]
    done = subprocess.run([*command, url], capture_output=True, text=True, check=False)
    total = re.search(r"(\d+) requests in ([\d.]+)(s|m), ([\d.]+)(B|KB|MB|GB|TB) read", done.stdout)
    if total is None:
        raise RuntimeError(f"wrk {url}: {done.stdout[-400:]}{done.stderr[-400:]}")
    errors = sum(
        int(count)
        for count in re.findall(r"(?:Non-2xx or 3xx responses: |connect |read |write |timeout )(\d+)", done.stdout)
    )
    return Load(
        requests=int(total[1]),
        bytes_read=int(float(total[4]) * _UNITS_BYTES[total[5]]),
        duration_s=float(total[2]) * (60 if total[3] == "m" else 1),
        p50_ms=_latency_ms(done.stdout, "50"),
        p99_ms=_latency_ms(done.stdout, "99"),
        errors=errors,
    )
