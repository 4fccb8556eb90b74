"""Thresholds: how many results in a row change a check's state."""

import pytest

from agents.vm.thresholds import Tally, Thresholds, observe
from mesh.model.endpoint import Health

P, W, C = Health.PASSING, Health.WARNING, Health.CRITICAL


def states(start: Health, thresholds: Thresholds, results: str) -> str:
    tally, seen = Tally(start), ""
    for letter in results:
        tally = observe(tally, thresholds, {"p": P, "w": W, "c": C}[letter])
        seen += tally.status[0]
    return seen


@pytest.mark.parametrize(
    ("thresholds", "start", "results", "expected"),
    [
        (Thresholds(), C, "pcwp", "pcwp"),
        (Thresholds(success_before_passing=3), C, "ppp", "ccp"),
        (Thresholds(success_before_passing=2), C, "pcpp", "cccp"),
        (Thresholds(0, 3, 3), P, "ccc", "ppc"),
        (Thresholds(0, 1, 3), P, "ccc", "wwc"),
        (Thresholds(0, 2, 3), P, "ccpcc", "pwppw"),
        (Thresholds(success_before_passing=2), C, "ww", "cw"),
    ],
)
def test_state_changes_after_enough_results_in_a_row(
    thresholds: Thresholds, start: Health, results: str, expected: str
) -> None:
    """The state follows only after the threshold of its kind is reached without interruption."""
    assert expected == states(start, thresholds, results)
