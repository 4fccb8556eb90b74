"""docs/consul-compatibility.md, made of the rows: `python -m tests.conformance.table.document` writes it."""

from collections.abc import Sequence
from pathlib import Path

from tests.conformance.table.conventions import CONVENTIONS
from tests.conformance.table.errors import REFUSALS
from tests.conformance.table.row import Row
from tests.conformance.table.rows_agent import ACCESS, AGENT, OPERATOR, OWN
from tests.conformance.table.rows_catalog import CATALOG, HEALTH, KEYS, POLICY, QUERIES, STATUS

PATH = Path(__file__).resolve().parents[3] / "docs" / "consul-compatibility.md"

SECTIONS: tuple[tuple[str, Sequence[Row]], ...] = (
    ("Catalog", CATALOG),
    ("Health", HEALTH),
    ("Keys, transactions, sessions", KEYS),
    ("Config entries, intentions, mesh", POLICY),
    ("Prepared queries", QUERIES),
    ("Agent", AGENT),
    ("Access control", ACCESS),
    ("Status", STATUS),
    ("Operator, snapshots, events, coordinates, peering", OPERATOR),
    ("Linkspan's own", OWN),
)
ROWS = tuple(row for _, rows in SECTIONS for row in rows)

_HEAD = """# Consul's HTTP API, endpoint by endpoint

Made by `python -m tests.conformance.table.document` and held by `tests/conformance/table` against a running `linkspan dev`: that each path has its method and no other has
a row missing, that the parameters `index`, `wait`, `stale`, `consistent` and `filter` are read where they are named, and that each refusal and error text is so, word for word. What
the endpoints do beyond that is held by the rest of `tests/conformance` and by py-consul's own test-suite (`tests/system/clients`). The measure is Consul 1.21.

**yes**: as Consul. **truth**: Consul's form with what is true here. **no**: refused, with the status and text that are given. Class: E essential for
existing clients, U useful, O optional, L legacy.
"""


def cell(text: str) -> str:
    """Text in a table."""
    return text.replace("|", "\\|")


def verdict(row: Row) -> str:
    """The row's verdict; of a refusal with its answer."""
    return f"no: {row.status} `{row.text}`" if row.verdict == "no" else row.verdict


def document() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, rows in SECTIONS:
        lines = [f"## {title}", "", "| endpoint | class | parameters | verdict | remarks |", "|---|---|---|---|---|"]
        lines += [
            f"| `{row.method} {row.path}` | {row.kind} | {cell(row.parameters)} | {cell(verdict(row))} | {cell(row.remark)} |"
            for row in rows
        ]
        parts.append("\n".join(lines) + "\n")
    lines = ["## What all of them share", "", "| rule | verdict | held by |", "|---|---|---|"]
    lines += [f"| {cell(rule)} | {found} | `{test}` |" for rule, found, test in CONVENTIONS]
    parts.append("\n".join(lines) + "\n")
    lines = ["## Error texts", "", "| request | status | text begins or holds |", "|---|---|---|"]
    lines += [
        f"| `{cell(one.request)}`{' with a body' if one.body is not None else ''} | {one.status} | {cell(one.text) or '(none)'} |"
        for one in REFUSALS
    ]
    parts.append("\n".join(lines) + "\n")
    served = sum(row.verdict != "no" for row in ROWS if row.kind != "own")
    refused = sum(row.verdict == "no" for row in ROWS)
    parts.append(f"{served} methods of Consul's API are served, {refused} are refused.\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PATH.write_text(document())
