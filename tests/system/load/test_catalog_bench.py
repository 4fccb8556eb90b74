"""The catalog's benchmark works: every row is measured on a real catalog, and no answer is wrong. It asks for no speed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.catalog_rows import KEYS

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_a_quick_run_has_every_row_and_no_error(tmp_path: Path) -> None:
    """`--quick` measures all that the whole run does, of less, and exits with 0."""
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.catalog", "--quick", "--json", str(figures)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(figures.read_text())["rows"]
    assert {row["key"] for row in rows} == set(KEYS)
    assert {row["key"]: row["errors"] for row in rows if row["errors"]} == {}
    assert next(row["value"] for row in rows if row["key"] == "wake none") == 0
    assert all(row["value"] > 0 for row in rows if row["key"] != "wake none")
