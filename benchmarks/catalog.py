"""The catalog under load: a real `linkspan catalog` on SQLite (`synchronous=FULL`), with access control as it comes.

`python -m benchmarks.catalog` prints one table: our figures with their bars, and beside them what Consul 1.21.4 was measured
at on another, quiet machine of two cores. Absolute figures belong to the machine and the minute: `/CPU s`, the work for each
second of the catalog's CPU time, is the one that a busy machine changes least.
"""

import argparse
import datetime as dt
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace

from benchmarks.catalog_rows import QUICK, Row, Scale, measured
from benchmarks.compare import OUT, machine


def table(rows: Iterable[Row]) -> str:
    """All rows as Markdown."""
    lines = [
        "| what | figure | bar | Consul, measured elsewhere | /CPU s | CPU: catalog / client | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figure = f"{row.value:,.0f}" if abs(row.value) >= 100 else f"{row.value:.2f}".removesuffix(".00")
        figure += row.unit if row.unit == "/s" else f" {row.unit}".rstrip()
        each = "" if row.per_cpu_s is None else f"{row.per_cpu_s:,.0f}"
        shares = "" if row.catalog_share is None else f"{row.catalog_share:.0%} / {row.client_share or 0:.0%}"
        note = f"{row.note}{f'; {row.errors} ERRORS' if row.errors else ''}"
        lines.append(f"| {row.what} | {figure} | {row.verdict} | {row.elsewhere} | {each} | {shares} | {note} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print; 0 when every bar is met and no answer was wrong. A quick run holds nothing to a bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=Scale().seconds, help="of each row of work a second")
    parser.add_argument("--only", default="", help="rows whose key contains this text")
    parser.add_argument(
        "--quick", action="store_true", help="under 30 s, a little of everything: no bars, no speeds to quote"
    )
    parser.add_argument("--json", help="where the figures go  [default: a new file under benchmarks/out]")
    options = parser.parse_args()
    scale = QUICK if options.quick else Scale(seconds=options.seconds)
    busy_before = os.getloadavg()
    rows: list[Row] = []
    for row in measured(scale, options.only):
        rows.append(replace(row, least=None, most=None, elsewhere="") if options.quick else row)
        print(f"{row.what}: {row.value:,.2f} {row.unit}", file=sys.stderr)
    shown = [row for row in rows if options.only in row.key]
    print(table(shown))
    print(f"\nload of the machine (1 min): {busy_before[0]:.1f} before, {os.getloadavg()[0]:.1f} after")
    OUT.mkdir(exist_ok=True)
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    kept = {"machine": machine(), "load": [busy_before, os.getloadavg()], "rows": [asdict(row) for row in shown]}
    path = options.json or OUT / f"catalog-{stamp}.json"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - a name from the command line
        json.dump(kept, file, indent=1)
    missed = any(row.verdict and not row.verdict.startswith("OK") for row in shown)
    return 1 if missed or any(row.errors for row in shown) else 0


if __name__ == "__main__":
    sys.exit(main())
