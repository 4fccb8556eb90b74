"""Passive ejection: an instance that keeps failing is left out for a while.

Five consecutive gateway errors (502 to 504, failed connect, reset) eject for 30 s times the number of ejections, at
most 300 s. At most 10 % of the endpoints are out at once, but one always may be. A quiet spell after an ejection makes
the next one shorter again. Works on the caller's `Candidate` records; must never look at a clock.
"""

import enum
from collections.abc import Collection

from mesh.decide.balance import Candidate

CONSECUTIVE = 5
BASE_S = 30.0
MAX_S = 300.0
MAX_PERCENT = 10
FORGIVE_EVERY_S = 30.0
"""Each such spell in routing takes one ejection off the count (Envoy forgives one an interval)."""
GATEWAY_ERRORS = frozenset((502, 503, 504))


class Outcome(enum.Enum):
    """How an exchange with an endpoint ended, from the caller's side."""

    RESPONSE = "response"
    CONNECT_FAILURE = "connect_failure"
    REFUSED_STREAM = "refused_stream"
    RESET = "reset"
    TIMEOUT = "timeout"


def is_gateway_error(outcome: Outcome, status: int = 0) -> bool:
    """Whether it counts against the endpoint. A refused stream is a full or draining one, so it does not."""
    if outcome is Outcome.RESPONSE:
        return status in GATEWAY_ERRORS
    return outcome is not Outcome.REFUSED_STREAM


def record(candidate: Candidate, group: Collection[Candidate], now_s: float, *, failed: bool) -> bool:
    """Count one outcome of `candidate`; True when this ejects it (then call `Pool.changed`).

    `group` is every candidate of its endpoint set.
    """
    if not failed:
        candidate.consecutive = 0
        return False
    candidate.consecutive += 1
    if candidate.consecutive < CONSECUTIVE or candidate.ejected_until_s > now_s:
        return False
    out = sum(1 for other in group if other.ejected_until_s > now_s)
    if out and (out + 1) * 100 > MAX_PERCENT * len(group):
        return False
    quiet_s = now_s - candidate.ejected_until_s
    forgiven = int(quiet_s // FORGIVE_EVERY_S) if candidate.times_ejected else 0
    candidate.times_ejected = max(0, candidate.times_ejected - forgiven) + 1
    candidate.ejected_until_s = now_s + min(BASE_S * candidate.times_ejected, MAX_S)
    candidate.consecutive = 0
    return True
