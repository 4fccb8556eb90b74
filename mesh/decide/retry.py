"""Whether a failed attempt is made again. Must never allow it once a byte of the answer went to the client.

Failed connects and refused streams did not reach the application, so any method may be sent again; a reset and a
status may follow real work, so only idempotent methods are (RFC 9110 9.2.2), unless the route says all. A budget keeps
retries at 20 % of the requests of the last 10 s plus 10 a second.
"""

import msgspec

from mesh.decide.eject import Outcome
from mesh.model.chain import RetryPolicy

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
WINDOW_S = 10
RATIO = 0.2
MIN_RETRIES_PER_S = 10
MAX_REPLAY_BYTES = 64 * 1024
"""Largest request body that is kept to be sent again."""


class RetryBudget:
    """Requests and retries of the last 10 s, in buckets of a second. One for each upstream; mutable."""

    __slots__ = ("_requests", "_retries", "_second")

    def __init__(self, now_s: float) -> None:
        self._second = int(now_s)
        self._requests = [0] * WINDOW_S
        self._retries = [0] * WINDOW_S

    def request(self, now_s: float) -> None:
        """Count a first attempt."""
        second = int(now_s)
        if second != self._second:
            self._advance(second)
        self._requests[second % WINDOW_S] += 1

    def allows(self, now_s: float) -> bool:
        """Whether one more retry fits; counts nothing."""
        self._advance(int(now_s))
        return sum(self._retries) < sum(self._requests) * RATIO + MIN_RETRIES_PER_S * WINDOW_S

    def withdraw(self, now_s: float) -> bool:
        """Take one retry out of the budget; False when none is left."""
        if not self.allows(now_s):
            return False
        self._retries[self._second % WINDOW_S] += 1
        return True

    def _advance(self, second: int) -> None:
        """Clear the buckets of the seconds that passed. A clock that stands still or goes back clears none."""
        if second <= self._second:
            return
        for passed in range(max(self._second + 1, second - WINDOW_S + 1), second + 1):
            self._requests[passed % WINDOW_S] = 0
            self._retries[passed % WINDOW_S] = 0
        self._second = second


class Attempt(msgspec.Struct, frozen=True):
    """How an attempt ended. `made` counts attempts so far, this one included; `status` is 0 without a response."""

    method: bytes
    outcome: Outcome
    made: int
    status: int = 0
    bytes_sent_to_client: int = 0
    body_replayable: bool = True


def may_retry(policy: RetryPolicy, attempt: Attempt) -> bool:
    """Whether the attempt may be made again as far as the policy goes (`policy.attempts` is how many retries)."""
    if attempt.made > policy.attempts or attempt.bytes_sent_to_client or not attempt.body_replayable:
        return False
    match attempt.outcome:
        case Outcome.CONNECT_FAILURE | Outcome.REFUSED_STREAM:
            return policy.on_connect_failure
        case Outcome.RESET:
            wanted = policy.on_reset_before_first_byte
        case Outcome.RESPONSE:
            wanted = attempt.status in policy.status_codes
        case _:
            # A time-out spent the request's time.
            wanted = False
    return wanted and (policy.all_methods or attempt.method in IDEMPOTENT)


def should_retry(policy: RetryPolicy, attempt: Attempt, budget: RetryBudget, now_s: float) -> bool:
    """As `may_retry`, and takes the retry out of the budget when the answer is yes."""
    return may_retry(policy, attempt) and budget.withdraw(now_s)
