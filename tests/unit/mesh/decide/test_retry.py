"""Retries: what may be sent again, and the budget."""

import pytest

from mesh.decide.eject import Outcome
from mesh.decide.retry import Attempt, RetryBudget, may_retry, should_retry
from mesh.model.chain import RetryPolicy

DEFAULT = RetryPolicy()


@pytest.mark.parametrize(
    ("policy", "attempt", "expected"),
    [
        (DEFAULT, Attempt(b"GET", Outcome.CONNECT_FAILURE, 1), True),
        (DEFAULT, Attempt(b"POST", Outcome.CONNECT_FAILURE, 1), True),
        (DEFAULT, Attempt(b"POST", Outcome.REFUSED_STREAM, 1), True),
        (RetryPolicy(on_connect_failure=False), Attempt(b"GET", Outcome.CONNECT_FAILURE, 1), False),
        (DEFAULT, Attempt(b"GET", Outcome.RESET, 1), True),
        (DEFAULT, Attempt(b"POST", Outcome.RESET, 1), False),
        (RetryPolicy(all_methods=True), Attempt(b"POST", Outcome.RESET, 1), True),
        (RetryPolicy(on_reset_before_first_byte=False), Attempt(b"GET", Outcome.RESET, 1), False),
        *[
            (DEFAULT, Attempt(method, Outcome.RESPONSE, 1, 503), True)
            for method in (b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE")
        ],
        *[(DEFAULT, Attempt(method, Outcome.RESPONSE, 1, 503), False) for method in (b"POST", b"PATCH", b"get", b"X")],
        (DEFAULT, Attempt(b"GET", Outcome.RESPONSE, 1, 500), False),
        (DEFAULT, Attempt(b"GET", Outcome.RESPONSE, 1, 200), False),
        (RetryPolicy(status_codes=(409,), all_methods=True), Attempt(b"POST", Outcome.RESPONSE, 1, 409), True),
        (DEFAULT, Attempt(b"GET", Outcome.TIMEOUT, 1), False),
        (DEFAULT, Attempt(b"GET", Outcome.RESET, 2), False),
        (RetryPolicy(attempts=0), Attempt(b"GET", Outcome.CONNECT_FAILURE, 1), False),
        (RetryPolicy(attempts=3), Attempt(b"GET", Outcome.CONNECT_FAILURE, 3), True),
        (RetryPolicy(attempts=3), Attempt(b"GET", Outcome.CONNECT_FAILURE, 4), False),
        (DEFAULT, Attempt(b"GET", Outcome.RESET, 1, bytes_sent_to_client=1), False),
        (DEFAULT, Attempt(b"GET", Outcome.CONNECT_FAILURE, 1, body_replayable=False), False),
    ],
)
def test_what_may_be_sent_again(policy: RetryPolicy, attempt: Attempt, expected: object) -> None:
    """Never after a byte went to the client; work that may have been done only on idempotent methods."""
    assert expected == may_retry(policy, attempt)


def test_the_budget_is_a_fifth_plus_ten_a_second() -> None:
    """Over 10 s: 100 without traffic, 20 % more with it, and back when the window has passed."""
    budget = RetryBudget(0.0)
    assert sum(budget.withdraw(0.5) for _ in range(200)) == 100
    for _ in range(500):
        budget.request(1.0)
    assert sum(budget.withdraw(1.5) for _ in range(200)) == 100
    assert not budget.withdraw(9.9)
    assert sum(budget.withdraw(10.0) for _ in range(200)) == 100, "the first 100 have left the window"
    assert sum(budget.withdraw(1000.0) for _ in range(200)) == 100
    assert not budget.allows(999.0), "a clock that goes back frees nothing"


def test_only_allowed_retries_are_taken_out_of_the_budget() -> None:
    """A refusal by policy costs nothing, and an empty budget refuses."""
    budget = RetryBudget(0.0)
    for _ in range(200):
        assert not should_retry(DEFAULT, Attempt(b"POST", Outcome.RESET, 1), budget, 0.0)
    assert sum(should_retry(DEFAULT, Attempt(b"GET", Outcome.RESET, 1), budget, 0.0) for _ in range(200)) == 100
