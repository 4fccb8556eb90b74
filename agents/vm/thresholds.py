"""How many results in a row it takes for a check to change its state (Consul: success_before_passing and its siblings).

Pure: a tally and a result give the next tally. A warning counts as a success, as in Consul: the probe was answered.
"""

import msgspec

from mesh.model.endpoint import Health


class Thresholds(msgspec.Struct, frozen=True):
    """Results in a row before the state changes; 0 and 1 both mean at once."""

    success_before_passing: int = 0
    failures_before_warning: int = 0
    failures_before_critical: int = 0


class Tally(msgspec.Struct, frozen=True):
    """The state a check shows, and the results in a row that led to it."""

    status: Health
    successes: int = 0
    failures: int = 0


def observe(tally: Tally, thresholds: Thresholds, result: Health) -> Tally:
    """The tally after one more result of a probe."""
    if result is not Health.CRITICAL:
        successes = tally.successes + 1
        enough = successes >= thresholds.success_before_passing
        return Tally(result if enough else tally.status, successes, 0)
    failures = tally.failures + 1
    if failures >= thresholds.failures_before_critical:
        return Tally(Health.CRITICAL, 0, failures)
    if failures >= thresholds.failures_before_warning:
        return Tally(Health.WARNING, 0, failures)
    return Tally(tally.status, 0, failures)
