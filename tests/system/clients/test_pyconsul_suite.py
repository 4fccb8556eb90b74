"""py-consul's own test-suite, unchanged, against `linkspan dev --config-dir`: what a real Consul 1.21 passes, passes here."""

from pathlib import Path

import pytest

from tests.lab.pyconsul.suite import run_suite

ROOT = Path(__file__).resolve().parents[3]
LINKSPAN = ROOT / ".venv" / "bin" / "linkspan"
TESTS = 168
"""How many tests the suite has with one version of Consul: fewer would mean that some were not even found."""


@pytest.mark.slow
def test_the_suite_passes_but_for_the_table() -> None:
    """Every test passes, or stands in tests/lab/pyconsul/left_out.toml with its reason and fails (strict)."""
    results = run_suite(LINKSPAN)
    assert len(results) == TESTS
    assert [f"{one.test}: {one.why}" for one in results if one.outcome not in {"passed", "left out"}] == []
